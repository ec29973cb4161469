package rp_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

// BenchmarkBearer is what a request with a token costs an API beyond its own handler, once the token is known; liveness is at hand.
func BenchmarkBearer(b *testing.B) {
	a := newAPI(b, func(c *rp.BearerConfig) { c.Recorder, c.Liveness = yes{}, yes{} })
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	a.config.Now = nil
	bare, err := rp.NewBearer(b.Context(), a.config) // Allow and Block cost what their muxes do, and the clock of tests a lock
	if err != nil {
		b.Fatal(err)
	}
	for name, token := range map[string]string{"own": a.token(), "impersonating": a.acting()} {
		b.Run("cached/"+name, func(b *testing.B) { run(b, bare.Handler(app), a.request(http.MethodGet, "/me", token), "") })
	}
	b.Run("nothing in front", func(b *testing.B) { run(b, app, a.request(http.MethodGet, "/me", ""), "") })
	b.Run("cached/impersonating, guarded", func(b *testing.B) { run(b, a.bearer.Handler(app), a.request(http.MethodGet, "/me", a.acting()), "") })
	b.Run("no token", func(b *testing.B) { run(b, bare.Handler(app), a.request(http.MethodGet, "/me", ""), "") })
	b.Run("unsafe, impersonating", func(b *testing.B) {
		run(b, bare.Handler(app), a.request(http.MethodPost, "/me", a.acting("scope", fullAccess)), "")
	})
}
