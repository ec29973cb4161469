package rp_test

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
	"github.com/understudy-id/understudy/oauth/store"
)

// inbox is what an app keeps about one user.
type inbox struct {
	lastSeen time.Time
	read     bool
	counted  int
}

func (i inbox) String() string {
	return fmt.Sprintf("seen: %v, read: %v, counted: %d", !i.lastSeen.IsZero(), i.read, i.counted)
}

// What a user does by merely looking, they do themselves: each of these asks before it writes.
func ExampleImpersonating() {
	touchLastSeen := func(ctx context.Context, i *inbox) {
		if !rp.Impersonating(ctx) { // else "you were last here" tells of a visit that was not theirs
			i.lastSeen = time.Now()
		}
	}
	markRead := func(ctx context.Context, i *inbox) {
		if !rp.Impersonating(ctx) { // else the user never sees that it was new
			i.read = true
		}
	}
	count := func(ctx context.Context, i *inbox) {
		if !rp.Impersonating(ctx) { // else support looks like use
			i.counted++
		}
	}
	show := func(r *http.Request) {
		var john inbox
		handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			touchLastSeen(r.Context(), &john)
			markRead(r.Context(), &john)
			count(r.Context(), &john)
		})
		handler.ServeHTTP(httptest.NewRecorder(), r)
		fmt.Println(john)
	}
	ann, john := rp.Person{Subject: "ann"}, rp.Person{Subject: "john"}
	show(rptest.SignedIn(httptest.NewRequest("GET", "/inbox/7", nil), john))
	show(rptest.Impersonate(httptest.NewRequest("GET", "/inbox/7", nil), ann, john, oauth.ModeWrite))
	// Output:
	// seen: true, read: true, counted: 1
	// seen: false, read: false, counted: 0
}

// In a template of html/template, by a function of the request's own.
func ExampleMask() {
	page := template.Must(template.New("account").Funcs(template.FuncMap{"mask": func(s string) string { return s }}).Parse("IBAN {{mask .}}\n"))
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := template.Must(page.Clone()).Funcs(template.FuncMap{"mask": func(s string) string { return rp.Mask(r.Context(), s) }})
		if err := mine.Execute(w, "DE89370400440532013000"); err != nil {
			http.Error(w, "sorry", http.StatusInternalServerError)
		}
	})
	ann, john := rp.Person{Subject: "ann"}, rp.Person{Subject: "john"}
	for _, r := range []*http.Request{
		rptest.SignedIn(httptest.NewRequest("GET", "/account", nil), john),
		rptest.Impersonate(httptest.NewRequest("GET", "/account", nil), ann, john, oauth.ModeRead),
	} {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		io.Copy(os.Stdout, w.Body)
	}
	// Output:
	// IBAN DE89370400440532013000
	// IBAN ••••3000
}

// TestMask shows no short value and no length, and nothing but the whole to the user themselves.
func TestMask(t *testing.T) {
	t.Parallel()
	ann, john := rp.Person{Subject: "ann"}, rp.Person{Subject: "john"}
	acting := rptest.Impersonate(httptest.NewRequest(http.MethodGet, "/", nil), ann, john, oauth.ModeWrite).Context()
	own := rptest.SignedIn(httptest.NewRequest(http.MethodGet, "/", nil), john).Context()
	for value, want := range map[string]string{
		"": "", "1": "••••", "1234": "••••", "1234567": "••••", "12345678": "••••5678", "123456789012345678": "••••5678", "äöüßÄÖÜẞ": "••••ÄÖÜẞ", "äöüß": "••••",
	} {
		if got := rp.Mask(acting, value); got != want {
			t.Errorf("%q is shown as %q, want %q", value, got, want)
		}
		for _, ctx := range []context.Context{own, t.Context()} {
			if got := rp.Mask(ctx, value); got != value {
				t.Errorf("%q is shown as %q to its own", value, got)
			}
		}
	}
}

// TestIdle: every request keeps a session alive, and ten minutes without one end it, at the app and at the issuer.
func TestIdle(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		b := h.ann()
		b.impersonate("john", "read")
		for range 3 {
			h.clock.advance(8 * time.Minute)
			if r := b.get(h.asUser + "/"); r.status != http.StatusOK {
				t.Fatalf("after eight minutes: %d %s", r.status, r.body)
			}
		}
		b.post(h.asUser + "/.understudy/stop")
		h.login(b, "ann")
		b.impersonate("eve", "write")
		h.clock.advance(10 * time.Minute)
		h.taken(&h.seen)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			if r := b.one(method, h.asUser+"/note", nil); r.status != http.StatusForbidden {
				t.Errorf("%s after ten minutes: %d, want 403", method, r.status)
			}
		}
		nobodyElse(t, h, b, "idle")
		page, _, err := h.store.Sessions(t.Context(), store.SessionQuery{Now: h.clock.Now()})
		h.must(err)
		if n := h.live(); n != 0 || len(page) != 2 {
			t.Fatalf("%d of %d sessions go on", n, len(page))
		}
		reasons := map[string]impersonation.EndReason{}
		for _, s := range page {
			reasons[cmp.Or(s.Subject, "?")] = s.EndReason
		}
		if reasons["eve"] != impersonation.EndIdle || reasons["john"] == impersonation.EndIdle {
			t.Errorf("ended for %v", reasons)
		}
	})
}
