package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
)

// TestParameters holds that each fault of the app is a page that names it, and never a redirect.
func TestParameters(t *testing.T) {
	t.Parallel()
	with := func(change ...string) string { return query(change...).Encode() }
	cases := []struct {
		name, query     string
		status          int
		parameter, rule string
	}{
		{"no client_id", with("client_id", ""), 400, "client_id", "must be given"},
		{"long client_id", with("client_id", strings.Repeat("a", 256)), 400, "client_id", "at most"},
		{"unknown client", with("client_id", "nobody"), 400, "client_id", "no such client"},
		{"no redirect_uri", with("redirect_uri", ""), 400, "redirect_uri", "must be given"},
		{"other redirect_uri", with("redirect_uri", "https://evil.example/"), 400, "redirect_uri", "not registered"},
		{"redirect_uri with more path", with("redirect_uri", callback+"/x"), 400, "redirect_uri", "not registered"},
		{"redirect_uri in capitals", with("redirect_uri", strings.ToUpper(callback)), 400, "redirect_uri", "not registered"},
		{"registered script", with("redirect_uri", "javascript:alert(1)"), 400, "redirect_uri", "http or https"},
		{"registered with a fragment", with("redirect_uri", "https://app.example/cb#f"), 400, "redirect_uri", "fragment"},
		{"registered host that ends the header", with("redirect_uri", "https://x;y.example/"), 400, "redirect_uri", "http or https"},
		{"no state", with("state", ""), 400, "state", "must be given"},
		{"long state", with("state", strings.Repeat("s", 513)), 400, "state", "at most"},
		{"state beyond ASCII", with("state", "é"), 400, "state", "printable ASCII"},
		{"no challenge", with("code_challenge", ""), 400, "code_challenge", "must be given"},
		{"short challenge", with("code_challenge", "abc"), 400, "code_challenge", "43 characters"},
		{"padded challenge", with("code_challenge", strings.Repeat("c", 42)+"="), 400, "code_challenge", "43 characters"},
		{"no method", with("code_challenge_method", ""), 400, "code_challenge_method", "S256"},
		{"plain", with("code_challenge_method", "plain"), 400, "code_challenge_method", "S256"},
		{"relative resource", with("resource", "/api"), 400, "resource", "absolute URI"},
		{"resource with a fragment", with("resource", "https://api.example/#a"), 400, "resource", "fragment"},
		{"foreign resource", with("resource", "https://other.example/"), 400, "resource", "not registered"},
		{"scope with a quote", with("scope", `a"b`), 400, "scope", "quote"},
		{"long scope", with("scope", strings.Repeat("s", 1025)), 400, "scope", "1024"},
		{"long subject", with("subject", strings.Repeat("u", 256)), 400, "subject", "at most"},
		{"long reason", with("reason", strings.Repeat("é", 501)), 400, "reason", "500"},
		{"long ticket_number", with("ticket_number", strings.Repeat("é", 65)), 400, "ticket_number", "64"},
		{"long cursor", with("after", strings.Repeat("a", 2049)), 400, "after", "cursor"},
		{"repeated", with() + "&state=x", 400, "state", "more than once"},
		{"repeated client", with() + "&client_id=billing", 400, "client_id", "more than once"},
		{"not UTF-8", with() + "&q=%ff", 400, "q", "UTF-8"},
		{"control character", with() + "&subject=a%00b", 400, "subject", "control characters"},
		{"8 KiB", with("q", strings.Repeat("a", 9000)), 414, "q", "too long"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
				b := setup(t)
				r := httptest.NewRequest(method, "/impersonate?"+c.query, strings.NewReader("action=cancel"))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				got := b.serve(t, r)
				if got.StatusCode != c.status || got.Header.Get("Location") != "" {
					t.Errorf("%s: got %s, Location %q; want %d and no Location", method, got.Status, got.Header.Get("Location"), c.status)
				}
				text := body(t, got)
				if !strings.Contains(text, "<code>"+c.parameter+"</code>") || !strings.Contains(text, c.rule) {
					t.Errorf("%s: the page does not name %q and %q:\n%s", method, c.parameter, c.rule, text)
				}
				if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self';") {
					t.Errorf("%s: a page about a bad request lets forms go elsewhere: %s", method, csp)
				}
			}
		})
	}
}

