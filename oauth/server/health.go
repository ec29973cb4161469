package server

import (
	"context"
	"net/http"
	"time"
)

// maxSkew is how far the store's clock may be from ours: expiry is judged by ours, so a replica that is off must not decide.
const maxSkew = 2 * time.Second

// privateRoutes are for the machine's own watchers.
func (s *Server) privateRoutes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		noStore(w.Header())
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		noStore(w.Header())
		if reason := s.notReady(r.Context()); reason != "" {
			w.Header().Set("Retry-After", "1")
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": reason})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": "ready"})
	})
	return mux
}

// notReady says why this process should get no requests, "" if it should.
func (s *Server) notReady(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	clock, err := s.store.Ready(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "not ready", "error", err)
		return "the store does not take writes"
	}
	if skew := s.clock().Sub(clock); skew > maxSkew || skew < -maxSkew {
		return "the clock is more than 2 s from the store's"
	}
	if s.ring.held.Load().broken != nil { // its tokens, which others give, would be refused here
		return "a signing key cannot be opened with this sealing key"
	}
	return ""
}
