package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// TestTrustedIssuer is the whole way of an app that keeps its provider's tokens: the actor is named as their issuer names them, in token,
// introspection, userinfo, log and trail; the subject is named as that issuer does beside; there is no way back but revocation.
//
// Covers RFC8693-1.1-01, RFC8693-4.1-02, RFC8693-4.1-03.
func TestTrustedIssuer(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, nil)
		s := h.begun("write")
		_, c := claims(t, s.token)
		act, id := map[string]any{"iss": h.corp.url, "sub": "f-ann"}, map[string]any{"format": "iss_sub", "iss": h.corp.url, "sub": "f-john"}
		if c["sub"] != "john" || c["iss"] != h.issuer || !reflect.DeepEqual(c["act"], act) || !reflect.DeepEqual(c["sub_id"], id) {
			t.Errorf("the token says %v", c)
		}
		if s.reply.str("understudy_return_token") != "" || s.reply.json["understudy_return_token_expires_in"] != nil {
			t.Errorf("a return token: %s", s.reply.body)
		}
		if seconds := s.reply.json["expires_in"].(float64); seconds > 540 || seconds < 500 {
			t.Errorf("lasts %v s; want what was left of the actor's token", seconds)
		}
		in := h.post("/oauth2/introspect", "app", url.Values{"token": {s.token}}).json
		if in["active"] != true || in["sub"] != "john" || !reflect.DeepEqual(in["act"], act) || !reflect.DeepEqual(in["sub_id"], id) {
			t.Errorf("introspection: %v", in)
		}
		req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
		h.must(err)
		req.Header.Set("Authorization", "Bearer "+s.token)
		info := h.do(req).json
		if a, _ := info["act"].(map[string]any); info["sub"] != "john" || a["iss"] != h.corp.url || a["sub"] != "f-ann" || a["name"] != "Ann Admin" || !reflect.DeepEqual(info["sub_id"], id) {
			t.Errorf("userinfo: %v", info)
		}
		told, _ := s.reply.json["understudy_session"].(map[string]any)
		subject, _ := told["subject"].(map[string]any)
		actor, _ := told["actor"].(map[string]any)
		if subject["sub"] != "john" || subject["iss"] != nil || !reflect.DeepEqual(subject["sub_id"], id) || actor["iss"] != h.corp.url || actor["sub"] != "f-ann" || actor["sub_id"] != nil {
			t.Errorf("understudy_session: %v", told)
		}
		e := h.onlyEntry(audit.KindStart)
		if e.Actor != (oauth.Party{Issuer: h.issuer, Subject: "ann"}) || e.Fields["actor_iss"] != h.corp.url || e.Fields["via"] != "issuer" || e.Fields["login"] != s.login {
			t.Errorf("on record: %+v", e)
		}
		if !strings.Contains(h.logs.String(), "token_actor.iss="+h.corp.url+" token_actor.sub=f-ann") {
			t.Error("the log does not name the actor as their issuer does")
		}
		h.sound(s.token)
		if r := h.post("/oauth2/revoke", "app", url.Values{"token": {s.token}}); r.status != http.StatusOK || h.active("app", s.token) {
			t.Errorf("revoked: got %d, active %t", r.status, h.active("app", s.token))
		}
	})
}

func (h *house) onlyEntry(kind audit.Kind) audit.Entry {
	h.t.Helper()
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: kind})
	h.must(err)
	if len(page) != 1 {
		h.t.Fatalf("%d entries of %s; want one", len(page), kind)
	}
	return page[0].Entry
}

// A subject whom the issuer does not know has no sub_id there, and one whose link is gone has a token that says what is no longer so.
func TestTrustedSubjectID(t *testing.T) {
	t.Parallel()
	h := setupTrust(t, options{}, nil)
	s := h.begun("read")
	h.change("john", func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: h.second.url, Subject: "f-john"}} })
	if h.active("app", s.token) {
		t.Error("active with a sub_id that is nobody's any more")
	}
	if _, c := claims(t, h.begun("read").token); c["sub_id"] != nil {
		t.Errorf("sub_id of another issuer: %v", c["sub_id"])
	}
}

// hostileToken is one foreign token that must start nothing, and what is changed for it.
type hostileToken struct {
	// token makes it; nil is a good one of ann.
	token func(h *trustHouse) string
	// before changes the house.
	before func(h *trustHouse)
	// form changes the request.
	form func(h *trustHouse, f url.Values)
}

