package server_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

const secondResource = "urn:understudy:resource:second"

// world is one server for all sequences, on a clock that stands still but for the sequences' own steps. Each sequence has users and
// clients of its own, which costs less than a database of its own.
type world struct {
	h         *house
	now       time.Time
	sequences int
	seen      map[string]int // what happened, over all sequences
}

func newWorld(t *testing.T, o options) *world {
	t.Helper()
	b := o.on(t)
	st, box := b.store(t), newBox(t)
	reg := policy.Default()
	reg.Resources = append(reg.Resources, policy.Resource{URI: secondResource, AcceptsAct: true})
	// Half a second off, so that no time of the model falls upon the whole seconds at which tokens end.
	w := &world{now: time.Now().UTC().Truncate(time.Second).Add(500 * time.Millisecond), seen: make(map[string]int)}
	s, err := server.New(context.Background(), server.Config{
		PublicURL: "http://localhost:8080", Store: st, Registry: reg, Box: box, Limits: noLimits, Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.h = &house{
		t: t, url: "http://localhost:8080", issuer: "http://localhost:8080", base: b, store: st, clock: new(clock), secrets: make(map[string]string), handler: s.Handler(),
		http: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: inProcess{s.Handler()},
		},
	}
	return w
}

// rapidTB lets the house fail a sequence instead of the test, so that rapid can shorten it.
type rapidTB struct {
	testing.TB
	rt *rapid.T
}

func (r rapidTB) Helper()                   { r.rt.Helper() }
func (r rapidTB) Fatal(a ...any)            { r.rt.Fatal(a...) }
func (r rapidTB) Fatalf(f string, a ...any) { r.rt.Fatalf(f, a...) }
func (r rapidTB) Errorf(f string, a ...any) { r.rt.Errorf(f, a...) }

// machine is one sequence: the server's side, the reference, and what is known of both.
type machine struct {
	*house
	w       *world
	ref     *reference
	users   []string
	clients []string
	logins  []*refLogin
	steps   int
	starts  int
}

func (w *world) sequence(t *testing.T, rt *rapid.T) *machine {
	w.sequences++
	h := *w.h
	h.t = rapidTB{t, rt}
	m := &machine{house: &h, w: w, ref: &reference{now: w.now, users: make(map[string]*refUser), clients: make(map[string]refClient)}}
	n := fmt.Sprint(w.sequences)
	for _, u := range []*refUser{
		{id: "ann", role: "admin"}, {id: "bea", role: "admin"}, {id: "sue", role: "support", org: "acme"},
		{id: "john", org: "acme"}, {id: "eve", org: "acme"}, {id: "zoe", org: "other"}, {id: "pat", org: "acme", protected: true},
	} {
		u.id, u.enabled = u.id+n, true
		if u.org != "" {
			u.org += n
		}
		m.ref.users[u.id], m.users = u, append(m.users, u.id)
		h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: m.write(), User: m.user(u)}))
	}
	all := []string{"openid", "profile", "email", "roles", "app:read", "app:write", "impersonate"}
	for id, c := range map[string]refClient{
		"app" + n:    {scope: all, resources: []string{resource, secondResource}},
		"second" + n: {scope: all, resources: []string{resource}},
		"api" + n:    {scope: []string{"openid", "app:read", "impersonate"}, resources: []string{resource}, serves: true},
	} {
		m.ref.clients[id], m.clients = c, append(m.clients, id)
		m.register(id, c)
	}
	slices.Sort(m.clients)
	return m
}

func (m *machine) user(u *refUser) directory.User {
	out := directory.User{ID: u.id, Email: u.id + "@acme.test", Name: "The " + u.id, Organisation: u.org, Enabled: u.enabled, Protected: u.protected, Created: m.ref.now}
	if u.role != "" {
		out.Roles = []string{u.role}
	}
	return out
}

func (m *machine) register(id string, c refClient) {
	secret := oauth.NewSecret()
	m.secrets[id] = string(secret)
	sc := store.Client{
		Client: policy.Client{ID: id, Exchange: true, Resources: c.resources, Scopes: c.scope},
		Name:   "The " + id, SecretHash: secret.Hash(), RedirectURIs: []string{callback}, Created: m.ref.now,
	}
	if c.serves {
		sc.Serves = c.resources
	}
	m.must(m.store.CreateClient(context.Background(), store.ClientWrite{Write: m.write(), Client: sc}))
}

