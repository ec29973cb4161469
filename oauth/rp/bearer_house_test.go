package rp_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

const (
	audience = "https://api.acme.test"
	apiURL   = "https://api.acme.test/v1"
)

// api is an API behind a Bearer, and an issuer that signs whatever a test wants.
type api struct {
	t      testing.TB
	clock  *clock
	issuer string
	config rp.BearerConfig
	bearer *rp.Bearer
	logs   *logs
	key    signer
	serve  http.Handler

	mu      sync.Mutex
	jwks    string
	bend    [2]string       // in the metadata the first is the second
	down    map[string]bool // paths that are not answered
	over    map[string]bool // sessions
	calls   map[string]int  // by path
	actions []string        // on record: phase, method, route, status and note
	ids     []string        // the IDs of those
	reached []string        // the API: subject, actor, method and path
}

// signer is a key of an issuer, or of a client.
type signer struct {
	kid     string
	private *ecdsa.PrivateKey
}

func newSigner(t testing.TB, kid string) signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{kid, private}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwk is the public key, with members beside it such as `"kid":"k1"`.
func (s signer) jwk(beside ...string) string {
	point, err := s.private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		panic(err)
	}
	members := append([]string{`"crv":"P-256"`, `"kty":"EC"`, `"x":"` + b64(point[1:33]) + `"`, `"y":"` + b64(point[33:]) + `"`}, beside...)
	return "{" + strings.Join(members, ",") + "}"
}

// thumbprint is RFC 7638 §3, written out.
func (s signer) thumbprint() string {
	sum := sha256.Sum256([]byte(s.jwk()))
	return b64(sum[:])
}

// sign signs any header and payload.
func (s signer) sign(header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	digest := sha256.Sum256([]byte(input))
	r, v, err := ecdsa.Sign(rand.Reader, s.private, digest[:])
	if err != nil {
		panic(err)
	}
	return input + "." + b64(append(r.FillBytes(make([]byte, 32)), v.FillBytes(make([]byte, 32))...))
}

// newAPI builds an API. bend may change its configuration.
func newAPI(t testing.TB, bend func(*rp.BearerConfig)) *api {
	t.Helper()
	a := &api{
		t: t, clock: new(clock), logs: new(logs), key: newSigner(t, "k1"),
		down: map[string]bool{}, over: map[string]bool{}, calls: map[string]int{},
	}
	a.jwks = `{"keys":[` + a.key.jwk(`"kid":"k1"`, `"alg":"ES256"`, `"use":"sig"`) + `]}`
	srv := httptest.NewServer(http.HandlerFunc(a.answer))
	t.Cleanup(srv.Close)
	a.issuer = srv.URL
	a.config = rp.BearerConfig{
		Issuer: a.issuer, Audience: audience, ClientID: "api", ClientSecret: "secret", URL: apiURL, Client: srv.Client(), Now: a.clock.Now,
		Logger: slog.New(slog.NewTextHandler(a.logs, nil)),
	}
	if bend != nil {
		bend(&a.config)
	}
	var err error
	if a.bearer, err = rp.NewBearer(t.Context(), a.config); err != nil {
		t.Fatal(err)
	}
	a.bearer.Allow("POST /search")
	a.bearer.Block("/blocked/")
	a.serve = a.bearer.Handler(a.routes())
	return a
}

// routes is the API: it says who it takes the request for.
func (a *api) routes() http.Handler {
	mux := http.NewServeMux()
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		subject, _ := rp.Subject(r.Context())
		actor, _ := rp.Actor(r.Context())
		a.mu.Lock()
		a.reached = append(a.reached, subject.Subject+" "+actor.Subject+" "+r.Method+" "+r.URL.Path)
		a.mu.Unlock()
		fmt.Fprintf(w, "subject=%s actor=%s impersonating=%v", subject.Subject, actor.Subject, rp.Impersonating(r.Context()))
	})
	mux.Handle("/", whoami)
	mux.Handle("/delete", rp.Forbid(whoami))
	mux.Handle("/orders", rp.RequireScope(whoami, "orders", "orders:read"))
	mux.Handle("/payout", rp.RequireAuthentication(whoami, 5*time.Minute, "urn:acr:mfa"))
	mux.Handle("/recent", rp.RequireAuthentication(whoami, 5*time.Minute))
	return mux
}