// TestBodies holds that what no browser sends is refused, and that nothing is asked for then.
func TestBodies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		status int
		says   string
	}{
		"no action":   {"subject=usr_bob", 400, "impersonate or cancel"},
		"no subject":  {"action=impersonate", 400, "<code>subject</code>"},
		"bad subject": {"action=impersonate&subject=%C3%A9", 400, "<code>subject</code>"},
		"repeated":    {"action=cancel&action=impersonate", 400, "more than once"},
		"not UTF-8":   {"action=impersonate&subject=usr_bob&reason=%ff", 400, "UTF-8"},
		"control":     {"action=impersonate&subject=usr_bob&ticket_number=%0a", 400, "control characters"},
		"64 KiB":      {"action=impersonate&subject=usr_bob&reason=" + strings.Repeat("a", 64<<10), 413, "too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			got := b.serve(t, postBody(c.body))
			if text := body(t, got); got.StatusCode != c.status || !strings.Contains(text, c.says) {
				t.Errorf("got %s, want %d and %q in\n%s", got.Status, c.status, c.says, text)
			}
			if b.issued != nil {
				t.Errorf("a ticket was asked for: %v", b.issued)
			}
		})
	}
}

func TestTicket(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := post("reason", "  Cannot see\r\nthe last invoice ", "minutes", "60")
	r.URL.RawQuery = query("resource", "https://api.example/", "scope", "b a", "subject", "usr_marta", "reason", "from the link").Encode()
	got := b.serve(t, r)
	to, q := location(t, got)
	want := url.Values{"tenant": {"1"}, "ticket": {string(ticket)}, "state": {"s&1"}, "iss": {issuer}}
	if diff := cmp.Diff(want, q); diff != "" || to != "https://app.example/.understudy/callback" {
		t.Errorf("went to %s; query (-want +got):\n%s", to, diff)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Vary": "Cookie"} {
		if h := got.Header.Get(name); h != want {
			t.Errorf("%s: got %q, want %q", name, h, want)
		}
	}
	asked := []impersonation.TicketRequest{{
		Client: "billing", RedirectURI: callback, Actor: "usr_ann", Login: "lgn_1", Subject: "usr_bob", Mode: oauth.ModeRead, Scope: []string{"a", "b"},
		Resource: "https://api.example/", Duration: time.Hour, Reason: "Cannot see\nthe last invoice", TicketNumber: "SUP-1",
		CodeChallenge: strings.Repeat("c", 43), RequestID: "req_1",
	}}
	if diff := cmp.Diff(asked, b.issued); diff != "" {
		t.Errorf("ticket asked for (-want +got):\n%s", diff)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.signed = false // cancelling asks for nothing
	to, q := location(t, b.serve(t, postBody("action=cancel&reason=x&mode=nonsense")))
	want := url.Values{"tenant": {"1"}, "error": {"access_denied"}, "state": {"s&1"}, "iss": {issuer}}
	if diff := cmp.Diff(want, q); diff != "" || to != "https://app.example/.understudy/callback" || b.issued != nil {
		t.Errorf("went to %s, tickets %v; query (-want +got):\n%s", to, b.issued, diff)
	}
}

// TestSignInKeepsAll holds that the way over the sign-in page loses nothing, and comes back to a GET.
func TestSignInKeepsAll(t *testing.T) {
	t.Parallel()
	asked := query("resource", "https://api.example/", "scope", "b a", "subject", "usr_bob", "reason", "two\nlines", "ticket_number", "SUP-1", "q", "bob", "after", "usr_a")
	typed := query("subject", "usr_bob", "reason", "Cannot see the last invoice", "ticket_number", "SUP-1")
	for name, c := range map[string]struct {
		r    *http.Request
		want url.Values
	}{
		"GET":  {httptest.NewRequest(http.MethodGet, "/impersonate?"+asked.Encode(), nil), asked},
		"POST": {post(), typed},
	} {
		b := setup(t)
		b.signed = false
		to, q := location(t, b.serve(t, c.r))
		back, err := url.Parse(q.Get("return_to"))
		if err != nil || to != "/sign-in" || back.Path != "/impersonate" || back.Host != "" {
			t.Errorf("%s: went to %s and back to %v (%v)", name, to, back, err)
			continue
		}
		if diff := cmp.Diff(c.want, back.Query()); diff != "" || b.issued != nil {
			t.Errorf("%s: comes back with (-want +got):\n%s", name, diff)
		}
	}
}

// TestStepUpKeepsAll holds that who must sign in again, or set up a second factor first, finds the form as it was.
func TestStepUpKeepsAll(t *testing.T) {
	t.Parallel()
	for _, enrolled := range []bool{true, false} {
		b := setup(t)
		var again, enrol, back string
		b.cfg.SignInURL = func(who page.Who, to string) string {
			if !who.User.SecondFactor {
				return ""
			}
			again = to
			return "/sign-in"
		}
		b.cfg.SecondFactorURL = func(to string) string { enrol = to; return "/sign-in/second-factor" }
		b.who.User.SecondFactor = enrolled
		b.refuse = refusal("Second factor.", policy.NeedStepUp)
		b.serve(t, post())
		if back = again; !enrolled {
			back = enrol
		}
		if (again != "") != enrolled || (enrol != "") == enrolled {
			t.Fatalf("enrolled %v: sign in again %q, enrol %q", enrolled, again, enrol)
		}
		u, err := url.Parse(back)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(query("subject", "usr_bob", "reason", "Cannot see the last invoice", "ticket_number", "SUP-1"), u.Query()); diff != "" {
			t.Errorf("comes back with (-want +got):\n%s", diff)
		}
		b.refuse = nil
		if text := body(t, b.serve(t, httptest.NewRequest(http.MethodGet, back, nil))); !strings.Contains(text, "Cannot see the last invoice</textarea>") {
			t.Errorf("the reason is lost:\n%s", text)
		}
	}
}

// TestUnknownAlike holds that a stranger cannot tell who exists: by link, by POST, by status, by words.
func TestUnknownAlike(t *testing.T) {
	t.Parallel()
	ask := func(subject string, asPost bool) (int, string, *bench) {
		b := setup(t)
		b.refuse = refusal("Omar is protected.")
		r := get("subject", subject)
		if asPost {
			r = post("subject", subject)
		}
		got := b.serve(t, r)
		return got.StatusCode, body(t, got), b
	}
	status, words, _ := ask("usr_nobody", false)
	for _, subject := range []string{"usr_nobody", "usr_omar"} {
		for _, asPost := range []bool{false, true} {
			s, w, b := ask(subject, asPost)
			if diff := cmp.Diff(words, w); s != status || diff != "" {
				t.Errorf("%s, POST %v: status %d (want %d), page differs:\n%s", subject, asPost, s, status, diff)
			}
			if asked := len(b.issued) == 1; asked != asPost {
				t.Errorf("%s, POST %v: put on record: %v", subject, asPost, asked)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, m := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions, "FETCH"} {
		r := httptest.NewRequest(m, "/impersonate?"+query().Encode(), nil)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		got := b.serve(t, r)
		if got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD, POST" {
			t.Errorf("%s: got %s, Allow %q", m, got.Status, got.Header.Get("Allow"))
		}
	}
	r := httptest.NewRequest(http.MethodHead, "/impersonate?"+query("subject", "usr_bob").Encode(), nil)
	if got := b.serve(t, r); got.StatusCode != http.StatusOK || b.issued != nil {
		t.Errorf("HEAD: got %s, tickets %v", got.Status, b.issued)
	}
}

// TestOtherOrigins holds that no other page can press the button, the subject's own app included.
func TestOtherOrigins(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		header, value string
		status        int
	}{
		"same origin":  {"Sec-Fetch-Site", "same-origin", 303},
		"cross site":   {"Sec-Fetch-Site", "cross-site", 403},
		"sibling":      {"Sec-Fetch-Site", "same-site", 403},
		"null origin":  {"Origin", "null", 403},
		"other origin": {"Origin", "https://evil.example", 403},
	} {
		b := setup(t)
		r := post()
		r.Header.Del("Sec-Fetch-Site")
		r.Header.Set(c.header, c.value)
		if got := b.serve(t, r); got.StatusCode != c.status || (len(b.issued) > 0) != (c.status == 303) {
			t.Errorf("%s: got %s and %d tickets, want %d", name, got.Status, len(b.issued), c.status)
		}
	}
	b := setup(t) // a link, whatever it holds, starts nothing
	r := get("subject", "usr_bob", "reason", "Cannot see the last invoice", "action", "impersonate", "mode", "write", "minutes", "60")
	if got := b.serve(t, r); got.StatusCode != http.StatusOK || b.issued != nil {
		t.Errorf("GET: %s, tickets %v", got.Status, b.issued)
	}
}

// TestFormAction holds that Chromium lets the answer through to the app, and to no other.
func TestFormAction(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, r := range []*http.Request{get(), get("subject", "usr_bob"), get("subject", "usr_nobody"), post("reason", "x")} {
		if csp := b.serve(t, r).Header.Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://app.example;") {
			t.Errorf("%s %s: CSP %q", r.Method, r.URL, csp)
		}
	}
}