func (m *machine) write() impersonation.Write {
	return impersonation.Write{Now: m.ref.now, RequestID: oauth.NewID("req")}
}

// note counts what happened, so that the test can tell whether it saw everything.
func (m *machine) note(what string, yes bool) {
	m.w.seen[fmt.Sprintf("%s: %v", what, yes)]++
}

// agree demands that the server said what the reference says.
func (m *machine) agree(what string, got, want bool, r reply) bool {
	m.note(what, want)
	if got != want {
		m.t.Fatalf("%s: allowed = %v, the model says %v: %d %v %s", what, got, want, r.status, r.location, r.body)
	}
	return want
}

// pick draws one of a list, and gives the action up if it is empty.
func pick[T any](t *rapid.T, from []T, label string) T {
	if len(from) == 0 {
		t.Skip("nothing there yet")
	}
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

func (m *machine) signIn(t *rapid.T) { m.login(t, m.ref.users[pick(t, m.users, "user")]) }

func (m *machine) login(t *rapid.T, u *refUser) *refLogin {
	secret, now := oauth.NewSecret(), m.ref.now
	lasts := time.Duration(pick(t, []int{8 * 60, 8 * 60, 13}, "login minutes")) * time.Minute
	l := &refLogin{id: oauth.NewID("lgn"), cookie: "__Host-op=" + string(secret), user: u, used: now, expires: now.Add(lasts)}
	err := m.store.CreateLogin(context.Background(), store.LoginWrite{Write: m.write(), Cookie: secret.Hash(), Login: impersonation.Login{
		ID: l.id, User: u.id, AuthTime: now, AMR: []string{"pwd"}, Created: now, LastUsed: now, Expires: l.expires,
	}})
	if !u.enabled {
		if !errors.Is(err, impersonation.ErrChanged) {
			m.t.Fatalf("a login of a disabled user: got %v; want ErrChanged", err)
		}
		return nil
	}
	m.must(err)
	m.logins = append(m.logins, l)
	return l
}

func (m *machine) getToken(t *rapid.T) {
	client := pick(t, m.clients, "client")
	scope := m.ref.clients[client].scope
	if narrow := rapid.IntRange(0, 3).Draw(t, "scope"); narrow < 2 {
		scope = [][]string{{"openid", "impersonate"}, {"app:read", "openid"}}[narrow]
	}
	m.token(pick(t, m.logins, "login"), client, scope, pick(t, m.ref.clients[client].resources, "resource"))
}

// token runs the code flow.
func (m *machine) token(l *refLogin, client string, scope []string, target string) *refToken {
	q := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {oauth.JoinScope(scope)}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "resource": {target}}
	r := m.get("/oauth2/auth?"+q.Encode(), l.cookie)
	code := ""
	if r.location != nil {
		code = r.location.Query().Get("code")
	}
	if !m.agree("code", code != "", m.ref.visit(l), r) {
		return nil
	}
	r = m.post("/oauth2/token", client, redeem(code))
	if r.status != http.StatusOK {
		m.t.Fatalf("code: got %d %s; want a token", r.status, r.body)
	}
	own := &refToken{jwt: r.str("access_token"), client: client, resource: target, login: l, scope: m.ref.owns(l, scope),
		expires: m.ref.now.Truncate(time.Second).Add(10 * time.Minute)}
	m.ref.tokens = append(m.ref.tokens, own)
	m.checkOwn(own)
	return own
}

// checkOwn holds a person's own token to what the reference says of it.
func (m *machine) checkOwn(want *refToken) {
	_, c := claims(m.t, want.jwt)
	scope, _ := c["scope"].(string)
	if c["sub"] != want.login.user.id || c["act"] != nil || c["client_id"] != want.client || c["aud"] != want.resource || c["sid"] != want.login.id ||
		scope != oauth.JoinScope(want.scope) || c["exp"] != float64(want.expires.Unix()) {
		m.t.Fatalf("own token %v; the model says %+v, %+v", c, want, want.login)
	}
}

func (m *machine) getTicket(t *rapid.T) {
	client := pick(t, m.clients, "client")
	m.ticket(t, pick(t, m.logins, "login"), client, m.ref.users[pick(t, m.users, "subject")])
}

