package page_test

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
)

func refusal(advice string, need ...policy.Need) error {
	return &impersonation.Refusal{Decision: policy.Decision{Advice: advice, Need: need, Rules: []string{"never.shown"}}}
}

var hostile = user("usr_x", "</title><script>alert(1)</script>\u202eevil\u2069 \U0001F469\u200d\U0001F4BB\n\"x\"", "x'\"<b>@acme.test")

// state is a page in one of its states, which the tests of its HTML and those in a browser share.
type state struct {
	name   string
	status int
	answer func(*testing.T) *http.Response // once: it reads the request
}

// states is every state of every page: what is added to one of the tables is tested everywhere.
func states() []state { return slices.Concat(impersonateStates(), otherStates(), auditStates()) }

// impersonateStates is every state of /impersonate, whole.
func impersonateStates() (all []state) {
	both := func(r policy.Request) policy.Decision {
		return policy.Decision{Allow: r.Duration <= 30*time.Minute, MaxDuration: r.Duration}
	}
	cases := []struct {
		name   string
		bend   func(*bench)
		r      *http.Request
		status int
	}{
		{"find-empty", nil, get(), 200},
		{"find-results", nil, get("q", "mar", "reason", "Asked <by> phone\nline two", "resource", "https://api.example/", "scope", "b a"), 200},
		{"find-one", nil, get("q", "bob@"), 200},
		{"find-none", nil, get("q", "zz<b>"), 200},
		{"find-short", nil, get("q", " m "), 422},
		{"find-hostile", func(b *bench) { b.users.all = append(b.users.all, hostile) }, get("q", "evil"), 200},
		{"ask", nil, get("subject", "usr_bob", "q", "bob"), 200},
		{"ask-full", func(b *bench) { b.decide = both }, get("subject", "usr_marta", "reason", "\nAsked by phone", "ticket_number", "SUP-2"), 200},
		{"ask-hostile", func(b *bench) { b.users.all = append(b.users.all, hostile); b.client.Name = "<i>\u202eApp" }, get("subject", "usr_x"), 200},
		{"ask-errors", nil, post("reason", "</texta>", "ticket_number", strings.Repeat("x", 65), "mode", "write", "minutes", "7"), 422},
		{"ask-ticket-needed", func(b *bench) { b.refuse = refusal("", policy.NeedTicketNumber) }, post("ticket_number", ""), 422},
		{"denied", func(b *bench) { b.refuse = refusal("Bob must <agree> first.", policy.NeedConsent) }, post(), 403},
		{"second-factor-first", func(b *bench) { b.cfg.RequireSecondFactor = true }, get(), 403},
		{"denied-enrol", func(b *bench) { b.refuse = refusal("This needs a second factor.", policy.NeedStepUp) }, post(), 403},
		{"denied-step-up", func(b *bench) {
			b.who.User.SecondFactor = true
			b.refuse = refusal("This needs a second factor.", policy.NeedStepUp)
		}, post(), 403},
		{"denied-killed", func(b *bench) { b.refuse = refusal("") }, post(), 403},
		{"unknown", nil, get("subject", "usr_nobody"), 403},
		{"not-staff", func(b *bench) { b.who.User.Roles = nil }, get("subject", "usr_bob"), 403},
		{"bad-parameter", nil, get("state", ""), 400},
		{"too-many", func(b *bench) {
			b.cfg.Searched = func(context.Context, page.Who, string) error { return page.ErrTooMany }
		}, get("q", "mar"), 429},
		{"directory-down", func(b *bench) { b.users.fail = errDown }, get("q", "mar"), 503},
		{"store-down", func(b *bench) { b.refuse = errDown }, post(), 503},
	}
	for _, c := range cases {
		all = append(all, state{c.name, c.status, func(t *testing.T) *http.Response {
			b := setup(t)
			if c.bend != nil {
				c.bend(b)
			}
			return b.serve(t, c.r)
		}})
	}
	return all
}

type otherState struct {
	name   string
	write  func(*page.Pages, http.ResponseWriter, *http.Request)
	status int
}

