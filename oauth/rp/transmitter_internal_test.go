package rp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const (
	uriRevoked  = "https://schemas.openid.net/secevent/caep/event-type/session-revoked"
	uriVerified = "https://schemas.openid.net/secevent/ssf/event-type/verification"
)

// transmitter is an issuer that says what a test has it say. It spells the wire itself.
type transmitter struct {
	t     testing.TB
	url   string
	keyID string
	key   *ecdsa.PrivateKey
	logs  lines

	mu       sync.Mutex
	off      time.Duration   // of the clock
	stands   time.Time       // the clock, where it does not go by itself
	alive    map[string]bool // what introspection says, by token
	meta     map[string]any  // what the metadata say otherwise
	stream   map[string]any  // and a stream that was opened
	queue    []string        // bodies for the polls to come; without one they say that all is well
	bend     func(w http.ResponseWriter, r *http.Request, what string) bool
	state    string         // understudy_state
	requests map[string]int // by what was asked
	polls    []pollRequest  // what was posted
	wake     chan struct{}
	owner    string // client_id of every session
}

// lines is a log that many write to.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

const fine = `{"epochs":[],"vouches":true}`

func newTransmitter(t testing.TB) *transmitter {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &transmitter{t: t, keyID: "k1", key: key, alive: map[string]bool{}, state: fine, requests: map[string]int{}, wake: make(chan struct{}), owner: "app"}
	srv := httptest.NewServer(x)
	t.Cleanup(srv.Close)
	x.url = srv.URL
	return x
}

// receive is a process that listens to x.
func (x *transmitter) receive() *introspected {
	ctx, cancel := context.WithCancel(context.Background())
	x.t.Cleanup(cancel)
	return x.receiveUntil(ctx)
}

func (x *transmitter) receiveUntil(ctx context.Context) *introspected {
	l := &introspected{issuer: &issuer{url: x.url, id: "app", secret: "s", client: withoutRedirects(nil)}, now: x.now}
	log := slog.New(slog.NewTextHandler(&x.logs, nil))
	listenTo(ctx, l, newSigned(ctx, l.issuer, x.now, log), log)
	return l
}

func (x *transmitter) now() time.Time {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.stands.IsZero() {
		return x.stands.Add(x.off)
	}
	return time.Now().Add(x.off)
}

func (x *transmitter) set(f func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f()
}

// say answers the next poll, now.
func (x *transmitter) say(body string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.queue = append(x.queue, body)
	close(x.wake)
	x.wake = make(chan struct{})
}

// tell answers the next poll with SETs.
func (x *transmitter) tell(sets map[string]string) {
	x.mu.Lock()
	state := x.state
	x.mu.Unlock()
	raw, _ := json.Marshal(sets)
	x.say(fmt.Sprintf(`{"sets":%s,"moreAvailable":false,"understudy_state":%s}`, raw, state))
}

func (x *transmitter) asked(what string) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.requests[what]
}

func (x *transmitter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method + " " + r.URL.Path
	x.mu.Lock()
	x.requests[what]++
	bend := x.bend
	x.mu.Unlock()
	if bend != nil && bend(w, r, what) {
		return
	}
	if strings.HasPrefix(r.URL.Path, "/ssf/") && r.Header.Get("Authorization") != "Bearer receiver" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	switch what {
	case "GET /.well-known/openid-configuration":
		m := map[string]string{"issuer": x.url, "jwks_uri": x.url + "/jwks"}
		for name, path := range map[string]string{"authorization": "auth", "token": "token", "introspection": "introspect", "revocation": "revoke", "userinfo": "userinfo",
			"understudy_impersonation": "impersonate", "understudy_actions": "actions"} {
			m[name+"_endpoint"] = x.url + "/" + path
		}
		json.NewEncoder(w).Encode(m)
	case "GET /.well-known/ssf-configuration":
		x.document(w, http.StatusOK, map[string]any{"issuer": x.url, "jwks_uri": x.url + "/jwks", "configuration_endpoint": x.url + "/ssf/streams"}, x.meta)
	case "GET /jwks":
		x.mu.Lock()
		key, id := x.key, x.keyID
		x.mu.Unlock()
		b, _ := key.PublicKey.Bytes()
		text := base64.RawURLEncoding.EncodeToString
		fmt.Fprintf(w, `{"keys":[{"kty":"EC","crv":"P-256","kid":%q,"x":%q,"y":%q}]}`, id, text(b[1:33]), text(b[33:]))
	case "POST /token":
		if r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "ssf" {
			http.Error(w, `{"error":"invalid_request"}`, http.StatusBadRequest)
			return
		}
		io.WriteString(w, `{"access_token":"receiver","token_type":"Bearer","expires_in":600}`)
	case "POST /introspect":
		x.mu.Lock()
		alive, owner := x.alive[r.FormValue("token")], x.owner
		x.mu.Unlock()
		fmt.Fprintf(w, `{"active":%v,"sid":%q,"client_id":%q}`, alive, "imp_"+r.FormValue("token"), owner)
	case "POST /ssf/streams":
		x.document(w, http.StatusCreated, map[string]any{"stream_id": "str_1", "iss": x.url, "aud": "app", "events_delivered": []string{uriRevoked},
			"delivery": map[string]string{"method": "urn:ietf:rfc:8936", "endpoint_url": x.url + "/ssf/poll/str_1"}}, x.stream)
	case "DELETE /ssf/streams":
		w.WriteHeader(http.StatusNoContent)
	case "POST /ssf/poll/str_1":
		x.poll(w, r)
	default:
		http.NotFound(w, r)
	}
}