func (m *machine) ticket(t *rapid.T, l *refLogin, client string, subject *refUser) *refTicket {
	want := &refTicket{
		client: client, login: l, subject: subject, mode: pick(t, []string{"read", "write"}, "mode"),
		resource: pick(t, m.ref.clients[client].resources, "resource"), lasts: time.Duration(pick(t, []int{15, 30, 60}, "minutes")) * time.Minute,
		reason: fmt.Sprintf("reason number %d of sequence %d", len(m.ref.tickets), m.w.sequences),
	}
	scope := pick(t, []string{"", "", "openid app:read", "app:write openid", "app:write", "impersonate"}, "scope")
	q := ask(client) + "&" + url.Values{"resource": {want.resource}, "scope": {scope}}.Encode()
	f := why(subject.id, want.mode)
	f.Set("reason", want.reason)
	f.Set("minutes", fmt.Sprint(want.lasts.Minutes()))
	r := m.form("/impersonate?"+q, l.cookie, f)
	if r.location != nil {
		want.secret = r.location.Query().Get("ticket")
	}
	if !m.agree("ticket", want.secret != "", m.ref.issue(want, fields(scope)), r) {
		return nil
	}
	m.ref.tickets = append(m.ref.tickets, want)
	return want
}

// fields is nil for none, as for a scope that was not given.
func fields(scope string) []string {
	if scope == "" {
		return nil
	}
	return strings.Fields(scope)
}

// begin does all that a start takes, in one go; what is there already is used again.
func (m *machine) begin(t *rapid.T) {
	if a := m.prepare(t); a != nil {
		m.try(*a)
	}
}

// prepare gives a start that should do, nil if there is no getting there.
func (m *machine) prepare(t *rapid.T) *attempt {
	actor, client := m.ref.users[pick(t, m.users[:3], "actor")], pick(t, m.clients, "client")
	l := m.lastLogin(t, actor)
	if l == nil {
		return nil
	}
	own := m.lastToken(l, client)
	if own == nil {
		if own = m.token(l, client, m.ref.clients[client].scope, pick(t, m.ref.clients[client].resources, "own resource")); own == nil {
			return nil
		}
	}
	ticket := m.ticket(t, l, client, m.ref.users[pick(t, m.users[3:], "subject")])
	if ticket == nil {
		return nil
	}
	return &attempt{ticket: ticket, actor: own, client: client, verifier: true}
}

// mixUp is a start that should do, but for one part.
func (m *machine) mixUp(t *rapid.T) {
	good := m.prepare(t)
	if good == nil {
		return
	}
	a, client := *good, good.client
	switch rapid.IntRange(0, 6).Draw(t, "part") {
	case 0:
		a.verifier = false
	case 1:
		a.scope = []string{"app:read", "app:write", "openid", "profile"}
	case 2:
		a.scope = []string{pick(t, []string{"openid", "impersonate", "impersonation:write", "admin:everything"}, "scope")}
	case 3:
		a.resource = pick(t, []string{resource, secondResource}, "resource")
	case 4:
		a.client = pick(t, m.clients, "client")
	case 5: // the same person, signed in elsewhere
		a.actor = m.token(m.login(t, a.actor.login.user), client, m.ref.clients[client].scope, resource)
	case 6: // another person, signed in
		if l := m.lastLogin(t, m.ref.users[pick(t, m.users[:3], "other")]); l != nil && m.ref.alive(l) {
			a.actor = m.token(l, client, m.ref.clients[client].scope, resource)
		}
	}
	if a.actor == nil {
		return
	}
	m.try(a)
	m.try(*good) // spent only if that was a start; then this is its second use
}

func (m *machine) lastLogin(t *rapid.T, u *refUser) *refLogin {
	for _, l := range slices.Backward(m.logins) {
		if l.user == u && m.ref.alive(l) {
			return l
		}
	}
	return m.login(t, u)
}

func (m *machine) lastToken(l *refLogin, client string) *refToken {
	for _, own := range slices.Backward(m.ref.tokens) {
		if own.login == l && own.client == client && m.ref.active(own) && slices.Contains(own.scope, "impersonate") {
			return own
		}
	}
	return nil
}

// start joins whatever there is: old tickets, tokens of anybody.
func (m *machine) start(t *rapid.T) {
	ticket := pick(t, m.ref.tickets, "ticket")
	a := attempt{ticket: ticket, client: ticket.client, verifier: true, actor: m.lastToken(ticket.login, ticket.client)}
	if a.actor == nil || rapid.Bool().Draw(t, "any") {
		a.actor = pick(t, m.ref.tokens, "actor")
	}
	m.try(a)
}