// ann is a token of ann with one claim that is another; nil takes it out.
func ann(claim string, value any) hostileToken {
	return hostileToken{token: func(h *trustHouse) string { return h.corp.token("f-ann", map[string]any{claim: value}) }}
}

// at is ann with a claim that is so many seconds from now.
func at(claim string, seconds int64) hostileToken {
	return hostileToken{token: func(h *trustHouse) string {
		return h.corp.token("f-ann", map[string]any{claim: h.clock.Now().Unix() + seconds})
	}}
}

// iss is ann with an iss that is made of the right one.
func iss(change func(string) string) hostileToken {
	return hostileToken{token: func(h *trustHouse) string { return h.corp.token("f-ann", map[string]any{"iss": change(h.corp.url)}) }}
}

// raw is a payload made of a good one's text.
func raw(change func(payload string) string) hostileToken {
	return hostileToken{token: func(h *trustHouse) string {
		b, _ := json.Marshal(h.corp.claimsOf("f-ann"))
		return signedBy(h.t, jose.ES256, h.corp.key, []byte(change(string(b))), map[jose.HeaderKey]any{"typ": "at+jwt", "kid": h.corp.kid})
	}}
}

// headed is a good payload under another header.
func headed(header map[jose.HeaderKey]any) hostileToken {
	return hostileToken{token: func(h *trustHouse) string { return h.corp.signed(h.corp.claimsOf("f-ann"), header) }}
}

// spelled puts header before a good payload and its signature, whatever it was signed with.
func spelled(header string) hostileToken {
	return hostileToken{token: func(h *trustHouse) string {
		_, rest, _ := strings.Cut(h.corp.token("f-ann", nil), ".")
		return base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + rest
	}}
}

// keyed is signed by HMAC with what of the public key encode makes (CVE-2026-11800).
func keyed(encode func(*ecdsa.PublicKey) []byte) hostileToken {
	return hostileToken{token: func(h *trustHouse) string {
		b, _ := json.Marshal(h.corp.claimsOf("f-ann"))
		return signedBy(h.t, jose.HS256, encode(&h.corp.key.PublicKey), b, map[jose.HeaderKey]any{"kid": h.corp.kid})
	}}
}

// answering has corp answer so for its keys.
func answering(path string, answer func(h *trustHouse) http.HandlerFunc) hostileToken {
	return hostileToken{before: func(h *trustHouse) { h.corp.answers(path, answer(h)) }}
}

func der(k *ecdsa.PublicKey) []byte {
	b, _ := x509.MarshalPKIXPublicKey(k)
	return b
}

func pemOf(k *ecdsa.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der(k)})
}