// document is what is said, but for what a test has it say otherwise.
func (x *transmitter) document(w http.ResponseWriter, status int, m, other map[string]any) {
	x.mu.Lock()
	for name, value := range other {
		m[name] = value
	}
	x.mu.Unlock()
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(m)
}

func (x *transmitter) poll(w http.ResponseWriter, r *http.Request) {
	var p pollRequest
	if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
		x.t.Errorf("a poll: %v", err)
	}
	x.mu.Lock()
	x.polls = append(x.polls, p)
	wake, empty := x.wake, len(x.queue) == 0
	x.mu.Unlock()
	if empty && !p.Immediately && p.MaxEvents == nil {
		select {
		case <-wake:
		case <-time.After(time.Duration(p.Wait) * time.Second):
		case <-r.Context().Done():
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case p.MaxEvents != nil || p.Snapshot && (len(x.queue) == 0 || !strings.Contains(x.queue[0], "snapshot")):
		fmt.Fprintf(w, `{"sets":{},"moreAvailable":false,"understudy_state":%s,"understudy_ended":[]}`, x.state)
	case len(x.queue) > 0:
		body := x.queue[0]
		x.queue = x.queue[1:]
		io.WriteString(w, body)
	default:
		fmt.Fprintf(w, `{"sets":{},"moreAvailable":false,"understudy_state":%s}`, x.state)
	}
}

// claims are those of a SET that tells the end of a session.
func (x *transmitter) claims(jti, sid string) map[string]any {
	return map[string]any{
		"iss": x.url, "aud": "app", "iat": time.Now().Unix(), "jti": jti,
		"sub_id": map[string]any{"format": "complex", "session": map[string]string{"format": "opaque", "id": sid}, "user": map[string]string{"format": "iss_sub", "iss": x.url, "sub": "john"}},
		"events": map[string]any{uriRevoked: map[string]any{"event_timestamp": time.Now().Unix(), "initiating_entity": "admin"}},
	}
}

// sign gives a JWS by x's key; header is JSON.
func (x *transmitter) sign(header string, claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		x.t.Fatal(err)
	}
	return signES256(x.t, x.key, header, string(payload))
}

func signES256(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	text := base64.RawURLEncoding.EncodeToString
	signed := text([]byte(header)) + "." + text([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + text(append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...))
}

func (x *transmitter) header() string {
	return `{"alg":"ES256","kid":"` + x.keyID + `","typ":"secevent+jwt"}`
}

// revoked is a whole SET.
func (x *transmitter) revoked(jti, sid string) string { return x.sign(x.header(), x.claims(jti, sid)) }

// begin has a session live, its process listen, and nothing else to ask.
func (x *transmitter) begin(l *introspected, token string) {
	x.t.Helper()
	x.set(func() { x.alive[token] = true })
	until(x.t, "the session is believed because of the stream", func() bool {
		alive, err := l.Alive(x.t.Context(), "imp_"+token, oauth.Secret(token))
		if err != nil || !alive {
			x.t.Fatalf("a session that lives: got %v, %v", alive, err)
		}
		return l.vouching("imp_" + token)
	})
}

// vouching reports whether a session counts because of the stream.
func (l *introspected) vouching(sid string) bool {
	now := l.now()
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.seen[sid].own && now.Before(l.vouched)
}

func (x *transmitter) wantAlive(l *introspected, token string, want bool) {
	x.t.Helper()
	if alive, err := l.Alive(x.t.Context(), "imp_"+token, oauth.Secret(token)); err != nil || alive != want {
		x.t.Fatalf("%s: got %v, %v; want %v", token, alive, err, want)
	}
}

// until waits for f.
func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}
