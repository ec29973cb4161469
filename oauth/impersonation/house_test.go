package impersonation_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

const (
	issuer    = "https://as.example"
	verifier  = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
)

// house is the rules over a fresh store, at a time that stands still until a test moves it.
type house struct {
	*testing.T
	*impersonation.Service
	store  *sqlite.Store
	config impersonation.Config // of the service: any number of sessions at once
	now    time.Time
	log    *bytes.Buffer
	mu     sync.Mutex
}

func setup(t *testing.T) *house {
	t.Helper()
	return setupWith(t, func(d policy.Decider) policy.Decider { return d })
}

func setupWith(t *testing.T, wrap func(policy.Decider) policy.Decider) *house {
	t.Helper()
	st, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	r := policy.Default()
	r.Resources = append(r.Resources, policy.Resource{URI: namedResource, AcceptsAct: true})
	rules, err := policy.New(r, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{T: t, store: st, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC), log: new(bytes.Buffer)}
	h.config = impersonation.Config{
		Issuer: issuer, Store: st, Decider: wrap(rules), Now: h.clock, Logger: slog.New(slog.NewTextHandler(h.log, nil)), MaxSessions: -1,
		Lifetimes: impersonation.Lifetimes{Ticket: time.Minute, Idle: 10 * time.Minute, LoginIdle: time.Hour, ReturnExtra: 5 * time.Minute, DoubleClick: time.Minute},
	}
	h.Service, err = impersonation.New(h.config)
	h.ok(err)
	for _, u := range []directory.User{
		{ID: "ann", Email: "ann@acme.test", Name: "Ann Admin", Roles: []string{"admin"}},
		{ID: "john", Email: "john@acme.test", Name: "John Doe", Organisation: "acme"},
		{ID: "eve", Email: "eve@acme.test", Name: "Eve Doe", Organisation: "acme"},
	} {
		u.Enabled, u.Created = true, h.now
		h.ok(st.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: u}))
	}
	for _, id := range []string{"app", "other"} {
		h.ok(st.CreateClient(t.Context(), store.ClientWrite{Write: h.write(), Client: store.Client{Client: policy.Client{
			ID: id, Exchange: true, Resources: []string{policy.DefaultResource}, Scopes: []string{"openid", "profile", "app:read", "app:write"},
		}}}))
	}
	return h
}

// namedResource is for a client that knows people by other names.
const namedResource = "urn:understudy:resource:named"

func (h *house) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *house) ok(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

func (h *house) write() impersonation.Write { return impersonation.Write{Now: h.clock()} }

// proof signs ann in for life and gives a token of left at app.
func (h *house) proof(life, left time.Duration) impersonation.ActorProof {
	h.Helper()
	now, secret := h.clock(), oauth.NewSecret()
	l := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann", AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: now.Add(life)}
	h.ok(h.store.CreateLogin(h.Context(), store.LoginWrite{Write: h.write(), Login: l, Cookie: secret.Hash()}))
	g := store.Grant{ID: oauth.NewID("grt"), Client: "app", User: "ann", Login: l.ID, CodeHash: secret.Hash(), Created: now, CodeExpires: now, JTI: oauth.NewID("tok"),
		Issued: now, Expires: now.Add(left)}
	h.ok(h.store.CreateGrant(h.Context(), g))
	return impersonation.ActorProof{User: "ann", Login: l.ID, JTI: g.JTI, Scope: []string{"impersonate", "openid"}, Audience: policy.DefaultResource, Expires: g.Expires}
}

func (h *house) request(p impersonation.ActorProof) impersonation.TicketRequest {
	return impersonation.TicketRequest{
		Client: "app", Actor: p.User, Login: p.Login, Subject: "john", Mode: oauth.ModeRead, Duration: 30 * time.Minute,
		Reason: "cannot find the report tab", TicketNumber: "SUP-1", CodeChallenge: challenge, RequestID: "req_1",
	}
}

func (h *house) ticket(p impersonation.ActorProof) oauth.Secret {
	h.Helper()
	ticket, err := h.IssueTicket(h.Context(), h.request(p))
	h.ok(err)
	return ticket
}

func redeem(ticket oauth.Secret, p impersonation.ActorProof) impersonation.StartRequest {
	return impersonation.StartRequest{Ticket: ticket, CodeVerifier: verifier, Client: "app", Actor: p, RequestID: "req_2"}
}

func (h *house) start(p impersonation.ActorProof) *impersonation.Started {
	h.Helper()
	started, err := h.Start(h.Context(), redeem(h.ticket(p), p))
	h.ok(err)
	return started
}

// alive asks as introspection does.
func (h *house) alive(s *impersonation.Started) bool {
	h.Helper()
	live, err := h.Alive(h.Context(), s.Session.ID)
	h.ok(err)
	return live != nil
}

func (h *house) session(id string) impersonation.Session {
	h.Helper()
	s, err := h.store.Session(h.Context(), id)
	h.ok(err)
	return s
}

// entries gives the trail's entries of a kind, newest first.
func (h *house) entries(kind audit.Kind) []audit.Entry {
	h.Helper()
	page, _, err := h.store.Entries(h.Context(), store.EntryQuery{Kind: kind, Limit: 1000})
	h.ok(err)
	var out []audit.Entry
	for _, e := range page {
		out = append(out, e.Entry)
	}
	return out
}