func (m *machine) try(a attempt) {
	f := startForm(a.ticket.secret, a.actor.jwt)
	if !a.verifier {
		f.Set("code_verifier", strings.Repeat("v", 43))
	}
	if a.scope != nil {
		f.Set("scope", oauth.JoinScope(a.scope))
	}
	if a.resource != "" {
		f.Set("resource", a.resource)
	}
	r := m.post("/oauth2/token", a.client, f)
	s := m.ref.start(a)
	if !m.agree("start", r.status == http.StatusOK, s != nil, r) {
		m.refusedStart(r)
		return
	}
	m.starts++
	s.jwt, s.ret = r.str("access_token"), r.str("understudy_return_token")
	s.sid, _ = r.json["understudy_session"].(map[string]any)["id"].(string)
	m.ref.sessions = append(m.ref.sessions, s)
	m.checkSession(s)
}

func (m *machine) refusedStart(r reply) {
	gaveNothing(m.t, "a refused start", r, "")
	if code := r.str("error"); r.status != http.StatusBadRequest || code != "invalid_request" && code != "invalid_scope" && code != "invalid_target" {
		m.t.Fatalf("a refused start: got %d %s", r.status, r.body)
	}
}

// checkSession holds an impersonation token to the reference: never more scope, another audience or a longer life than ticket, client
// and policy allow.
func (m *machine) checkSession(s *refSession) {
	_, c := claims(m.t, s.jwt)
	act, _ := c["act"].(map[string]any)
	if c["sub"] != s.subject.id || act["sub"] != s.login.user.id || c["client_id"] != s.client || c["aud"] != s.resource || c["sid"] != s.sid ||
		c["scope"] != oauth.JoinScope(s.granted) || c["exp"] != float64(s.ends.Unix()) || c["auth_time"] != nil {
		m.t.Fatalf("impersonation token %v; the model says %+v of %+v", c, s, s.refTicket)
	}
}

func (m *machine) stop(t *rapid.T) {
	s := pick(t, m.ref.sessions, "session")
	client := s.client
	if rapid.IntRange(0, 3).Draw(t, "elsewhere") == 0 {
		client = pick(t, m.clients, "client")
	}
	m.stopBy(s, client)
}

func (m *machine) stopBy(s *refSession, client string) {
	r := m.post("/oauth2/token", client, stopForm(s.ret))
	given := m.ref.stop(s, client)
	if !m.agree("stop", r.status == http.StatusOK, given != nil, r) {
		refused(m.t, r, http.StatusBadRequest, "invalid_request")
		return
	}
	given.jwt = r.str("access_token")
	m.ref.tokens = append(m.ref.tokens, given)
	m.checkOwn(given)
	// The rule itself, apart from the reference: what is left never grows, and nothing outlives the login.
	if left := given.expires.Sub(m.ref.now); left > s.left || given.expires.After(s.login.expires) {
		m.t.Fatalf("a stop gave %v of life; %v were left at the start", left, s.left)
	}
}

// loop starts and stops in turn, each time with what the stop before gave: the clock of the admin's own token is paused, never wound up.
func (m *machine) loop(t *rapid.T) {
	for range 4 {
		before := len(m.ref.sessions)
		if m.begin(t); len(m.ref.sessions) == before {
			return
		}
		m.advance(t)
		m.stopBy(m.ref.sessions[before], m.ref.sessions[before].client)
	}
}

func (m *machine) revoke(t *rapid.T) {
	kind := pick(t, []string{"own", "session", "return"}, "kind")
	var value, client string
	var do func()
	if kind == "own" {
		own := pick(t, m.ref.tokens, "token")
		value, client, do = own.jwt, own.client, func() { own.revoked = true }
	} else {
		s := pick(t, m.ref.sessions, "session")
		if value = s.ret; kind == "session" {
			value = s.jwt
		}
		client, do = s.client, func() { m.ref.end(s) }
	}
	by := client
	if rapid.IntRange(0, 2).Draw(t, "elsewhere") == 0 {
		by = pick(t, m.clients, "client")
	}
	r := m.post("/oauth2/revoke", by, url.Values{"token": {value}})
	if m.agree("revoke "+kind, r.status == http.StatusOK, by == client, r) {
		do()
	}
}

