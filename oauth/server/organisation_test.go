package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// The keys of two who do not exist.
const nobody, nobodyElse = "qxnob", "qxnix"

// known is somebody whom an actor may ask about. All that names them is made of key, so that answers about any two
// differ in those alone.
type known struct {
	key, organisation string
	roles             []string
	disabled          bool
	protected         bool
	sid               string // of a session over them that nobody in the matrix holds
}

func (k known) id() string    { return "m-" + k.key }
func (k known) name() string  { return k.key + "name" }
func (k known) email() string { return k.key + "mail@x.test" }

// neighbours are people of several organisations. The last two do not exist.
var neighbours = []known{
	{key: "qxown", organisation: "acme"}, {key: "qxoth", organisation: "other"}, {key: "qxstf"},
	{key: "qxpac", organisation: "acme", protected: true}, {key: "qxpot", organisation: "other", protected: true}, {key: "qxpst", protected: true},
	{key: "qxdac", organisation: "acme", disabled: true}, {key: "qxdot", organisation: "other", disabled: true}, {key: "qxdst", disabled: true},
	{key: "qxrac", organisation: "acme", roles: []string{"support"}}, {key: "qxrot", organisation: "other", roles: []string{"admin"}}, {key: "qxrst", roles: []string{"admin"}},
	{key: "qxuac", organisation: "acme", roles: []string{"dropped"}}, {key: "qxacm", organisation: "Acme"},
	{key: nobody}, {key: nobodyElse},
}

// actors of the matrix, and whom of the neighbours the policy lets them have.
var actors = []struct{ id, may string }{
	{"sue", "qxown"},                   // support of acme
	{"tim", "qxstf"},                   // support without an organisation: that of the operator's own staff
	{"ann", "qxown qxoth qxstf qxacm"}, // admin
	{"eve", ""},                        // nobody's support
}

// openings are where somebody can ask about somebody. Each gives the same answer, byte by byte, after the same calls of the store, about
// whom the actor may not have as about nobody.
var openings = []struct {
	name string
	ask  func(m *matrix, k known) reply
	tell string   // in an answer about somebody whom the actor may have; "" where there is no other answer about those
	all  []string // actors who may ask about everybody there
}{
	// The trail comes first: it has the refusals at the other places.
	{"trail of an address", func(m *matrix, k known) reply { return m.get("/audit?person="+url.QueryEscape(k.email()), m.cookie) }, "", []string{"ann"}},
	{"trail of an ID", func(m *matrix, k known) reply { return m.get("/audit?person="+k.id(), m.cookie) }, "", []string{"ann"}},
	{"story of a session", func(m *matrix, k known) reply { return m.get("/audit?session="+k.sid, m.cookie) }, "", []string{"ann"}},
	{"search by name", func(m *matrix, k known) reply { return m.search(k.name()) }, "name", nil},
	{"search by address", func(m *matrix, k known) reply { return m.search(k.key + "mail") }, "mail@", nil},
	{"search by ID", func(m *matrix, k known) reply { return m.search(k.id()) }, "mail@", nil},
	{"deep link", func(m *matrix, k known) reply { return m.get("/impersonate?"+ask("app")+"&subject="+k.id(), m.cookie) }, "mail@", nil},
	{"form", func(m *matrix, k known) reply {
		return m.form("/impersonate?"+ask("app"), m.cookie, why(k.id(), "read"))
	}, "ticket=", nil},
	{"form for writing", func(m *matrix, k known) reply {
		f := why(k.id(), "write")
		f.Set("reason", "x")
		return m.form("/impersonate?"+ask("app"), m.cookie, f)
	}, "mail@", nil},
	{"user id", func(m *matrix, k known) reply { return m.post("/oauth2/token", "tool", userIDForm(k.id(), m.token)) }, "access_token", nil},
	{"user id for writing", func(m *matrix, k known) reply {
		f := userIDForm(k.id(), m.token)
		f.Set("scope", "app:write")
		return m.post("/oauth2/token", "tool", f)
	}, "", nil},
}

// matrix is a house with the neighbours, and an actor who is signed in.
type matrix struct {
	*house
	tape          *tape
	cookie, token string
}

func (m *matrix) search(text string) reply {
	return m.get("/impersonate?"+ask("app")+"&q="+url.QueryEscape(text), m.cookie)
}

// answer is all that somebody can see of an answer, and of how it came about.
type answer struct {
	Status int
	Header http.Header
	Body   string
	Calls  []string
}

// chance is what differs between any two answers.
var chance = regexp.MustCompile(`req_[a-z2-7]{26}|imp_[a-z2-7]{26}`)

func (m *matrix) about(k known, ask func(*matrix, known) reply) (answer, reply) {
	m.tape.take()
	r := ask(m, k)
	names := strings.NewReplacer(k.key, "_", nobody, "_", nobodyElse, "_") // what one typed before is in one's own trail
	plain := func(s string) string { return chance.ReplaceAllString(names.Replace(s), "RANDOM") }
	a := answer{Status: r.status, Header: http.Header{}, Body: plain(r.body), Calls: m.tape.take()}
	a.Calls = slices.DeleteFunc(a.Calls, func(method string) bool { return method == "SigningKeys" }) // read anew by the clock, for whoever asks then
	for name, values := range r.header {
		if name != "Date" {
			a.Header[name] = []string{plain(strings.Join(values, "\n"))}
		}
	}
	return a, r
}

// An actor cannot find, list, open or start as whoever the policy does not give them, nor learn that there is such a person: of another
// organisation, protected, disabled, with more power, or with a role that is registered no longer.
//
// Covers RFC8693-2.2.2-03, RFC8693-4.1-14.
func TestOrganisationMatrix(t *testing.T) { onBoth(t, testOrganisationMatrix) }