// answer is the issuer.
func (a *api) answer(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls[r.URL.Path]++
	if a.down[r.URL.Path] || a.down["*"] {
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		at := func(name, path string) string { return fmt.Sprintf(`,"%s":"%s%s"`, name, a.issuer, path) }
		metadata := fmt.Sprintf(`{"issuer":"%s"%s}`, a.issuer, at("authorization_endpoint", "/auth")+at("token_endpoint", "/token")+at("introspection_endpoint", "/introspect")+
			at("revocation_endpoint", "/revoke")+at("userinfo_endpoint", "/userinfo")+at("jwks_uri", "/jwks")+
			at("understudy_impersonation_endpoint", "/impersonate")+at("understudy_actions_endpoint", "/actions"))
		io.WriteString(w, strings.Replace(metadata, a.bend[0], a.bend[1], 1))
	case "/jwks":
		io.WriteString(w, a.jwks)
	case "/introspect":
		id, secret, _ := r.BasicAuth()
		payload, _ := base64.RawURLEncoding.DecodeString(strings.Split(r.FormValue("token"), ".")[1])
		var claims struct{ Sid string }
		json.Unmarshal(payload, &claims)
		fmt.Fprintf(w, `{"active":%v,"sid":%q}`, id == "api" && secret == "secret" && !a.over[claims.Sid], claims.Sid)
	case "/actions":
		var told struct{ Actions []map[string]any }
		json.NewDecoder(r.Body).Decode(&told)
		sessions := map[string]map[string]bool{}
		for _, act := range told.Actions {
			line := fmt.Sprint(act["phase"], " ", act["method"], " ", act["route"])
			for _, member := range []string{"status", "note"} {
				if act[member] != nil {
					line += fmt.Sprint(" ", act[member])
				}
			}
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(act["time"])); err != nil || a.clock.Now().Sub(at).Abs() > 24*time.Hour {
				a.t.Errorf("%s: its time is %v", line, act["time"])
			}
			a.actions, a.ids = append(a.actions, line), append(a.ids, act["id"].(string))
			sid := act["sid"].(string)
			sessions[sid] = map[string]bool{"active": !a.over[sid]}
		}
		json.NewEncoder(w).Encode(map[string]any{"sessions": sessions})
	default:
		http.NotFound(w, r)
	}
}

func (a *api) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

// set changes what the issuer answers.
func (a *api) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// asked counts the calls to a path of the issuer since the last time.
func (a *api) asked(path string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.calls[path]
	a.calls[path] = 0
	return n
}

// taken gives what reached the API, or the record, since the last time.
func (a *api) taken(of *[]string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := *of
	*of = nil
	return out
}

const header = `{"alg":"ES256","kid":"k1","typ":"at+jwt"}`

// claims are those of john's own token, changed by name-value pairs; a nil value takes a claim out.
func (a *api) claims(change ...any) string {
	now := a.clock.Now()
	c := map[string]any{
		"iss": a.issuer, "sub": "john", "aud": audience, "client_id": "app", "scope": "openid orders orders:read", "iat": now.Unix() - 60, "exp": now.Unix() + 540,
		"jti": "jti_1", "sid": "lgn_1",
	}
	for i := 0; i < len(change); i += 2 {
		if c[change[i].(string)] = change[i+1]; change[i+1] == nil {
			delete(c, change[i].(string))
		}
	}
	b, err := json.Marshal(c)
	if err != nil {
		a.t.Fatal(err)
	}
	return string(b)
}

// token is john's own; acting is one with which Ann acts as him, look only unless its scope is changed.
func (a *api) token(change ...any) string { return a.key.sign(header, a.claims(change...)) }
func (a *api) acting(change ...any) string {
	return a.key.sign(header, a.claims(append([]any{
		"jti", "jti_2", "sid", "imp_1", "txn", "aud_1", "scope", "orders", "act", map[string]string{"iss": a.issuer, "sub": "ann"},
	}, change...)...))
}

const fullAccess = "impersonation:write orders"

// request is a request with a token, which may have its scheme before it; "" for none.
func (a *api) request(method, path, token string, header ...string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if token != "" && !strings.Contains(token, " ") {
		token = "Bearer " + token
	}
	if token != "" {
		r.Header.Set("Authorization", token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

func (a *api) do(r *http.Request) reply {
	w := httptest.NewRecorder()
	a.serve.ServeHTTP(w, r)
	return reply{status: w.Code, header: w.Header(), url: r.URL, body: w.Body.String()}
}

func (a *api) get(path, token string, header ...string) reply {
	return a.do(a.request(http.MethodGet, path, token, header...))
}

func (a *api) post(path, token string, header ...string) reply {
	return a.do(a.request(http.MethodPost, path, token, header...))
}

// no demands a refusal of this status and code, with its challenge, that reached nobody.
func (a *api) no(what string, r reply, status int, code string) {
	a.t.Helper()
	challenge := r.header.Get("WWW-Authenticate")
	var problem struct{ Code string }
	json.Unmarshal([]byte(r.body), &problem)
	if r.status != status || problem.Code != code || r.header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("%s: got %d %s, want %d %q", what, r.status, r.body, status, code)
	}
	if status == http.StatusUnauthorized && (!strings.Contains(challenge, `Bearer realm="`) || code != "" && !strings.Contains(challenge, `error="`+code+`"`)) {
		a.t.Errorf("%s: the challenge is %q", what, challenge)
	}
	if status == http.StatusUnauthorized && code == "" && strings.Contains(challenge, "error") {
		a.t.Errorf("%s: the challenge is %q, and nothing was wrong", what, challenge)
	}
	if got := a.taken(&a.reached); len(got) > 0 {
		a.t.Errorf("%s: reached the API: %q", what, got)
	}
	for name := range maps.Keys(r.header) {
		if slices.Contains([]string{"Location", "Set-Cookie"}, name) {
			a.t.Errorf("%s: answered %s", what, name)
		}
	}
}

// yes demands that a request was served as subject, by actor.
func (a *api) yes(what string, r reply, subject, actor string) {
	a.t.Helper()
	want := fmt.Sprintf("subject=%s actor=%s impersonating=%v", subject, actor, subject != actor)
	if r.status != http.StatusOK || r.body != want {
		a.t.Errorf("%s: got %d %s, want %s", what, r.status, r.body, want)
	}
	a.taken(&a.reached)
}