func TestSignedInFails(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.cfg.SignedIn = func(*http.Request) (page.Who, bool, error) { return page.Who{}, true, errDown }
	if got := b.serve(t, get("subject", "usr_bob")); got.StatusCode != http.StatusServiceUnavailable || got.Header.Get("Retry-After") == "" {
		t.Errorf("got %s, Retry-After %q; want 503", got.Status, got.Header.Get("Retry-After"))
	}
	b = setup(t)
	b.cfg.Clients = func(context.Context, string) (page.Client, error) { return page.Client{}, errDown }
	if got := b.serve(t, get()); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("clients: got %s, want 503", got.Status)
	}
}

func TestClientMustExchange(t *testing.T) {
	t.Parallel()
	for name, bend := range map[string]func(*policy.Client){
		"public":      func(c *policy.Client) { c.Public = true },
		"no exchange": func(c *policy.Client) { c.Exchange = false },
	} {
		b := setup(t)
		bend(&b.client.Policy)
		if got := b.serve(t, get()); got.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: got %s, want 400", name, got.Status)
		}
	}
}

// TestOffers holds what is shown against what the decider would allow.
func TestOffers(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name        string
		read, write int // the most minutes
		minutes     []int
		checked     int
		mode        string
	}{
		{"an hour of both", 60, 60, []int{15, 30, 60}, 30, "read"},
		{"half an hour", 30, 0, []int{15, 30}, 30, "read"},
		{"a quarter", 15, 15, []int{15}, 15, "read"},
		{"longer to look", 60, 15, []int{15, 30, 60}, 30, "read"},
		{"ten minutes", 10, 0, []int{10}, 10, "read"},
		{"two minutes", 2, 0, []int{1}, 1, "read"},
		{"full access only", 0, 30, []int{15, 30}, 30, "write"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.decide = func(r policy.Request) policy.Decision {
				most := map[oauth.Mode]int{oauth.ModeRead: c.read, oauth.ModeWrite: c.write}[r.Mode]
				// As a rule may: allow, but for less. That must not be shown as more.
				return policy.Decision{Allow: most > 0, MaxDuration: min(r.Duration, time.Duration(most)*time.Minute)}
			}
			text := body(t, b.serve(t, get("subject", "usr_bob")))
			for _, n := range []int{1, 5, 10, 15, 30, 60} {
				radio := fmt.Sprintf(`name="minutes" value="%d"`, n)
				if shown, want := strings.Contains(text, radio), contains(c.minutes, n); shown != want {
					t.Errorf("%d minutes shown: %v, want %v", n, shown, want)
				}
				if checked := strings.Contains(text, radio+" required checked"); checked != (n == c.checked) {
					t.Errorf("%d minutes checked: %v", n, checked)
				}
			}
			for mode, most := range map[string]int{"read": c.read, "write": c.write} {
				radio := fmt.Sprintf(`name="mode" value="%s" required`, mode)
				if off := strings.Contains(text, radio+" disabled"); off != (most == 0) {
					t.Errorf("%s disabled: %v", mode, off)
				}
				if checked := strings.Contains(text, radio+" checked"); checked != (mode == c.mode) {
					t.Errorf("%s checked: %v", mode, checked)
				}
			}
		})
	}
}

