package rp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

// TestVeto: the app's roles may not be the issuer's. Any error refuses, its text is shown, nothing of the session stays, and the actor is who they were.
func TestVeto(t *testing.T) {
	t.Parallel()
	for _, which := range []form{apart, over} {
		for name, refusal := range map[string]error{"in words": errors.New("not <this> one"), "by its time": context.DeadlineExceeded} {
			t.Run(string(which)+" "+name, func(t *testing.T) {
				t.Parallel()
				h := setup(t, which, func(_ *house, c *rp.Config) {
					c.CanImpersonate = func(_ context.Context, actor, subject rp.Person) error {
						if actor.Subject == "ann" && subject.Subject == "john" {
							return refusal
						}
						return nil
					}
				})
				b := h.ann()
				h.taken(&h.seen)
				r := b.say(b.ask("john", ""), "john", "read")
				want := strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(refusal.Error())
				if r.status != http.StatusForbidden || !strings.Contains(r.body, want) || h.live() != 0 || b.cookies(h.asUser)[actingCookie]+b.cookies(h.app)[heldCookie] != "" {
					t.Errorf("%d %s, %d live", r.status, r.body, h.live())
				}
				if seen := h.taken(&h.seen); len(seen) != 0 {
					t.Errorf("reached the app: %v", seen)
				}
				if !strings.Contains(h.logs.String(), "ann@acme.test was refused impersonating john@acme.test: by the app") {
					t.Errorf("log: %s", h.logs)
				}
				if r := b.get(h.app + "/admin"); !strings.Contains(r.body, "subject=ann") {
					t.Errorf("the actor is not back: %s", r.body)
				}
				b.impersonate("eve", "read")
			})
		}
	}
}

// TestVetoIsAskedAtTheStart, once, by nothing else, and by nobody who is impersonated, also where somebody was.
func TestVetoIsAskedAtTheStart(t *testing.T) {
	t.Parallel()
	var asked, impersonating atomic.Int32
	h := setup(t, apart, func(_ *house, c *rp.Config) {
		c.CanImpersonate = func(ctx context.Context, _, _ rp.Person) error {
			asked.Add(1)
			if _, known := rp.Subject(ctx); known || rp.Impersonating(ctx) {
				impersonating.Add(1)
			}
			return nil
		}
	})
	b := h.ann()
	page := b.ask("john", "")
	b.post(page.url.String(), "action", "cancel")
	b.get(h.asUser + "/.understudy/callback?ticket=x&state=y")
	if n := asked.Load(); n != 0 {
		t.Errorf("asked %d times before anybody started", n)
	}
	b.impersonate("john", "write")
	b.get(h.asUser + "/")
	b.post(h.asUser + "/note")
	b.get(h.asUser + "/.understudy/session")
	b.impersonate("eve", "read")
	b.post(h.asUser + "/.understudy/stop")
	if asked.Load() != 2 || impersonating.Load() != 0 {
		t.Errorf("asked %d times in two starts, %d of them as somebody", asked.Load(), impersonating.Load())
	}
}

// TestPanicAtTheStart: where a function of the app's panics, the session that has begun is ended, and nothing of it stays.
func TestPanicAtTheStart(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(c *rp.Config){
		"CanImpersonate": func(c *rp.Config) {
			c.CanImpersonate = func(context.Context, rp.Person, rp.Person) error { panic("oops") }
		},
		"Home": func(c *rp.Config) {
			home := c.Home
			c.Home = func(p rp.Person) string {
				if p.Subject == "john" {
					panic("oops")
				}
				return home(p)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t, apart, func(_ *house, c *rp.Config) { bend(c) })
			b := h.ann()
			r := b.one(http.MethodPost, b.ask("john", "").url.String(),
				values("subject", "john", "mode", "read", "minutes", "30", "reason", "cannot find it", "action", "impersonate"))
			for range 2 { // for the ticket, and for the actor's token
				r = b.one(http.MethodGet, r.header.Get("Location"), nil)
			}
			last := b.request(http.MethodGet, r.header.Get("Location"), nil)
			last.Host = last.URL.Host
			last.Header.Set("Cookie", cookieHeader(b.cookies(h.asUser)))
			w := httptest.NewRecorder()
			func() {
				defer func() {
					if p := recover(); p != "oops" {
						t.Errorf("recovered %v", p)
					}
				}()
				h.rp.Handler(http.NotFoundHandler()).ServeHTTP(w, last)
			}()
			if h.live() != 0 || len(w.Header().Values("Set-Cookie")) != 0 {
				t.Errorf("%d sessions go on, set: %v", h.live(), w.Header()["Set-Cookie"])
			}
		})
	}
}
