package server_test

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// mint is a house whose key the test has too, so that it can say anything in a token under a signature that is good.
type mint struct {
	*house
	key ed25519.PrivateKey // Ed25519: of an ES256 signature we take but one of two spellings
}

func setupMint(t testing.TB, o options) mint {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := tokens.FromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	second, err := anRSAKey()
	if err != nil {
		t.Fatal(err)
	}
	o.keys = []tokens.Key{first, second}
	return mint{setup(t, o), private}
}

// bent is token with its payload changed and signed anew, under the header that it has.
func (m mint) bent(token string, change func(payload map[string]any)) string {
	m.t.Helper()
	header, _, _ := strings.Cut(token, ".")
	_, payload := claims(m.t, token)
	change(payload)
	input := header + "." + b64([]byte(encode(m.t, payload)))
	return input + "." + b64(ed25519.Sign(m.key, []byte(input)))
}

func same(map[string]any) {}

func sets(name string, value any) func(map[string]any) {
	return func(payload map[string]any) { payload[name] = value }
}

// spelledOtherwise is what RFC 3986 §6 calls a URI alike, or a lax reader takes for it.
func spelledOtherwise(uri string) []string {
	u, _ := url.Parse(uri)
	root := u.Scheme + "://" + u.Host
	out := []string{
		root + ":443" + u.Path, "HTTPS" + strings.TrimPrefix(uri, "https"), u.Scheme + "://" + strings.ToUpper(u.Host) + u.Path, u.Scheme + "://" + strings.Replace(u.Host, "a", "%61", 1) + u.Path,
		root + "/.", root + "//", root + "/%2e", uri + "?", " " + uri, uri + " ", u.Scheme + "://" + u.Host + "." + u.Path, strings.Replace(uri, "https", "http", 1),
	}
	if u.Path == "" {
		return append(out, uri+"/")
	}
	return append(out, strings.TrimSuffix(uri, "/"))
}

// TestComparedExactly: a resource, an audience, an issuer and the audience of an assertion are what they are, byte for byte: a slash, a
// port that goes without saying, another case or a percent sign makes another, in a parameter and in a token whose signature is good.
//
// Covers RFC8693-5-03.
func TestComparedExactly(t *testing.T) {
	t.Parallel()
	o := twoResources()
	o.issuer = "https://id.acme.test"
	m := setupMint(t, o)
	m.addAPIs()
	key := m.addKeyed("keyed")
	cookie, _ := m.login("ann")
	actor := m.asking(cookie, "", "openid impersonate app:read").str("access_token")
	start := startForm(m.ticket(cookie, "web", "john", "read"), actor)
	for _, other := range spelledOtherwise(api1) {
		for _, name := range []string{"resource", "audience"} {
			f := cloneValues(start)
			f.Set(name, other)
			refused(t, m.post("/oauth2/token", "web", f), http.StatusBadRequest, "invalid_target")
		}
		refused(t, m.asking(cookie, other, "openid"), http.StatusBadRequest, "invalid_target")
		refused(t, m.own("bot", url.Values{"resource": {other}}), http.StatusBadRequest, "invalid_target")
		if m.active("api-1", m.bent(actor, sets("aud", other))) {
			t.Errorf("a token for %q is active at %s", other, api1)
		}
	}
	client := func(audience string) reply {
		f := redeem("x")
		for name, values := range asserting(key.assertion("keyed", claim("aud", audience))) {
			f[name] = values
		}
		return m.form("/oauth2/token", "", f)
	}
	for _, other := range spelledOtherwise(m.issuer) {
		refused(t, client(other), http.StatusUnauthorized, "invalid_client")
		bent := m.bent(actor, sets("iss", other))
		if m.active("web", bent) || m.userinfo(bent).status != http.StatusUnauthorized {
			t.Errorf("a token of %q counts", other)
		}
		f := cloneValues(start)
		f.Set("actor_token", bent)
		refused(t, m.post("/oauth2/token", "web", f), http.StatusBadRequest, "invalid_request")
	}
	refused(t, client(m.issuer), http.StatusBadRequest, "invalid_grant")
	resigned := m.bent(actor, same)
	if !m.active("api-1", resigned) || m.userinfo(resigned).status != http.StatusOK {
		t.Error("a token that was signed anew is dead: the others prove nothing")
	}
	start.Set("actor_token", resigned)
	start.Set("resource", api1)
	if r := m.post("/oauth2/token", "web", start); r.status != http.StatusOK {
		t.Errorf("as they are: got %d %s", r.status, r.body)
	}
}

// TestOnlyOurTokens: an access token is one that this issuer signed. A good one of another issuer with the same people and clients is none, nor is
// one by an attacker's key, whoever it says it is from, and though it names our key.
//
// Covers RFC8693-3-02.
func TestOnlyOurTokens(t *testing.T) {
	t.Parallel()
	m, stranger := setupMint(t, options{}), setupMint(t, options{})
	m.consent("ann", "app", nil)
	stranger.consent("ann", "app", nil)
	cookie, _ := m.login("ann")
	ann, ticket := m.token(cookie, "app", actorScope), m.ticket(cookie, "app", "john", "read")
	john, _ := m.own1("app")
	no := func(what, subject, actor string) {
		t.Helper()
		for token, f := range map[string]url.Values{actor: startForm(ticket, actor), subject: ownForm(subject, ann), "": ownForm(subject, actor)} {
			if refused(t, m.post("/oauth2/token", "app", f), http.StatusBadRequest, "invalid_request"); token != "" && m.active("app", token) {
				t.Errorf("%s is active", what)
			}
		}
	}
	theirs, _ := stranger.login("ann")
	johnThere, _ := stranger.own1("app")
	no("another issuer's", johnThere, stranger.token(theirs, "app", actorScope))
	attacker := mint{m.house, stranger.key}
	for _, issuer := range []string{m.issuer, stranger.issuer, "https://elsewhere.test"} {
		no("an attacker's from "+issuer, attacker.bent(john, sets("iss", issuer)), attacker.bent(ann, sets("iss", issuer)))
	}
	if r := m.post("/oauth2/token", "app", ownForm(m.bent(john, same), m.bent(ann, same))); r.status != http.StatusOK {
		t.Errorf("by our key: got %d %s; the others prove nothing", r.status, r.body)
	}
	if r := m.post("/oauth2/token", "app", startForm(ticket, ann)); r.status != http.StatusOK {
		t.Errorf("the ticket is used up: %d %s", r.status, r.body)
	}
}