var hostiles = map[string]hostileToken{
	"another audience":         ann("aud", "https://as.test"),
	"the audience with slash":  ann("aud", trustAudience+"/"),
	"no audience":              ann("aud", nil),
	"issuer with a slash":      iss(func(s string) string { return s + "/" }),
	"issuer in capitals":       iss(func(s string) string { return strings.Replace(s, "http", "HTTP", 1) }),
	"issuer without port":      iss(func(s string) string { return s[:strings.LastIndex(s, ":")] }),
	"issuer with a path":       iss(func(s string) string { return s + "/x" }),
	"issuer with a query":      iss(func(s string) string { return s + "?" }),
	"issuer as an array":       {token: func(h *trustHouse) string { return h.corp.token("f-ann", map[string]any{"iss": []string{h.corp.url}}) }},
	"no issuer":                ann("iss", nil),
	"an issuer of nobody":      ann("iss", "https://evil.test"),
	"our own issuer":           {token: func(h *trustHouse) string { return h.corp.token("ann", map[string]any{"iss": h.issuer}) }},
	"no exp":                   ann("exp", nil),
	"exp null":                 raw(func(p string) string { return swapped(p, `"exp":`, `"exp":null,"x":`) }),
	"exp a string":             ann("exp", "1900000000"),
	"exp 1e300":                raw(func(p string) string { return swapped(p, `"exp":`, `"exp":1e300,"x":`) }),
	"exp 1e400":                raw(func(p string) string { return swapped(p, `"exp":`, `"exp":1e400,"x":`) }),
	"expired":                  at("exp", -1),
	"no iat":                   ann("iat", nil),
	"iat ahead":                at("iat", 120),
	"nbf ahead":                at("nbf", 120),
	"too old":                  at("iat", -310),
	"no jti":                   ann("jti", nil),
	"no sub":                   ann("sub", nil),
	"with act":                 ann("act", map[string]any{"sub": "x"}),
	"with act null":            raw(func(p string) string { return `{"act":null,` + p[1:] }),
	"another client's azp":     ann("azp", "shop"),
	"our other client's azp":   ann("azp", "desk"),
	"our own client_id":        ann("azp", "app"),
	"azp and client_id differ": ann("client_id", "shop"),
	"no azp":                   ann("azp", nil),
	"no scope to start":        ann("scope", "openid"),
	"our scope in its place":   ann("scope", "impersonate"),
	"no scope":                 ann("scope", nil),
	"a key that is not proven": ann("cnf", map[string]any{"x5t#S256": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"}),
	"an ID token":              ann("nonce", "n"),
	"a logout token":           ann("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}),
	"sub twice":                raw(func(p string) string { return `{"sub":"f-bea",` + p[1:] }),
	"sub in disguise":          raw(func(p string) string { return `{"SUB":"f-bea",` + p[1:] }),
	"iss in disguise":          raw(func(p string) string { return `{"i\u0073s":"https://evil.test",` + p[1:] }),
	"deep": raw(func(p string) string {
		return `{"x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `,` + p[1:]
	}),
	"huge":          ann("x", strings.Repeat("x", 9000)),
	"many members":  raw(func(p string) string { return `{` + strings.Repeat(`"y":1,`, 100) + p[1:] }),
	"empty payload": raw(func(string) string { return "" }),
	"not JSON":      raw(func(string) string { return "sub=f-ann" }),

	"alg none":              spelled(`{"alg":"none","kid":"k-1"}`),
	"alg nOnE":              spelled(`{"alg":"nOnE","kid":"k-1"}`),
	"alg empty":             spelled(`{"alg":"","kid":"k-1"}`),
	"alg RS256":             spelled(`{"alg":"RS256","kid":"k-1"}`),
	"alg twice":             spelled(`{"alg":"ES256","kid":"k-1","alg":"none"}`),
	"no signature":          {token: func(h *trustHouse) string { s := h.corp.token("f-ann", nil); return s[:strings.LastIndex(s, ".")+1] }},
	"HS256, key as PEM":     keyed(pemOf),
	"HS256, key as DER":     keyed(der),
	"HS256, PEM and CRLF":   keyed(func(k *ecdsa.PublicKey) []byte { return bytes.ReplaceAll(pemOf(k), []byte("\n"), []byte("\r\n")) }),
	"HS256, PEM and space":  keyed(func(k *ecdsa.PublicKey) []byte { return append([]byte(" "), pemOf(k)...) }),
	"HS256, key as JWK":     keyed(func(k *ecdsa.PublicKey) []byte { b, _ := json.Marshal(jose.JSONWebKey{Key: k, KeyID: "k-1"}); return b }),
	"crit":                  headed(map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "k-1", "crit": []string{"exp"}, "exp": 1}),
	"b64":                   spelled(`{"alg":"ES256","kid":"k-1","b64":false}`),
	"nested, cty JWT":       headed(map[jose.HeaderKey]any{"kid": "k-1", "cty": "JWT"}),
	"typ of a logout token": headed(map[jose.HeaderKey]any{"kid": "k-1", "typ": "logout+jwt"}),
	"typ of a proof":        headed(map[jose.HeaderKey]any{"kid": "k-1", "typ": "dpop+jwt"}),
	"another kid":           headed(map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "k-2"}),
	"kid as a path":         headed(map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "../../../../dev/null"}),
	"jku":                   headed(map[jose.HeaderKey]any{"typ": "at+jwt", "kid": "k-1", "jku": "https://evil.test/keys"}),
	"a key of its own": {token: func(h *trustHouse) string {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		h.must(err)
		b, _ := json.Marshal(h.corp.claimsOf("f-ann"))
		return signedBy(h.t, jose.ES256, jose.JSONWebKey{Key: key, KeyID: "k-1"}, b, map[jose.HeaderKey]any{"jwk": jose.JSONWebKey{Key: key.Public(), KeyID: "k-1"}})
	}},
	"encrypted (JWE)": {token: func(h *trustHouse) string {
		enc, err := jose.NewEncrypter(jose.A128GCM, jose.Recipient{Algorithm: jose.ECDH_ES, Key: h.corp.key.Public()}, (&jose.EncrypterOptions{}).WithContentType("JWT"))
		h.must(err)
		o, err := enc.Encrypt([]byte(h.corp.token("f-ann", nil)))
		h.must(err)
		s, err := o.CompactSerialize()
		h.must(err)
		return s
	}},
	"the other issuer's key under the same kid": {token: func(h *trustHouse) string { return h.second.token("f-ann", map[string]any{"iss": h.corp.url}) }},
	"the same sub at the other issuer":          {token: func(h *trustHouse) string { return h.second.token("f-ann", nil) }},
	"a local ID as sub":                         {token: func(h *trustHouse) string { return h.corp.token("ann", nil) }},
	"another person than the ticket's":          {token: func(h *trustHouse) string { return h.corp.token("f-bea", nil) }},
	"the subject's own":                         {token: func(h *trustHouse) string { return h.corp.token("f-john", nil) }},
	"nobody of ours":                            {token: func(h *trustHouse) string { return h.corp.token("f-new", nil) }},

	"keys of 50 MiB":    answering("/keys", func(*trustHouse) http.HandlerFunc { return fiftyMiB }),
	"keys never":        answering("/keys", func(*trustHouse) http.HandlerFunc { return untilGone }),
	"keys not JSON":     answering("/keys", func(*trustHouse) http.HandlerFunc { return saying("<html>") }),
	"keys, status 500":  answering("/keys", func(*trustHouse) http.HandlerFunc { return failing }),
	"keys elsewhere":    answering("/keys", func(*trustHouse) http.HandlerFunc { return redirecting("http://10.0.0.1/keys") }),
	"keys at the cloud": answering("/keys", func(*trustHouse) http.HandlerFunc { return redirecting("http://169.254.169.254/latest") }),
	"keys by redirect to the right ones": {before: func(h *trustHouse) {
		h.corp.answers("/keys", redirecting(h.corp.url+"/keys2"))
	}},
	"discovery of another issuer": answering(wellKnown, func(h *trustHouse) http.HandlerFunc {
		return saying(`{"issuer":"` + h.second.url + `","jwks_uri":"` + h.corp.url + `/keys"}`)
	}),
	"discovery never": answering(wellKnown, func(*trustHouse) http.HandlerFunc { return untilGone }),
	"discovery of private keys": answering(wellKnown, func(h *trustHouse) http.HandlerFunc {
		return saying(`{"issuer":"` + h.corp.url + `","jwks_uri":"https://10.0.0.1/keys"}`)
	}),

	"disabled actor": {before: func(h *trustHouse) { h.change("ann", func(u *directory.User) { u.Enabled = false }) }},
	"unlinked actor": {before: func(h *trustHouse) { h.change("ann", func(u *directory.User) { u.Identities = nil }) }},
	"actor without a role, whatever the token says": {
		before: func(h *trustHouse) { h.change("ann", func(u *directory.User) { u.Roles = nil }) },
		token: func(h *trustHouse) string {
			return h.corp.token("f-ann", map[string]any{"roles": []string{"admin"}, "groups": []string{"admin"}})
		},
	},

	"as access_token": {form: func(_ *trustHouse, f url.Values) { f.Set("actor_token_type", typeToken) }},
	"as id_token": {form: func(_ *trustHouse, f url.Values) {
		f.Set("actor_token_type", "urn:ietf:params:oauth:token-type:id_token")
	}},
	"as subject_token": {form: func(h *trustHouse, f url.Values) {
		f.Set("subject_token", h.corp.token("f-john", nil))
		f.Set("subject_token_type", typeJWTs)
	}},
	"as subject_token alone": {form: func(h *trustHouse, f url.Values) {
		f.Set("subject_token", f.Get("actor_token"))
		f.Set("subject_token_type", typeJWTs)
		f.Del("actor_token")
		f.Del("actor_token_type")
	}},
	"beside a user id": {form: func(_ *trustHouse, f url.Values) {
		f.Set("subject_token", "john")
		f.Set("subject_token_type", string(oauth.TokenTypeUserID))
		f.Set(oauth.ParamReason, "cannot find the report tab")
	}},
	"beside the subject's own token": {form: func(h *trustHouse, f url.Values) {
		cookie, _ := h.login("john")
		f.Set("subject_token", h.house.token(cookie, "app", "openid"))
		f.Set("subject_token_type", typeToken)
	}},
	"beside a return token": {form: func(h *trustHouse, f url.Values) {
		f.Set("subject_token", h.house.start("bea", "app", "john", "read").ret)
		f.Set("subject_token_type", string(oauth.TokenTypeReturnToken))
	}},
}

const wellKnown = "/.well-known/openid-configuration"

// swapped is p with another text in place of one that must stand there once.
func swapped(p, old, with string) string {
	if strings.Count(p, old) != 1 {
		panic(old + " does not stand once in " + p)
	}
	return strings.Replace(p, old, with, 1)
}

func saying(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(text)) }
}

func failing(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }

// untilGone never answers. That the other side is gone shows only once the body is read.
func untilGone(_ http.ResponseWriter, r *http.Request) {
	io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

func redirecting(to string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) }
}

func fiftyMiB(w http.ResponseWriter, _ *http.Request) {
	w.Write([]byte(`{"keys":[],"x":"`))
	for range 50 {
		if _, err := w.Write(bytes.Repeat([]byte("x"), 1<<20)); err != nil {
			return
		}
	}
}

// otherTexts are the cases that fail by the form of the request, which is no secret and says so.
var otherTexts = map[string]string{
	"as id_token": "actor_token_type: ", "beside a user id": "actor_token_type: ", "beside the subject's own token": "actor_token_type: ", "beside a return token": "actor_token: ",
	"as subject_token": "actor_token_type: ", "huge": "actor_token: too long",
}

// TestHostileForeignTokens: each of them is refused within three seconds and with the one text, starts nothing and uses no ticket up; and while
// it is, the good one of another issuer is served.
//
// Covers RFC8693-2.1-12, RFC8693-2.1-14, RFC8693-2.2.2-02, RFC8693-2.2.2-03, RFC8693-4.1-10,
// Covers RFC8725-3.1-02, RFC8725-3.8-01, RFC8725-3.9-01, RFC8725-3.10-01.
func TestHostileForeignTokens(t *testing.T) {
	t.Parallel()
	room := make(chan struct{}, 4) // houses that stand at once, on a machine of whatever size: what is measured is no crowd
	for name, c := range hostiles {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			room <- struct{}{}
			defer func() { <-room }()
			h := setupTrust(t, options{}, nil)
			h.corp.answers("/keys2", func(w http.ResponseWriter, r *http.Request) {
				r.URL.Path = "/keys"
				h.corp.mu.Lock()
				delete(h.corp.answer, "/keys")
				h.corp.mu.Unlock()
				h.corp.ServeHTTP(w, r)
			})
			ticket, _ := h.annsTicket("read")
			cookie, _ := h.login("bea")
			beas := h.ticket(cookie, "app", "john", "read")
			if c.before != nil {
				c.before(h)
			}
			token := h.corp.token("f-ann", nil)
			if c.token != nil {
				token = c.token(h)
			}
			f := startForm(ticket, token)
			f.Set("actor_token_type", typeJWTs)
			if c.form != nil {
				c.form(h, f)
			}
			began := time.Now()
			refused(t, h.come("app", ticket, "no token"), http.StatusBadRequest, "invalid_request")
			usual := time.Since(began) // for a refusal for which nobody is asked, on this machine as busy as it is
			starts := len(h.starts())
			var good sync.WaitGroup
			good.Go(func() {
				if r := h.come("app", beas, h.second.token("f-ann", nil)); r.status != http.StatusOK {
					t.Errorf("the good one of the other issuer: got %d %s", r.status, r.body)
				}
			})
			began = time.Now()
			r := h.post("/oauth2/token", "app", f)
			if took := time.Since(began); took > 3*time.Second+2*usual {
				t.Errorf("took %s, where others take %s", took, usual)
			}
			good.Wait()
			status := http.StatusBadRequest
			if name == "huge" {
				status = http.StatusRequestEntityTooLarge
			}
			refused(t, r, status, "invalid_request")
			text, other := r.str("error_description"), otherTexts[name]
			if other == "" && text != tokenexchange.RefusedText || !strings.HasPrefix(text, other) {
				t.Errorf("got %q", text)
			}
			gaveNothing(t, name, r, token)
			if n := len(h.starts()) - starts; n != 1 {
				t.Errorf("%d starts; want that of the good one alone", n)
			}
			h.ticketIsUnused(ticket)
		})
	}
}

func (h *house) starts() []store.StoredEntry {
	h.t.Helper()
	page, _, err := h.store.Entries(context.Background(), store.EntryQuery{Kind: audit.KindStart, Limit: 1000})
	h.must(err)
	return page
}

func (h *house) ticketIsUnused(ticket string) {
	h.t.Helper()
	f, err := h.store.LoadStart(context.Background(), impersonation.StartKey{Ticket: oauth.Secret(ticket).Hash(), Now: h.clock.Now().UTC()})
	h.must(err)
	if f.Ticket == nil || !f.Ticket.Used.IsZero() {
		h.t.Errorf("the ticket: %+v; want it unused", f.Ticket)
	}
}

// A token of another issuer is good for nothing else: not at userinfo, not at introspection, not for a revocation, not as a hint.
func TestForeignTokenElsewhere(t *testing.T) {
	t.Parallel()
	h := setupTrust(t, options{}, nil)
	token := h.corp.token("f-ann", nil)
	req, err := http.NewRequest(http.MethodGet, h.url+"/userinfo", nil)
	h.must(err)
	req.Header.Set("Authorization", "Bearer "+token)
	if r := h.do(req); r.status != http.StatusUnauthorized {
		t.Errorf("userinfo: got %d %s", r.status, r.body)
	}
	if r := h.post("/oauth2/introspect", "app", url.Values{"token": {token}}); r.body != `{"active":false}` {
		t.Errorf("introspection: got %s", r.body)
	}
	h.post("/oauth2/revoke", "app", url.Values{"token": {token}})
	ticket, _ := h.annsTicket("read")
	if r := h.come("app", ticket, token); r.status != http.StatusOK {
		t.Errorf("after a revocation that is none: got %d %s", r.status, r.body)
	}
	if n := h.second.asked.Load(); n != 0 {
		t.Errorf("the other issuer was asked %d times", n)
	}
}

// One token starts one session, also at replicas and after a restart, whoever is first (CVE-2026-9802 is about such replays).
func TestForeignTokenStartsOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, nil)
		replica := h.replica(h.options)
		const crowd, rounds = 32, 3
		for range rounds {
			token := h.corp.token("f-ann", nil)
			tickets := make([]string, crowd)
			for i := range tickets {
				tickets[i], _ = h.annsTicket("read")
			}
			var won atomic.Int64
			var all sync.WaitGroup
			for i, ticket := range tickets {
				at := *h
				if i%2 == 1 {
					at.house = replica
				}
				all.Go(func() {
					switch r := at.come("app", ticket, token); {
					case r.status == http.StatusOK:
						won.Add(1)
					case r.str("error_description") != tokenexchange.RefusedText:
						t.Errorf("got %d %s", r.status, r.body)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				t.Errorf("%d of %d started; want one", won.Load(), crowd)
			}
			restarted := *h
			restarted.house = h.replica(h.options)
			ticket, _ := h.annsTicket("read")
			refused(t, restarted.come("app", ticket, token), http.StatusBadRequest, "invalid_request")
			h.ticketIsUnused(ticket)
		}
	})
}

// TestIssuerSwitchedOff is CVE-2026-1486: whose rule is gone starts nothing and keeps nothing, though its keys were in use on two
// replicas a moment ago and its tokens are as good as before; and the replica that has not heard of it sees the sessions end.
func TestIssuerSwitchedOff(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, nil)
		old := *h
		old.house = h.replica(h.options)
		here, there := h.begun("read"), old.begun("read")
		second := func() string {
			cookie, _ := h.login("bea")
			r := h.come("app", h.ticket(cookie, "app", "john", "read"), h.second.token("f-ann", nil))
			return r.str("access_token")
		}()
		unused := h.corp.token("f-ann", nil) // of before
		without := *h
		without.house = h.without()
		ticket, _ := h.annsTicket("read")
		asked := h.corp.asked.Load()
		refused(t, without.come("app", ticket, unused), http.StatusBadRequest, "invalid_request")
		if h.corp.asked.Load() != asked {
			t.Error("the issuer that is off was asked")
		}
		h.ticketIsUnused(ticket)
		for name, s := range map[string]started{"here": here, "there": there} {
			if without.active("app", s.token) {
				t.Errorf("%s: active where the rule is gone", name)
			}
			if got := h.kept(s.sid); got.EndReason != impersonation.EndIssuer {
				t.Errorf("%s: ended by %q", name, got.EndReason)
			}
			if h.active("app", s.token) || old.active("app", s.token) {
				t.Errorf("%s: active at a replica that has not heard", name)
			}
		}
		if !without.active("app", second) {
			t.Error("the session by the other issuer is over")
		}
	})
}

// What changes about the actor ends the session that their token started.
func TestForeignActorChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *trustHouse, s started){
		"disabled": func(h *trustHouse, _ started) { h.change("ann", func(u *directory.User) { u.Enabled = false }) },
		"unlinked": func(h *trustHouse, _ started) { h.change("ann", func(u *directory.User) { u.Identities = nil }) },
		"demoted":  func(h *trustHouse, _ started) { h.change("ann", func(u *directory.User) { u.Roles = nil }) },
		"signed out": func(h *trustHouse, s started) {
			_, err := h.store.EndLogin(context.Background(), impersonation.EndWrite{Write: h.write(), Scope: impersonation.ScopeLogin, ID: s.login, Reason: impersonation.EndSignedOut})
			h.must(err)
		},
		"the token's time is up": func(h *trustHouse, _ started) { h.clock.advance(541 * time.Second) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setupTrust(t, options{}, nil)
			s := h.begun("read")
			if !h.active("app", s.token) {
				t.Fatal("not active at all")
			}
			change(h, s)
			if h.active("app", s.token) {
				t.Error("still active")
			}
		})
	}
}

