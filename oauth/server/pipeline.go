package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/ssf"
)

type ctxKey int

const (
	requestIDKey ctxKey = iota
	redemptionKey
	clientKey
	recordedKey
)

// requestID is the id of the request that ctx belongs to: "req_" and 26 characters.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// answerWithin bounds a request with all that it asks of the store: calls that give up one after another would add up. What a
// write comes to after that is on record, and its client has been told that nobody knows.
const answerWithin = 3 * time.Second

// pipeline is what no handler can forget: a request id of our own making, headers, and an answer when something panics.
func (s *Server) pipeline(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := oauth.NewID("req")
		h := w.Header()
		h.Set("X-Request-Id", id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		if strings.HasPrefix(s.issuer, "https:") {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		within := answerWithin
		if strings.HasPrefix(r.URL.Path, pollPath) {
			within += ssf.MaxWait // in which it asks for nothing
		}
		ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), requestIDKey, id), within)
		defer cancel()
		defer func() {
			if p := recover(); p != nil {
				s.log.ErrorContext(ctx, "a handler panicked", "request_id", id, "panic", p, "stack", string(debug.Stack()))
				s.writeError(w, r.WithContext(ctx), internalError)
			}
		}()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// proxies are the networks whose X-Forwarded-For counts.
type proxies []netip.Prefix

// address is who sent r: the peer, or the last hop that a trusted proxy did not vouch for as one of its own.
func (p proxies) address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return ""
	}
	peer, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && p.trusts(peer); i-- {
		next, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = next
	}
	return peer.Unmap().WithZone("").String()
}

func (p proxies) trusts(a netip.Addr) bool {
	for _, n := range p {
		if n.Contains(a.Unmap()) {
			return true
		}
	}
	return false
}