// TestChainsAreBounded: nobody acts through somebody who acts, however often it is tried with the same token; and where a chain, or an
// act of any size, stands in a token under our own signature, the whole token counts for nothing. None is cut to fit.
//
// Covers RFC8693-4.1-12.
func TestChainsAreBounded(t *testing.T) {
	t.Parallel()
	m := setupMint(t, options{})
	s := m.start("ann", "app", "john", "write")
	m.consent("ann", "app", nil)
	john, _ := m.own1("app")
	cookie, _ := m.login("bea")
	beas := m.token(cookie, "app", actorScope)
	for range 3 {
		for _, actor := range []string{"", s.actor, beas} {
			refused(t, m.post("/oauth2/token", "app", ownForm(s.token, actor)), http.StatusBadRequest, "invalid_request")
		}
		refused(t, m.post("/oauth2/token", "app", ownForm(john, s.token)), http.StatusBadRequest, "invalid_request")
	}
	chain := func(depth int) map[string]any {
		act := map[string]any{"iss": m.issuer, "sub": "ann"}
		for range depth - 1 {
			act = map[string]any{"iss": m.issuer, "sub": "ann", "act": act}
		}
		return act
	}
	for what, act := range map[string]any{
		"two deep": chain(2), "three deep": chain(3), "fifty deep": chain(50), "a list": []any{chain(1), chain(1)},
		"an actor of 8 KiB": map[string]any{"iss": m.issuer, "sub": strings.Repeat("a", tokens.MaxLength)},
		"100 members":       json.RawMessage(`{"iss":"` + m.issuer + `","sub":"ann"` + strings.Repeat(`,"sub_profile":"ai_agent"`, 98) + `}`),
	} {
		for name, token := range map[string]string{"the acting": s.token, "john's own": john} {
			bent := m.bent(token, sets("act", act))
			if r := m.post("/oauth2/introspect", "app", url.Values{"token": {bent}}); r.status < 400 && r.body != `{"active":false}` {
				t.Errorf("%s in %s: got %d %s; want it inactive", what, name, r.status, r.body)
			}
			status := http.StatusBadRequest
			if len(bent) > tokens.MaxLength {
				status = http.StatusRequestEntityTooLarge
			}
			for _, f := range []url.Values{ownForm(bent, s.actor), ownForm(bent, ""), ownForm(john, bent)} {
				refused(t, m.post("/oauth2/token", "app", f), status, "invalid_request")
			}
		}
	}
	if !m.active("app", m.bent(s.token, sets("act", chain(1)))) {
		t.Error("a chain of one, signed anew, is inactive: the others prove nothing")
	}
	if r := m.post("/oauth2/token", "app", ownForm(m.bent(john, same), s.actor)); r.status != http.StatusOK {
		t.Errorf("john's own token, signed anew: got %d %s", r.status, r.body)
	}
}

// TestMayActHasNoTime: RFC 8693 §4.4 gives exp, nbf and aud no meaning in may_act, and a token of ours has none there. One that has,
// under our own signature, is malformed and refused alike whatever they say, so nobody can take them for the limits: those are the consent's, on
// record. When that is over the actor is refused, though the subject's token is good for longer.
//
// Covers RFC8693-4.4-06.
func TestMayActHasNoTime(t *testing.T) {
	t.Parallel()
	m := setupMint(t, options{})
	m.consent("ann", "app", func(c *impersonation.Consent) { c.Until = m.clock.Now().Add(2 * time.Minute) })
	john, _ := m.own1("app")
	cookie, _ := m.login("ann")
	actor := m.token(cookie, "app", actorScope)
	start := func(subject string) reply { return m.post("/oauth2/token", "app", ownForm(subject, actor)) }
	with := func(name string, value any) string {
		return m.bent(john, func(payload map[string]any) { payload["may_act"].(map[string]any)[name] = value })
	}
	no := func(what string, r reply) {
		t.Helper()
		refused(t, r, http.StatusBadRequest, "invalid_request")
		if r.str("error_description") != tokenexchange.RefusedText {
			t.Errorf("%s: got %s; want the one text", what, r.body)
		}
	}
	now := m.clock.Now().Unix()
	limits := map[string][]any{"exp": {now - 3600, now + 3600}, "nbf": {now - 3600, now + 3600}, "aud": {resource, "https://elsewhere.test/"}}
	for name, values := range limits {
		for _, value := range values {
			no(name, start(with(name, value)))
		}
	}
	if r := start(m.bent(john, same)); r.status != http.StatusOK {
		t.Fatalf("without them: got %d %s", r.status, r.body)
	}
	m.clock.advance(3 * time.Minute)
	if !m.active("app", john) || !m.active("app", actor) {
		t.Fatal("one of the tokens is over too: nothing would be shown")
	}
	no("after the consent", start(john))
	no("after the consent, with exp in the future", start(with("exp", now+3600)))
}