// Where a second factor is compulsory and the rule names values of acr, the token must have one; and the answer says which (RFC 9470 §3).
func TestForeignSecondFactor(t *testing.T) {
	t.Parallel()
	h := setupTrust(t, options{secondFactor: true}, func(r *server.TrustedIssuer) { r.ACR = []string{"gold", "platinum"} })
	ticket, _ := h.annsTicket("read")
	for _, acr := range []any{nil, "silver", "Gold"} {
		r := h.come("app", ticket, h.corp.token("f-ann", map[string]any{"acr": acr}))
		refused(t, r, http.StatusBadRequest, "insufficient_user_authentication")
		if r.str("acr_values") != "gold platinum" {
			t.Errorf("got %s", r.body)
		}
	}
	if r := h.come("app", ticket, h.corp.token("f-ann", map[string]any{"acr": "gold"})); r.status != http.StatusOK {
		t.Errorf("by two factors: got %d %s", r.status, r.body)
	}
	cookie, _ := h.login("bea") // the second issuer's rule names none: the sign-in here tells
	if r := h.come("app", h.ticket(cookie, "app", "john", "read"), h.second.token("f-ann", nil)); r.status != http.StatusOK {
		t.Errorf("where the rule names none: got %d %s", r.status, r.body)
	}
}

