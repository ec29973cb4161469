package rptest

import (
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// The names at NewIssuer.
const (
	URL      = "https://issuer.test"
	AppURL   = "https://app.test"
	AsUser   = "https://as-user.app.test"
	ClientID = "app"
	Resource = "https://api.test" // what tokens are for
)

// clientSecret is no secret.
const clientSecret = "rptest-rptest-rptest-rptest-rptest-rptest-1"

// How long things last: as at the real issuer by default.
const (
	tokenLifetime   = 10 * time.Minute
	sessionLifetime = 30 * time.Minute
	returnLifetime  = sessionLifetime + 5*time.Minute
	onceLifetime    = time.Minute // a code, a ticket
)

// Issuer is understudy in memory, as far as package rp asks it. Make it with NewIssuer. It is an http.Handler, for tests that want it behind a
// socket: set URL to that address before anything else. Safe for concurrent use otherwise.
type Issuer struct {
	// URL is the issuer's own, the constant by default.
	URL string
	// Now is the clock, time.Now by default. Set it before anything else.
	Now func() time.Time

	key    *ecdsa.PrivateKey
	routes http.Handler

	mu       sync.Mutex
	away     bool
	person   rp.Person // who is signed in
	subject  rp.Person // whom they choose
	mode     oauth.Mode
	once     map[string]*once // codes, tickets and return tokens
	tokens   map[string]*grant
	sessions map[string]*session
	actions  []rp.Action
}

// session is one stretch of impersonation.
type session struct {
	rp.Session
	start string // what is on record of it
	ended bool
}

// NewIssuer gives an issuer at which nobody is signed in.
func NewIssuer() *Issuer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("rptest: " + err.Error()) // never fails (crypto/rand)
	}
	i := &Issuer{
		URL: URL, Now: time.Now, key: key, once: make(map[string]*once), tokens: make(map[string]*grant), sessions: make(map[string]*session),
	}
	i.routes = i.mux()
	return i
}

// Config configures an app that is the client ClientID of this issuer: at AppURL, with an impersonation that has AsUser for itself.
// Change what the test is about, and give it to rp.New. Every address that ends in /.understudy/callback is registered.
func (i *Issuer) Config() rp.Config {
	return rp.Config{
		Issuer: i.URL, ClientID: ClientID, ClientSecret: clientSecret, BaseURL: AppURL, Origin: AsUser,
		Client: &http.Client{Transport: wire{i}}, Now: i.Now, NoStream: true, // it tells nobody by itself what ended
	}
}

// wire carries requests to an issuer without a network.
type wire struct{ to http.Handler }

// RoundTrip implements http.RoundTripper.
func (t wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	t.to.ServeHTTP(w, in)
	resp := w.Result()
	resp.Request = r
	return resp, nil
}

// SignIn makes p the one who is signed in at the issuer; the zero Person signs out.
func (i *Issuer) SignIn(p rp.Person) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.person = p
}

// Choose makes subject and mode what whoever is signed in chooses on the impersonate page from now on; the zero Person cancels it.
func (i *Issuer) Choose(subject rp.Person, mode oauth.Mode) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.subject, i.mode = subject, mode
}

// End ends every session, as an operator would.
func (i *Issuer) End() {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, s := range i.sessions {
		s.ended = true
	}
}

// SetAway lets the issuer answer nothing but 503, as one that is down, or come back.
func (i *Issuer) SetAway(away bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.away = away
}

// Actions are the actions on record, in the order in which they were done. App.Flush waits for those that are not told at once.
func (i *Issuer) Actions() []rp.Action {
	i.mu.Lock()
	defer i.mu.Unlock()
	all := slices.Clone(i.actions)
	slices.SortStableFunc(all, func(a, b rp.Action) int { return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Seq, b.Seq)) })
	return all
}

// ServeHTTP implements http.Handler.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.away {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "away", http.StatusServiceUnavailable)
		return
	}
	i.routes.ServeHTTP(w, r)
}
