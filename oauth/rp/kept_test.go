package rp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// TestKeptByNobody: what an API answers under impersonation no cache keeps, whatever its handler says, and what it answers otherwise is of that token alone.
func TestKeptByNobody(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	for what, say := range map[string]func(http.ResponseWriter){
		"nothing":  func(http.ResponseWriter) {},
		"a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted) },
		"a body":   func(w http.ResponseWriter) { io.WriteString(w, "john's") },
		"a stream": func(w http.ResponseWriter) { w.(http.Flusher).Flush() },
		"a copy":   func(w http.ResponseWriter) { io.Copy(w, strings.NewReader("john's")) },
	} {
		handler := a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for name, value := range map[string]string{
				"Cache-Control": "private, max-age=300", "CDN-Cache-Control": "public", "Cloudflare-CDN-Cache-Control": "public", "Surrogate-Control": "max-age=300",
				"X-Accel-Expires": "300", "Vary": "Origin",
			} {
				w.Header().Set(name, value)
			}
			say(w)
		}))
		answer := func(token string) http.Header {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, a.request(http.MethodGet, "/me", token))
			if h := w.Result().Header; slices.Equal(h.Values("Vary"), []string{"Origin", "Authorization"}) {
				return h
			}
			t.Errorf("%s: Vary is %q", what, w.Result().Header.Values("Vary"))
			return w.Result().Header
		}
		if h := answer(a.token()); h.Get("Cache-Control") != "private, max-age=300" || h.Get("CDN-Cache-Control") != "public" {
			t.Errorf("%s: john's own may not be kept: %v", what, h)
		}
		h := answer(a.acting())
		if h.Get("Cache-Control") != "no-store" || h.Get("X-Accel-Expires") != "0" {
			t.Errorf("%s: under impersonation it may be kept: %v", what, h)
		}
		for _, name := range []string{"CDN-Cache-Control", "Cloudflare-CDN-Cache-Control", "Surrogate-Control"} {
			if h.Get(name) != "" {
				t.Errorf("%s: %s is %q under impersonation", what, name, h.Get(name))
			}
		}
	}
}