// A token that is bound to a key counts with a proof of that key alone, and may then come again beside another ticket.
func TestForeignTokenBoundToKey(t *testing.T) {
	t.Parallel()
	h := setupTrust(t, options{}, nil)
	key, other := newProver(h.house).learns(), newProver(h.house).learns()
	token := h.corp.token("f-ann", map[string]any{"jti": nil, "cnf": map[string]any{"jkt": key.jkt}})
	form := func() url.Values {
		ticket, _ := h.annsTicket("read")
		f := startForm(ticket, token)
		f.Set("actor_token_type", typeJWTs)
		return f
	}
	send := func(p *prover) reply { return p.post("app", form()) }
	refused(t, h.post("/oauth2/token", "app", form()), http.StatusBadRequest, "invalid_dpop_proof")
	refused(t, send(other), http.StatusBadRequest, "invalid_request")
	for range 2 {
		r := send(key)
		if r.status != http.StatusOK || r.str("token_type") != "DPoP" {
			t.Fatalf("with its proof: got %d %s", r.status, r.body)
		}
		if _, c := claims(t, r.str("access_token")); !reflect.DeepEqual(c["cnf"], map[string]any{"jkt": key.jkt}) {
			t.Errorf("bound to %v", c["cnf"])
		}
	}
}

// A rule that could not mean what it says keeps the server from starting.
func TestTrustedIssuerConfig(t *testing.T) {
	t.Parallel()
	b := onSQLite(t).store(t)
	for want, change := range map[string]func(*server.TrustedIssuer){
		"audience must":               func(r *server.TrustedIssuer) { r.Audience = "" },
		"impersonate must":            func(r *server.TrustedIssuer) { r.Impersonate = upstream.Mark{} },
		"live must":                   func(r *server.TrustedIssuer) { r.Live = "always" },
		"issuer must be another one":  func(r *server.TrustedIssuer) { r.TrustConfig.Issuer.URL = "https://id.acme.test" },
		"introspection goes with":     func(r *server.TrustedIssuer) { r.Live = impersonation.LiveIntrospection },
		"live: backchannel goes with": func(r *server.TrustedIssuer) { r.Live = impersonation.LiveLogout },
		"issuer is there twice":       nil,
	} {
		rule := (&foreignIssuer{url: "https://corp.test"}).rule()
		rules := []server.TrustedIssuer{rule}
		if change == nil {
			rules = append(rules, rule)
		} else {
			change(&rules[0])
		}
		_, err := server.New(context.Background(), server.Config{PublicURL: "https://id.acme.test", Store: b, Box: newBox(t), TrustedIssuers: rules})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "server: TrustedIssuers[") {
			t.Errorf("got %v; want %q", err, want)
		}
	}
}

