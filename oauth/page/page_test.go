package page_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/page"
	"github.com/understudy-id/understudy/oauth/policy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const (
	issuer   = "https://id.example"
	callback = "https://app.example/.understudy/callback?tenant=1"
	ticket   = oauth.Secret("ticket-ticket-ticket-ticket-ticket-ticket-t")
)

var now = time.Date(2026, 11, 22, 21, 30, 0, 0, time.UTC)

// bench is a set of pages over fakes, which a test may bend before its first request.
type bench struct {
	cfg     page.Config
	who     page.Who
	signed  bool
	client  page.Client
	users   people
	issued  []impersonation.TicketRequest
	refuse  error
	decide  func(policy.Request) policy.Decision
	queries []string
	trail   trail
	log     syncBuffer
	pages   *page.Pages
}

// people is a directory in a slice, ordered by name.
type people struct {
	all  []directory.User
	fail error
	seen []directory.Query
}

func (p *people) Get(_ context.Context, id string) (directory.User, error) {
	if p.fail != nil {
		return directory.User{}, p.fail
	}
	for _, u := range p.all {
		if u.ID == id {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (p *people) ByEmail(_ context.Context, email string) (directory.User, error) {
	if p.fail != nil {
		return directory.User{}, p.fail
	}
	for _, u := range p.all {
		if u.Email == email {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (p *people) ByIdentity(_ context.Context, id oauth.Party) (directory.User, error) {
	if p.fail != nil {
		return directory.User{}, p.fail
	}
	for _, u := range p.all {
		if slices.Contains(u.Identities, id) {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (p *people) Search(_ context.Context, q directory.Query) (page []directory.User, next string, err error) {
	p.seen = append(p.seen, q)
	if p.fail != nil {
		return nil, "", p.fail
	}
	for _, u := range p.all {
		if u.ID <= q.After || !q.AnyOrganisation && u.Organisation != q.Organisation ||
			!strings.Contains(strings.ToLower(u.Name+u.Email), strings.ToLower(q.Text)) {
			continue
		}
		if len(page) == q.Limit {
			return page, page[q.Limit-1].ID, nil
		}
		page = append(page, u)
	}
	return page, "", nil
}

// Decide allows Acme's people: look only for an hour, full access never. Protected ones not at all.
func (b *bench) Decide(_ context.Context, r policy.Request) policy.Decision {
	if b.decide != nil {
		return b.decide(r)
	}
	switch {
	case r.Subject.Organisation != "Acme Ltd" || r.Subject.Protected:
		return policy.Decision{Advice: "never shown"}
	case r.Mode == oauth.ModeWrite:
		return policy.Decision{Advice: "Your role may look only."}
	}
	return policy.Decision{Allow: true, Mode: r.Mode, MaxDuration: r.Duration}
}

func (b *bench) IssueTicket(_ context.Context, r impersonation.TicketRequest) (oauth.Secret, error) {
	b.issued = append(b.issued, r)
	return ticket, b.refuse
}

type syncBuffer struct {
	mu sync.Mutex
	strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Builder.Write(p)
}

func user(id, name, email string) directory.User {
	return directory.User{ID: id, Name: name, Email: email, Organisation: "Acme Ltd", Enabled: true}
}

func setup(t *testing.T) *bench {
	t.Helper()
	b := &bench{signed: true}
	ann := user("usr_ann", "Ann Lee", "ann@acme.test")
	ann.Roles = []string{"support"}
	bob := user("usr_bob", "Bob Marsh", "bob@acme.test")
	bob.LastSignIn = time.Date(2026, 11, 21, 16, 40, 0, 0, time.UTC)
	omar := user("usr_omar", "Omar Marsh", "omar@acme.test")
	omar.Protected = true
	b.users.all = []directory.User{ann, bob, user("usr_marta", "Marta Ruiz", "marta@acme.test"), omar}
	b.who = page.Who{User: ann, Login: impersonation.Login{ID: "lgn_1", User: ann.ID, AuthTime: now, AMR: []string{"pwd"}}}
	b.client = page.Client{
		Policy: policy.Client{ID: "billing", Exchange: true, Resources: []string{"https://api.example/"}},
		Name:   "Billing portal", RedirectURIs: []string{callback, "javascript:alert(1)", "https://x;y.example/", "https://app.example/cb#f"},
	}
	b.cfg = page.Config{
		Issuer:       issuer,
		SignedIn:     func(*http.Request) (page.Who, bool, error) { return b.who, b.signed, nil },
		SignedOutURL: func(_ *http.Request, to string) string { return "/sign-in?" + url.Values{"return_to": {to}}.Encode() },
		SignInURL: func(who page.Who, to string) string {
			if !who.User.SecondFactor {
				return ""
			}
			return "/sign-in?" + url.Values{"return_to": {to}}.Encode()
		},
		SecondFactorURL: func(to string) string { return "/sign-in/second-factor?" + url.Values{"return_to": {to}}.Encode() },
		Directory:       &b.users, Decider: b, Tickets: b,
		MayImpersonate:  func(p policy.Person) bool { return slices.Contains(p.Roles, "support") },
		AnyOrganisation: func(policy.Person) bool { return false },
		Clients: func(_ context.Context, id string) (page.Client, error) {
			if id != "billing" {
				return page.Client{}, page.ErrNoClient
			}
			return b.client, nil
		},
		Searched: func(_ context.Context, _ page.Who, q string) error { b.queries = append(b.queries, q); return nil },
		MayAudit: func(p policy.Person) bool { return slices.Contains(p.Roles, "auditor") },
		Trail:    b.trail.read, Session: b.trail.session,
		RequestID:  func(context.Context) string { return "req_1" },
		Logger:     slog.New(slog.NewTextHandler(&b.log, nil)),
		Now:        func() time.Time { return now },
		SupportURL: "https://help.example/",
	}
	return b
}

// serve sends r through the pages as a server mounts them.
func (b *bench) serve(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	if b.pages == nil {
		var err error
		if b.pages, err = page.New(b.cfg); err != nil {
			t.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("/impersonate", http.NewCrossOriginProtection().Handler(b.pages.Impersonate()))
	mux.Handle("/audit", b.pages.Audit())
	mux.Handle("/static/", b.pages.Static())
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	return w.Result()
}

// query is what an app sends, changed by name-value pairs; "" takes a parameter out.
func query(change ...string) url.Values {
	v := url.Values{
		"client_id": {"billing"}, "redirect_uri": {callback}, "state": {"s&1"}, "code_challenge": {strings.Repeat("c", 43)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(change); i += 2 {
		if v.Set(change[i], change[i+1]); change[i+1] == "" {
			v.Del(change[i])
		}
	}
	return v
}

func get(change ...string) *http.Request {
	return httptest.NewRequest(http.MethodGet, "/impersonate?"+query(change...).Encode(), nil)
}

// post is a filled-in form, changed by name-value pairs.
func post(change ...string) *http.Request {
	body := url.Values{
		"subject": {"usr_bob"}, "reason": {"Cannot see the last invoice"}, "ticket_number": {"SUP-1"}, "mode": {"read"}, "minutes": {"30"}, "action": {"impersonate"},
	}
	for i := 0; i < len(change); i += 2 {
		body.Set(change[i], change[i+1])
	}
	return postBody(body.Encode())
}

func postBody(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/impersonate?"+query().Encode(), strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	return r
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// location is where an answer sends the browser: the part before its query, and the query.
func location(t *testing.T, r *http.Response) (string, url.Values) {
	t.Helper()
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil || r.StatusCode != http.StatusSeeOther {
		t.Fatalf("got %s with Location %q (%v), want a 303", r.Status, r.Header.Get("Location"), err)
	}
	q := u.Query()
	u.RawQuery = ""
	return u.String(), q
}

var sheet = regexp.MustCompile(`/static/us\.[0-9a-f]{16}\.css`)

func golden(t *testing.T, name, got string) {
	t.Helper()
	got = sheet.ReplaceAllString(got, "/static/us.HASH.css") // else each change of a colour changes every golden file
	file := filepath.Join("testdata", name+".html")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs from its golden file (-want +got); run with -update if that is right:\n%s", name, diff)
	}
}

func TestNewNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	for want, bend := range map[string]func(*page.Config){
		"Issuer":          func(c *page.Config) { c.Issuer = "" },
		"SignedIn":        func(c *page.Config) { c.SignedIn = nil },
		"SignedOutURL":    func(c *page.Config) { c.SignedOutURL = nil },
		"SecondFactorURL": func(c *page.Config) { c.SecondFactorURL = nil },
		"Directory":       func(c *page.Config) { c.Directory = nil },
		"MayImpersonate":  func(c *page.Config) { c.MayImpersonate = nil },
		"AnyOrganisation": func(c *page.Config) { c.AnyOrganisation = nil },
		"Searched":        func(c *page.Config) { c.Searched = nil },
		"MayAudit":        func(c *page.Config) { c.MayAudit = nil },
		"Trail":           func(c *page.Config) { c.Trail = nil },
		"Session":         func(c *page.Config) { c.Session = nil },
		"SupportURL":      func(c *page.Config) { c.SupportURL = "javascript:alert(1)" },
	} {
		b := setup(t)
		bend(&b.cfg)
		if _, err := page.New(b.cfg); err == nil || !strings.Contains(err.Error(), "Config."+want) {
			t.Errorf("New without %s = %v; want an error that names it", want, err)
		}
	}
}

var errDown = errors.New("dial tcp 10.0.0.1:5432: connection refused")