// misuse presents an impersonation token wherever a token can be had for something; it never is.
func (m *machine) misuse(t *rapid.T) {
	s, client := pick(t, m.ref.sessions, "session"), pick(t, m.clients, "client")
	f := stopForm(s.jwt)
	switch rapid.IntRange(0, 5).Draw(t, "how") {
	case 0: // as a return token
	case 1:
		f.Set("subject_token_type", typeToken)
		f.Set("actor_token", s.jwt)
		f.Set("actor_token_type", typeToken)
	case 2:
		f = startForm(pick(t, m.ref.tickets, "ticket").secret, s.jwt)
	case 3:
		f = startForm(s.jwt, pick(t, m.ref.tokens, "actor").jwt)
	case 4:
		f = redeem(s.jwt)
	case 5:
		f = startForm(s.jwt, pick(t, m.ref.tokens, "actor").jwt)
		f.Set("subject_token_type", typeToken)
	}
	r := m.post("/oauth2/token", client, f)
	gaveNothing(m.t, "misuse", r, "")
	m.agree("misuse", r.status != http.StatusBadRequest, false, r)
}

// advance moves the clock by multiples of 11 s, of which none is a lifetime: whether a moment is before or after an end is never a
// question of equality.
func (m *machine) advance(t *rapid.T) {
	m.w.now = m.w.now.Add(11 * time.Second * time.Duration(pick(t, []int{1, 1, 3, 3, 6, 6, 30, 60, 165, 330}, "ticks")))
	m.ref.now = m.w.now
}

func (m *machine) signOut(t *rapid.T) {
	l := pick(t, m.logins, "login")
	r := m.form("/sign-out", l.cookie, url.Values{})
	if r.status != http.StatusOK {
		m.t.Fatalf("sign-out: got %d %s", r.status, r.body)
	}
	if m.ref.visit(l) {
		m.note("sign-out", true)
		l.ended = true
		m.ref.endAll(func(s *refSession) bool { return s.login == l })
	}
}

// setEnabled disables a user, with all that an operator's act ends, or takes that back.
func (m *machine) setEnabled(t *rapid.T) {
	u := m.ref.users[pick(t, m.users, "user")]
	for _, id := range m.users { // so that sequences do not run out of people
		if !m.ref.users[id].enabled {
			u = m.ref.users[id]
		}
	}
	u.enabled = !u.enabled
	w := store.UserWrite{Write: m.write(), User: m.user(u)}
	if !u.enabled {
		w.EndLogins = true
		for _, scope := range []impersonation.EpochScope{impersonation.ScopeActor, impersonation.ScopeSubject} {
			w.Ends = append(w.Ends, impersonation.EndWrite{Scope: scope, ID: u.id, Reason: impersonation.EndDisabled, By: oauth.Party{Issuer: "cli", Subject: "op"}, Issuer: m.url})
		}
		for _, l := range m.logins {
			l.ended = l.ended || l.user == u
		}
		m.ref.endAll(func(s *refSession) bool { return s.subject == u || s.login.user == u })
	}
	m.must(m.store.UpdateUser(context.Background(), w))
	m.note("enabled", u.enabled)
}

// setProtected changes a user behind the server's back, as a directory of somebody else does: nothing ends with it, and the next
// introspection must find out.
func (m *machine) setProtected(t *rapid.T) {
	u := m.ref.users[pick(t, m.users, "user")]
	u.protected = !u.protected
	m.must(m.store.UpdateUser(context.Background(), store.UserWrite{Write: m.write(), User: m.user(u)}))
}

func (m *machine) kill(t *rapid.T) {
	k := refKill{scope: pick(t, []string{"instance", "client", "actor", "subject", "organisation"}, "scope")}
	switch u := m.ref.users[pick(t, m.users, "user")]; k.scope {
	case "client":
		k.id = pick(t, m.clients, "client")
	case "actor", "subject":
		k.id = u.id
	case "organisation":
		if k.id = u.org; u.org == "" {
			t.Skip("staff has no organisation")
		}
	}
	_, err := m.store.End(context.Background(), impersonation.EndWrite{
		Write: m.write(), Scope: impersonation.EpochScope(k.scope), ID: k.id, Reason: impersonation.EndKilled, Kill: true, Issuer: m.url,
	})
	m.must(err)
	m.ref.kills = append(m.ref.kills, k)
	m.ref.endAll(func(s *refSession) bool { return k.reaches(s.client, s.login.user, s.subject) })
	m.note("kill "+k.scope, true)
}

func (m *machine) lift(t *rapid.T) { m.liftKill(pick(t, m.ref.kills, "kill")) }