// otherStates is the pages that the server's own handlers ask for.
func otherStates() (all []state) {
	const link = "otpauth://totp/understudy:ann?secret=JBSWY3DPEHPK3PXPJBSW"
	qr, err := totp.PNG(link, 200)
	if err != nil {
		panic(err)
	}
	action := "/sign-in?return_to=%2Fimpersonate%3Fa%3D1"
	cases := []otherState{
		{"sign-in", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{Action: action, App: "Billing <b>", RedirectURI: callback})
		}, 200},
		{"sign-in-failed", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 422, page.SignInView{Action: action, Email: `a"b@acme.test`, Failed: true})
		}, 422},
		{"sign-in-locked", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 429, page.SignInView{Action: action, Locked: 14*time.Minute + time.Second})
		}, 429},
		{"sign-in-expired", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 422, page.SignInView{Action: action, Expired: true})
		}, 422},
		{"sign-in-over", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{Action: action, App: "Billing portal", Over: true})
		}, 200},
		{"sign-in-upstream", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{Action: action, App: "Billing portal", Upstreams: []page.UpstreamChoice{{Action: "/sign-in/upstream/corp?return_to=%2F", Label: "Acme <b>"}, {Action: "/sign-in/upstream/partners", Label: "Partners"}}})
		}, 200},
		{"sign-in-upstream-alone", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{NoPassword: true, App: "Billing portal", Upstreams: []page.UpstreamChoice{{Action: "/sign-in/upstream/corp", Label: hostile.Name}}})
		}, 200},
		{"sign-in-upstream-failed", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 422, page.SignInView{Action: action, Failed: true, Email: "ann@acme.test", Upstreams: []page.UpstreamChoice{{Action: "/sign-in/upstream/corp", Label: "Acme"}}})
		}, 422},
		{"sign-in-emergency-link", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{NoPassword: true, PasswordURL: "/sign-in?local=1", Upstreams: []page.UpstreamChoice{{Action: "/sign-in/upstream/corp", Label: "Acme"}}})
		}, 200},
		{"sign-in-emergency", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignIn(w, r, 200, page.SignInView{Action: "/sign-in?local=1", Emergency: true})
		}, 200},
		{"leave", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Leave(w, r, page.LeaveView{URL: "https://idp.test/auth?a=1&b=2", Label: "Acme <b>"})
		}, 200},
		{"leave-signed-out", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Leave(w, r, page.LeaveView{URL: "https://idp.test/end?a=1&b=2", Label: "Acme <b>", SignedOut: true})
		}, 200},
		{"signed-out-here", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignedOut(w, r, page.SignedOutView{SignIn: "/sign-in?out=1", Upstream: hostile.Name})
		}, 200},
		{"signed-out-on", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignedOut(w, r, page.SignedOutView{SignIn: "/sign-in?out=1", Upstream: "Acme", On: page.Link{URL: "https://app.test/bye?state=1", Text: "Billing <b>"}})
		}, 200},
		{"second-factor", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SecondFactor(w, r, 200, page.SecondFactorView{Action: action, App: "Billing portal", RedirectURI: callback})
		}, 200},
		{"second-factor-failed", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SecondFactor(w, r, 422, page.SecondFactorView{Action: action, Failed: true})
		}, 422},
		{"enrol", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Enrol(w, r, 200, page.EnrolView{Action: action, Secret: "JBSWY3DPEHPK3PXPJBSW", Link: link, QR: qr})
		}, 200},
		{"enrol-hostile", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Enrol(w, r, 422, page.EnrolView{Action: action, Link: "javascript:alert(1)", QR: []byte("<svg>"), Locked: time.Second})
		}, 422},
		{"acting", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Acting(w, r, page.ActingView{Action: "/sign-in/acting?return_to=%2F", App: "Billing <b>", RedirectURI: callback, Me: "ann@acme.test", Subjects: []string{"Bob Marsh", hostile.Name}})
		}, 200},
		{"sign-out", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignOut(w, r, page.SignOutView{Action: "/sign-out?client_id=app", App: "Billing <b>", RedirectURI: callback, Me: "ann@acme.test"})
		}, 200},
		{"sign-out-unasked", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignOut(w, r, page.SignOutView{Action: "/sign-out", Me: `a"b@acme.test`})
		}, 200},
		{"signed-out", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.SignedOut(w, r, page.SignedOutView{SignIn: "/sign-in"})
		}, 200},
		{"home", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Home(w, r, page.Who{User: hostile})
		}, 200},
		{"error", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Error(w, r, page.ErrorView{Status: 418, Title: "No <tea>", Text: "A & B", RequestID: "req_9", Back: page.Link{URL: "/", Text: "Back"}})
		}, 418},
		{"error-default", func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.Error(w, r, page.ErrorView{Status: 503, RetryAfter: 1500 * time.Millisecond})
		}, 503},
	}
	for _, fault := range slices.Sorted(maps.Keys(upstreamFaults)) {
		cases = append(cases, otherState{"upstream-" + string(fault), func(p *page.Pages, w http.ResponseWriter, r *http.Request) {
			p.UpstreamFailed(w, r, fault, "Acme <b>", "/sign-in?out=1")
		}, upstreamFaults[fault]})
	}
	for _, c := range cases {
		all = append(all, state{c.name, c.status, func(t *testing.T) *http.Response {
			p, err := page.New(setup(t).cfg)
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			c.write(p, w, httptest.NewRequest(http.MethodGet, "/sign-in", nil))
			return w.Result()
		}})
	}
	return all
}