func testOrganisationMatrix(t *testing.T, o options) {
	tape := new(tape)
	h := setup(t, o.wrapped(func(s store.Store) store.Store { tape.Store = s; return tape }))
	h.addClientAs("tool", tool)
	h.must(h.store.CreateUser(t.Context(), store.UserWrite{Write: h.write(), User: directory.User{ID: "tim", Email: "tim@acme.test", Name: "Tim Tall", Roles: []string{"support"}, Enabled: true}}))
	people := slices.Clone(neighbours)
	for i := range people {
		h.settle(&people[i])
	}
	none, nix := people[len(people)-2], people[len(people)-1]
	for _, actor := range actors {
		m := &matrix{house: h, tape: tape}
		m.fresh(actor.id)
		for _, p := range openings { // a first request may fill caches
			m.about(nix, p.ask)
		}
		for _, k := range people[:len(people)-2] {
			m.fresh(actor.id)
			for _, p := range openings {
				if slices.Contains(p.all, actor.id) {
					continue
				}
				name := fmt.Sprintf("%s, %s, %+v", actor.id, p.name, k)
				got, r := m.about(k, p.ask)
				if slices.Contains(strings.Fields(actor.may), k.key) {
					if !strings.Contains(r.body+r.header.Get("Location"), p.tell) {
						t.Errorf("%s: got %d %s, want %q, or this test shows nothing", name, r.status, r.body, p.tell)
					}
					m.fresh(actor.id)
					continue
				}
				want, _ := m.about(none, p.ask)
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: differs from nobody (-nobody +they):\n%s", name, diff)
				}
				if again, _ := m.about(nix, p.ask); cmp.Diff(want, again) != "" {
					t.Errorf("%s: nobody differs from nobody:\n%s", name, cmp.Diff(want, again))
				}
			}
		}
	}
}

// settle adds k, if there is such a person, with a session over them.
func (h *house) settle(k *known) {
	h.t.Helper()
	k.sid = oauth.NewID("imp")
	if k.key == nobody || k.key == nobodyElse {
		return
	}
	u := directory.User{ID: k.id(), Name: k.name(), Email: k.email(), Organisation: k.organisation, Roles: k.roles, Enabled: true, Created: time.Now()}
	h.must(h.store.CreateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
	k.sid = h.sessionOver("bea", k.id())
	u.Enabled, u.Protected = !k.disabled, k.protected
	h.must(h.store.UpdateUser(context.Background(), store.UserWrite{Write: h.write(), User: u}))
}

// sessionOver writes a session past the policy.
func (h *house) sessionOver(actor, subject string) string {
	h.t.Helper()
	_, login := h.login(actor)
	ctx, now := context.Background(), h.clock.Now().UTC()
	f, err := h.store.LoadStart(ctx, impersonation.StartKey{Client: "app", Actor: actor, Subject: subject, Login: login, Now: now})
	h.must(err)
	s := impersonation.Session{ID: oauth.NewID("imp"), Audit: oauth.NewID("aud"), Client: "app", Actor: actor, Subject: subject, Login: login, Mode: oauth.ModeRead, Resource: resource,
		Reason: "cannot find the report tab", JTI: oauth.NewID("tok"), Started: now, Expires: now.Add(time.Hour), LastActive: now, LoginExpires: now.Add(8 * time.Hour)}
	h.must(h.store.Start(ctx, impersonation.StartWrite{Write: h.write(), Guard: f.Guard, Session: s}))
	return s.ID
}

// fresh signs the actor in anew, a minute later: searches and refusals are counted by the minute.
func (m *matrix) fresh(actor string) {
	m.t.Helper()
	m.clock.advance(time.Minute)
	m.cookie, _ = m.login(actor)
	m.token = m.house.token(m.cookie, "tool", actorScope)
}

// A consent opens nobody whom the actor's role does not give: the exchange of their own token fails just as without the consent.
//
// Covers RFC8693-2.2.2-03.
func TestConsentCrossesNoOrganisation(t *testing.T) { onBoth(t, testConsentCrossesNoOrganisation) }

func testConsentCrossesNoOrganisation(t *testing.T, o options) {
	tape := new(tape)
	m := &matrix{house: setup(t, o.wrapped(func(s store.Store) store.Store { tape.Store = s; return tape })), tape: tape}
	m.addClientAs("tool", tool)
	m.fresh("sue")
	own := func(k known) string {
		cookie, _ := m.login(k.id())
		return m.house.token(cookie, "tool", "openid app:read")
	}
	exchange := func(k known, withdrawn bool) answer {
		m.settle(&k)
		c := m.consent("sue", "tool", func(c *impersonation.Consent) { c.Subject, c.Reason = k.id(), "books their travel" })
		token := own(k)
		if withdrawn {
			m.withdraw(c.ID)
		}
		a, _ := m.about(k, func(m *matrix, _ known) reply { return m.post("/oauth2/token", "tool", ownForm(token, m.token)) })
		return a
	}
	if a := exchange(known{key: "qxaaa", organisation: "acme"}, false); a.Status != http.StatusOK {
		t.Fatalf("within the organisation: got %d %s, or this test shows nothing", a.Status, a.Body)
	}
	want := exchange(known{key: "qxbbb", organisation: "acme"}, true)
	for _, k := range neighbours {
		if !k.disabled && k.key != "qxown" && k.key != nobody && k.key != nobodyElse {
			if diff := cmp.Diff(want, exchange(k, false)); diff != "" {
				t.Errorf("%+v (-without consent +with it):\n%s", k, diff)
			}
		}
	}
}