func contains(all []int, n int) bool {
	for _, x := range all {
		if x == n {
			return true
		}
	}
	return false
}

// TestFormRules holds that what is not on offer is not asked for, however it is posted.
func TestFormRules(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change []string
		field  string
	}{
		"short reason":        {[]string{"reason", "         x         "}, "reason"},
		"long reason":         {[]string{"reason", strings.Repeat("é", 501)}, "reason"},
		"long ticket number":  {[]string{"ticket_number", strings.Repeat("é", 65)}, "ticket_number"},
		"disabled mode":       {[]string{"mode", "write"}, "mode"},
		"unknown mode":        {[]string{"mode", "admin"}, "mode"},
		"minutes not offered": {[]string{"minutes", "45"}, "minutes"},
		"minutes, negative":   {[]string{"minutes", "-30"}, "minutes"},
		"minutes, words":      {[]string{"minutes", "half"}, "minutes"},
	} {
		b := setup(t)
		got := b.serve(t, post(c.change...))
		text := body(t, got)
		if got.StatusCode != http.StatusUnprocessableEntity || b.issued != nil || !strings.Contains(text, `<li><a href="#`+c.field+`">`) ||
			strings.Count(text, "<li>") != 1 || !strings.Contains(text, `id="`+c.field+`"`) || !strings.Contains(text, "SUP-1") && c.field != "ticket_number" {
			t.Errorf("%s: got %s, %d tickets, want 422 that links to %s and keeps values:\n%s", name, got.Status, len(b.issued), c.field, text)
		}
	}
	b := setup(t) // 500 characters are 500 characters, in whatever script
	if got := b.serve(t, post("reason", strings.Repeat("語", 499)+"\r\n語")); got.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("501 characters: got %s", got.Status)
	}
	if got := b.serve(t, post("reason", strings.Repeat("語", 498)+"\r\n語")); got.StatusCode != http.StatusSeeOther {
		t.Errorf("500 characters: got %s", got.Status)
	}
}

// TestOpeningIsRecorded: a link that opens one user is as good as a search, so it is on record, or nobody is shown.
func TestOpeningIsRecorded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.serve(t, get("subject", "usr_bob"))
	if diff := cmp.Diff([]string{"id:usr_bob"}, b.queries); diff != "" {
		t.Errorf("recorded (-want +got):\n%s", diff)
	}
	b = setup(t)
	b.cfg.Searched = func(context.Context, page.Who, string) error { return page.ErrTooMany }
	if r := b.serve(t, get("subject", "usr_bob")); r.StatusCode != http.StatusTooManyRequests || strings.Contains(body(t, r), "Bob") {
		t.Errorf("got %d; want 429 and nobody shown", r.StatusCode)
	}
}