func TestPages(t *testing.T) {
	t.Parallel()
	for _, s := range states() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			got := s.answer(t)
			if got.StatusCode != s.status {
				t.Errorf("status %d, want %d", got.StatusCode, s.status)
			}
			text := body(t, got)
			wantHeaders(t, got)
			wantSound(t, text, s.status)
			golden(t, s.name, text)
			csp := got.Header.Get("Content-Security-Policy")
			if images := strings.Contains(csp, "img-src data:"); images != strings.HasPrefix(s.name, "enrol") {
				t.Errorf("CSP %q: images are for enrolling only", csp)
			}
		})
	}
}

// wantHeaders checks what must be on every answer.
func wantHeaders(t *testing.T, r *http.Response) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type": "text/html; charset=utf-8", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store", "Pragma": "no-cache", "Vary": "Cookie",
	} {
		if got := r.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	csp := r.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'; style-src 'self'; ") || !strings.HasSuffix(csp, "; base-uri 'none'; frame-ancestors 'none'") ||
		!strings.Contains(csp, "; form-action 'self'") || strings.Contains(csp, "unsafe") {
		t.Errorf("CSP is %q", csp)
	}
}

// wantSound checks what must hold of every page's HTML.
func wantSound(t *testing.T, text string, status int) {
	t.Helper()
	for _, once := range []string{"<h1>", `<main id="main"`, `<html lang="en">`, `href="#main"`, "<header", " – understudy</title>"} {
		if n := strings.Count(text, once); n != 1 {
			t.Errorf("%d times %s, want once", n, once)
		}
	}
	if failed := strings.Contains(text, "<title>Error: "); failed != (status >= 400) {
		t.Errorf("title is marked as error: %v, with status %d", failed, status)
	}
	for _, never := range []string{"<script", "<style", " style=", " onclick", "javascript:", "ZgotmplZ", "\u202e", "<b>", "never.shown", "never shown", "10.0.0.1", "MISSING"} {
		if strings.Contains(text, never) {
			t.Errorf("the page holds %q", never)
		}
	}
	if strings.Contains(text, "%!") {
		t.Error("a message got other values than it has places for")
	}
}

func TestErrorHeaders(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.refuse = errors.Join(errDown)
	r := b.serve(t, post())
	if got := r.Header.Get("Retry-After"); got != "5" {
		t.Errorf("Retry-After %q, want 5", got)
	}
	if !strings.Contains(b.log.String(), "10.0.0.1") || strings.Count(b.log.String(), "\n") != 1 {
		t.Errorf("log holds %q, want the cause, once", b.log.String())
	}
	if strings.Contains(b.log.String(), string(ticket)) || oauth.Secret(ticket).String() == string(ticket) {
		t.Error("the ticket is in the log")
	}
}
