package rp_test

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// discard is an answer that nobody reads, as cheap as can be, so that the figures are ours.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header { return d.h }
func (*discard) WriteHeader(int)       {}
func (*discard) Write(p []byte) (int, error) {
	return len(p), nil
}

// BenchmarkHandler is what a safe request costs beyond the app's own handler, which answers nothing that could hold a banner.
func BenchmarkHandler(b *testing.B) {
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok") })
	for _, which := range []form{apart, over} {
		h := setup(b, which, nil)
		ann := h.ann()
		ann.impersonate("john", "read")
		c := h.config
		c.Recorder = yes{}                  // what is told to the issuer is told beside
		bare, err := rp.New(b.Context(), c) // Block costs 5 allocations more
		if err != nil {
			b.Fatal(err)
		}
		b.Run("impersonating/"+string(which), func(b *testing.B) {
			// A session may have 2,000 records waiting: beyond, each request waits for its own to be on record, which is another thing to measure.
			run(b, everySo(b, 1500, bare.Flush, bare.Handler(app)), ann.request(http.MethodGet, h.asUser+"/x", nil), cookieHeader(ann.cookies(h.asUser)))
		})
	}
	h := setup(b, apart, nil)
	b.Run("signed in", func(b *testing.B) {
		ann := h.ann()
		run(b, h.rp.Handler(app), ann.request(http.MethodGet, h.app+"/x", nil), cookieHeader(ann.cookies(h.app)))
	})
	b.Run("no cookie of ours", func(b *testing.B) {
		run(b, h.rp.Handler(app), h.browser().request(http.MethodGet, h.app+"/x", nil), "theme=dark; session=0123456789abcdef0123456789abcdef")
	})
	b.Run("nothing in front", func(b *testing.B) {
		run(b, app, h.browser().request(http.MethodGet, h.app+"/x", nil), "")
	})
}

// everySo is h, and does that, beside the time measured, whenever so many requests have come.
func everySo(b *testing.B, n int, that func(context.Context) error, h http.Handler) http.Handler {
	left := n
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if left--; left == 0 {
			left = n
			b.StopTimer()
			if err := that(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		h.ServeHTTP(w, r)
	})
}

func run(b *testing.B, h http.Handler, r *http.Request, cookies string) {
	r.Host = r.URL.Host
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		clear(w.h)
		w.h.Set("Content-Type", "text/plain")
		h.ServeHTTP(w, r)
	}
}

// BenchmarkRefused is a refusal that is recorded by somebody who is at hand.
func BenchmarkRefused(b *testing.B) {
	h := setup(b, apart, func(_ *house, c *rp.Config) { c.Recorder, c.Liveness = yes{}, yes{} })
	ann := h.ann()
	ann.impersonate("john", "read")
	run(b, h.rp.Handler(http.NotFoundHandler()), ann.request(http.MethodPost, h.asUser+"/x", nil), cookieHeader(ann.cookies(h.asUser)))
}

type yes struct{}

func (yes) Alive(context.Context, string, oauth.Secret) (bool, error) { return true, nil }
func (yes) Record(context.Context, rp.Action) (bool, error)           { return true, nil }
func (yes) RecordAll(context.Context, []rp.Action) ([]string, error)  { return nil, nil }