func (m *machine) liftKill(k refKill) {
	m.must(m.store.Lift(context.Background(), impersonation.LiftWrite{Write: m.write(), Scope: impersonation.EpochScope(k.scope), ID: k.id}))
	m.ref.kills = slices.DeleteFunc(m.ref.kills, func(other refKill) bool { return other == k })
}

// check asks about every token known, by its own client, and about one in turn by all clients.
func (m *machine) check(*rapid.T) {
	m.steps++
	for i, own := range m.ref.tokens {
		m.introspected("own token", own.jwt, own.client, own.resource, m.ref.active(own), i == m.steps%len(m.ref.tokens))
	}
	for i, s := range m.ref.sessions {
		m.introspected("impersonation", s.jwt, s.client, s.resource, m.ref.introspect(s), i == m.steps%len(m.ref.sessions))
	}
}

func (m *machine) introspected(what, jwt, owner, target string, want, byAll bool) {
	for _, client := range m.clients {
		if client == owner || byAll {
			sees := client == owner || m.ref.clients[client].serves && target == resource
			if got := m.active(client, jwt); got != (want && sees) {
				m.t.Fatalf("%s, introspected by %s (of %s): active = %v; the model says %v", what, client, owner, got, want && sees)
			}
		}
	}
	m.note(what+" active", want)
}

// trail demands that each start has exactly one entry that says who, whom, where and why, and that no other start has.
func (m *machine) trail() {
	found := 0
	for _, client := range m.clients {
		page, _, err := m.store.Entries(context.Background(), store.EntryQuery{Client: client, Kind: audit.KindStart, Limit: 1000})
		m.must(err)
		found += len(page)
	}
	if found != m.starts {
		m.t.Fatalf("%d start entries; %d starts", found, m.starts)
	}
	for _, s := range m.ref.sessions {
		page, _, err := m.store.Entries(context.Background(), store.EntryQuery{Session: s.sid, Kind: audit.KindStart})
		m.must(err)
		if len(page) != 1 {
			m.t.Fatalf("session %s has %d start entries; want 1", s.sid, len(page))
		}
		e := page[0].Entry
		if e.Actor.Subject != s.login.user.id || e.Subject.Subject != s.subject.id || e.Client != s.client || e.Fields["reason"] != s.reason ||
			e.Fields["mode"] != s.mode || e.Fields["scope"] != oauth.JoinScope(s.granted) {
			m.t.Fatalf("start entry %+v; the model says %+v", e, s)
		}
	}
}

// TestModel runs random sequences of calls against the reference. -short has a fifth of the sequences at half the length (rapid's own
// rule); UNDERSTUDY_LONG=1 has twenty times as many. Postgres gets a fifth of what SQLite does, or all of -short.
func TestModel(t *testing.T) { onBoth(t, testModel) }

func testModel(t *testing.T, o options) {
	rounds := 1
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		rounds = 20 // of rapid's 100
	}
	w := newWorld(t, o)
	most := rounds * 100
	if w.h.base.superuser != "" {
		most /= 5 // each call takes three times as long
	}
	for range rounds {
		rapid.Check(t, func(rt *rapid.T) {
			if w.sequences >= most {
				return
			}
			m := w.sequence(t, rt)
			defer func() { // a kill of the instance would reach the next sequence
				for _, k := range slices.Clone(m.ref.kills) {
					m.liftKill(k)
				}
			}()
			rt.Repeat(map[string]func(*rapid.T){
				"": m.check, "sign in": m.signIn, "get token": m.getToken, "get ticket": m.getTicket, "begin": m.begin, "begin again": m.begin, "begin and stop": m.loop, "start": m.start,
				"mix up": m.mixUp, "mix up again": m.mixUp, "stop": m.stop, "stop again": m.stop, "revoke": m.revoke, "misuse": m.misuse, "advance": m.advance, "advance again": m.advance,
				"sign out": m.signOut, "enable": m.setEnabled, "protect": m.setProtected, "kill": m.kill, "lift": m.lift, "lift again": m.lift,
			})
			m.trail()
		})
	}
	t.Logf("%d sequences: %v", w.sequences, w.seen)
	for _, what := range []string{"ticket: true", "ticket: false", "start: true", "start: false", "stop: true", "stop: false", "misuse: false",
		"revoke session: true", "revoke session: false", "impersonation active: true", "impersonation active: false", "own token active: false", "sign-out: true"} {
		if w.seen[what] == 0 && w.sequences >= 100 { // fewer may miss something by chance
			t.Errorf("%q never happened: the sequences prove nothing about it", what)
		}
	}
}