// Where the rule says so, the issuer is asked about each token before it starts anything; without a yes nothing starts.
func TestForeignTokenIsAskedAbout(t *testing.T) {
	t.Parallel()
	h := setupTrust(t, options{}, introspecting)
	corp := h.corp
	ticket, _ := h.annsTicket("read")
	for name, answer := range map[string]http.HandlerFunc{
		"no": saying(`{"active":false}`), "of another": saying(`{"active":true,"sub":"f-bea"}`), "broken": saying(`{}`), "down": failing, "never": untilGone,
	} {
		corp.answers("/introspect", answer)
		if r := h.come("app", ticket, corp.token("f-ann", nil)); r.status != http.StatusBadRequest || r.str("error_description") != tokenexchange.RefusedText {
			t.Errorf("%s: got %d %s", name, r.status, r.body)
		}
	}
	h.ticketIsUnused(ticket)
	corp.answers("/introspect", saying(`{"active":true,"sub":"f-ann"}`))
	if r := h.come("app", ticket, corp.token("f-ann", nil)); r.status != http.StatusOK {
		t.Errorf("yes: got %d %s", r.status, r.body)
	}
}

// An actor whom a SCIM source of the issuer keeps is heard of: their session lasts as long as asked for, until the source says that they left.
func TestForeignActorIsProvisioned(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setupTrust(t, o, func(r *server.TrustedIssuer) { r.Live = impersonation.LiveSCIM })
		h.must(h.store.CreateSource(t.Context(), store.SourceWrite{Write: h.write(), Source: store.Source{Name: "okta", Issuer: h.corp.url}}))
		token := store.SourceToken{ID: oauth.NewID("sct"), Source: "okta", Hash: oauth.NewSecret().Hash(), Created: h.clock.Now()}
		h.must(h.store.AddSourceToken(t.Context(), store.SourceTokenWrite{Write: h.write(), Token: token}))
		h.change("ann", func(u *directory.User) { u.Source, u.ExternalID = "scim:okta", "f-ann" })
		s := h.begun("read")
		if seconds := s.reply.json["expires_in"].(float64); seconds <= 15*60 {
			t.Errorf("lasts %v s; want what the ticket says", seconds)
		}
		h.clock.advance(9*time.Minute + 30*time.Second) // beyond the token
		if !h.active("app", s.token) {
			t.Error("over with the token")
		}
		h.change("ann", func(u *directory.User) { u.Enabled = false })
		if h.active("app", s.token) {
			t.Error("active though the actor has left")
		}
		h.change("ann", func(u *directory.User) { u.Enabled = true })
		h.must(h.store.RevokeSourceToken(t.Context(), store.SourceTokenWrite{Write: h.write(), Token: token}))
		if seconds := h.begun("read").reply.json["expires_in"].(float64); seconds > 540 {
			t.Errorf("without a token of the source it lasts %v s", seconds)
		}
	})
}
