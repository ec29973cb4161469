package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/understudy-id/understudy/oauth"
)

// prover is a client's half of RFC 9449: a key, and the nonce that it was told last. It signs by hand, with nothing of ours.
type prover struct {
	h   *house
	key *ecdsa.PrivateKey
	// jkt is the thumbprint of the key (RFC 7638).
	jkt string

	mu    sync.Mutex
	nonce string
}

func newProver(h *house) *prover {
	h.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	h.must(err)
	p := &prover{h: h, key: key}
	jwk := p.jwk()
	sum := sha256.Sum256([]byte(`{"crv":"P-256","kty":"EC","x":"` + jwk["x"].(string) + `","y":"` + jwk["y"].(string) + `"}`))
	p.jkt = b64(sum[:])
	return p
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func (p *prover) jwk() map[string]any {
	point, err := p.key.PublicKey.Bytes()
	p.h.must(err)
	return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// twist spoils a proof before it is signed.
type twist func(header, payload map[string]any)

func claim(name string, value any) twist {
	return func(_, payload map[string]any) { payload[name] = value }
}

// proof is one for a request, and for the token that is sent with it, "" for none.
func (p *prover) proof(method, path, token string, twists ...twist) string {
	p.mu.Lock()
	header := map[string]any{"typ": "dpop+jwt", "alg": "ES256", "jwk": p.jwk()}
	payload := map[string]any{"htm": method, "htu": p.h.issuer + path, "iat": p.h.clock.Now().Unix(), "jti": oauth.NewID("jti")}
	if p.nonce != "" {
		payload["nonce"] = p.nonce
	}
	p.mu.Unlock()
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		payload["ath"] = b64(sum[:])
	}
	for _, twist := range twists {
		twist(header, payload)
	}
	return p.sign(encode(p.h.t, header), encode(p.h.t, payload))
}

func encode(t testing.TB, v map[string]any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func (p *prover) sign(header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, p.key, digest[:])
	p.h.must(err)
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return input + "." + b64(signature)
}

// heard takes the nonce of an answer, as each client must.
func (p *prover) heard(r reply) reply {
	if nonce := r.header.Get("DPoP-Nonce"); nonce != "" {
		p.mu.Lock()
		p.nonce = nonce
		p.mu.Unlock()
	}
	return r
}

// learns asks for the nonce first, so that what follows has one.
func (p *prover) learns() *prover {
	p.h.t.Helper()
	p.nonce = ""
	r := p.heard(p.h.sent("/oauth2/token", "app", redeem("x"), p.proof("POST", "/oauth2/token", "")))
	if r.str("error") != "use_dpop_nonce" || p.nonce == "" {
		p.h.t.Fatalf("asking for a nonce: got %d %s", r.status, r.body)
	}
	return p
}

// sent is a POST with client authentication and DPoP headers.
func (h *house) sent(path, client string, form url.Values, proofs ...string) reply {
	h.t.Helper()
	req, err := http.NewRequest(http.MethodPost, h.url+path, strings.NewReader(form.Encode()))
	h.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if client != "" {
		req.SetBasicAuth(client, h.secrets[client])
	}
	for _, proof := range proofs {
		req.Header.Add("DPoP", proof)
	}
	return h.do(req)
}

// post is a POST with a good proof.
func (p *prover) post(client string, form url.Values) reply {
	p.h.t.Helper()
	return p.heard(p.h.sent("/oauth2/token", client, form, p.proof("POST", "/oauth2/token", "")))
}

// boundCode is a code that is bound to the key from the start.
func (p *prover) boundCode(cookie, client, scope string) string {
	p.h.t.Helper()
	q := url.Values{"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {"12345678"},
		"code_challenge": {challenge}, "code_challenge_method": {"S256"}, "dpop_jkt": {p.jkt}}
	r := p.h.get("/oauth2/auth?"+q.Encode(), cookie)
	if r.status != http.StatusSeeOther || r.location.Query().Get("code") == "" {
		p.h.t.Fatalf("authorization: got %d %v %s; want a code", r.status, r.location, r.body)
	}
	return r.location.Query().Get("code")
}

// userinfo asks with a token by scheme, and with proofs.
func (p *prover) userinfo(scheme, token string, proofs ...string) reply {
	p.h.t.Helper()
	req, err := http.NewRequest(http.MethodGet, p.h.url+"/userinfo", nil)
	p.h.must(err)
	req.Header.Set("Authorization", scheme+" "+token)
	for _, proof := range proofs {
		req.Header.Add("DPoP", proof)
	}
	return p.heard(p.h.do(req))
}

// actor is an access token of user at client, bound to the key.
func (p *prover) actor(cookie, client, scope string) string {
	p.h.t.Helper()
	r := p.post(client, redeem(p.boundCode(cookie, client, scope)))
	if r.status != http.StatusOK {
		p.h.t.Fatalf("token: got %d %s", r.status, r.body)
	}
	return r.str("access_token")
}

// start is house.start with everything bound to the key.
func (p *prover) start(admin, client, subject string) started {
	p.h.t.Helper()
	cookie, login := p.h.login(admin)
	actor := p.actor(cookie, client, actorScope)
	r := p.post(client, startForm(p.h.ticket(cookie, client, subject, "read"), actor))
	if r.status != http.StatusOK {
		p.h.t.Fatalf("start: got %d %s", r.status, r.body)
	}
	sid, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
	return started{cookie: cookie, login: login, actor: actor, reply: r, token: r.str("access_token"), ret: r.str("understudy_return_token"), sid: sid}
}
