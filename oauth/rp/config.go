package rp

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// Config is what New needs. Issuer, ClientID, ClientSecret and BaseURL must be set, the rest may be zero. The functions
// are called concurrently.
type Config struct {
	// Issuer is the public URL of understudy, byte by byte as in its iss.
	Issuer string
	// ClientID and ClientSecret are the app's registration (understudy client add). Its redirect URIs must hold
	// /.understudy/callback on BaseURL and, if Origin is set, on Origin too.
	ClientID     string
	ClientSecret oauth.Secret
	// BaseURL is the app's own origin, such as https://app.example: no path. https, unless its host is a loopback one.
	BaseURL string
	// Origin is the origin on which impersonation lives, such as https://as-user.app.example; it must lead to this same
	// Handler and differ from BaseURL in its host. "" lays impersonation over BaseURL: see "Two forms" above.
	Origin string
	// AllowSameOriginWrite lets somebody have full access without an Origin. Script in the user's page can then press
	// Stop and act as the administrator, and what the administrator's own tabs send counts as the user's, unless it says that it is from before: see
	// "Tabs left open" above. Without it, say so to the issuer (clients.modes: {app: [read]}): its page then
	// offers no full access, and nobody starts one that ends at once.
	AllowSameOriginWrite bool
	// Resource is the API that tokens shall be for (RFC 8707); "" takes the client's first.
	Resource string

	// ActorToken is for apps with a sign-in of their own against the same issuer: it gives the access token of who sends
	// r, with scope impersonate, issued to ClientID. "" if nobody is signed in. Nil: this package signs people in.
	// It needs Hold and Held, and no Origin, which never sees an actor's token.
	ActorToken func(r *http.Request) (oauth.Secret, error)
	// ForeignActor is for apps that stay with another provider, which the issuer trusts (its trusted_issuers): ActorToken then gives that
	// one's access token, which must say what its rule asks for and be minutes old, so fetch a fresh one. Each starts once. Nothing comes
	// back at a stop: it revokes (RFC 7009), and lifting the hold is what gives the actor their pages back.
	ForeignActor bool
	// Hold marks the app's own session of who sends r as held by the impersonation sid, and lifts the hold for sid "".
	// While it is held, Held gives the sid, and the app must not serve that session to anybody. Keep it where the browser
	// cannot drop it.
	Hold func(w http.ResponseWriter, r *http.Request, sid string) error
	Held func(r *http.Request) (sid string, err error)

	// CanImpersonate is the app's veto, asked once at each start, when the issuer has allowed it and before anything is done in the subject's name: an
	// error refuses, whatever it is, and ends the session at the issuer. Its text is shown to the actor, so let it say no more than they may know. What it
	// finds out does not count later: what may change during a session, ask in the handler. ctx is the request's, in which nobody is impersonated. Nil allows.
	CanImpersonate func(ctx context.Context, actor, subject Person) error
	// Home is where somebody lands: a path, by role if you like. Nil: "/".
	Home func(Person) string
	// Stopped hears of each stop, with the actor's fresh access token where the issuer gave one; on an Origin it reaches
	// nobody else. Nil hears nothing.
	Stopped func(ctx context.Context, s Session, actorToken oauth.Secret)

	// CookieKeys seal cookies: 32 random bytes each, the first seals, all open. Empty derives one from ClientSecret, so
	// that replicas and restarts agree.
	CookieKeys [][]byte
	// SessionCookies are names that the app must not set while somebody is impersonated on BaseURL, such as its own
	// session's: they would outlive the impersonation. They are dropped from its answers. On an Origin all are expired at the end.
	SessionCookies []string
	// InsecureCookies drops the __Host- prefix and Secure, for Safari on a developer's machine. Refused unless every
	// host is a loopback one.
	InsecureCookies bool
	// SignInLifetime is how long a sign-in counts before a page that needs it silently asks the issuer again, which may
	// have ended it. What cannot be led anywhere, a form just filled in, is still taken for four times as long.
	// Zero: 15 minutes. At most 24 hours.
	SignInLifetime time.Duration

	// Liveness tells whether a session goes on. Nil: introspection (RFC 7662), once for each session while the issuer's events are heard
	// (OpenID Shared Signals Framework), and believed for 5 seconds while they are not.
	Liveness Liveness
	// NoStream leaves the issuer's events alone: each process that impersonates otherwise polls for them once a second.
	NoStream bool
	// Recorder puts actions on record. Nil: the issuer's own trail. With another the issuer learns once a minute, instead of within a second, that a session
	// is used.
	Recorder Recorder
	// Spool is a directory for what is not on record yet, which is made if it is missing; processes of the app may share it, on one machine.
	// What may change something, and what is refused, is on record at the issuer before it happens. A request that only looks
	// is in the spool before its answer goes out, and on record within a second; so it is also when the app is killed: whichever
	// process starts next with the same directory, or runs beside, tells it. It is brought to the disk each second: that much of such requests a
	// power cut may take. The issuer takes it for a day. "" keeps all that in memory, where it is lost when the app is killed. A directory needs Linux, macOS or a BSD,
	// and must belong to the user whom the app runs as, who alone may write to it (0700): what lies there is put on record in the app's name.
	Spool string
	// SpoolBytes bounds the spool of a process. Where it is full, as after hours without an issuer, a request that only looks is recorded
	// at the issuer before it runs, or refused with 503. Zero: 16 MiB. At least 64 KiB.
	SpoolBytes int64

	// Client sends requests to the issuer. Nil: one with a time limit of 5 seconds. Redirects are never followed.
	Client *http.Client
	// Logger gets one line at a start, a refusal and a stop. Nil: slog.Default.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Liveness tells whether a session goes on.
type Liveness interface {
	// Alive reports whether the session sid may go on. An answer may be 5 seconds old, never older. An error means
	// that nobody knows; the request is then refused with 503. Called concurrently, once for each safe request.
	Alive(ctx context.Context, sid string, token oauth.Secret) (bool, error)
}

// Recorder puts on record what is done under impersonation.
type Recorder interface {
	// Record puts a on record before it answers, and reports whether the session goes on: asked now, never from a cache.
	// An error refuses the request with 503: nothing is done that is not on record. Recording the same ID and Phase
	// again must do nothing. Called concurrently.
	Record(ctx context.Context, a Action) (alive bool, err error)
	// RecordAll puts at most 100 actions on record before it answers, and gives the sessions among them that are over. After an error
	// all of them come again, in this batch or in another, also those that are on record. Called from one goroutine.
	RecordAll(ctx context.Context, batch []Action) (ended []string, err error)
}

// Phase tells when an action was recorded.
type Phase string

// The phases.
const (
	PhaseBefore Phase = "before" // it is about to run
	PhaseAfter  Phase = "after"  // it was answered
	PhaseNote   Phase = "note"   // the app said something while it ran: Note
)

// Action is one request under impersonation, as the trail has it: no query and no body.
type Action struct {
	ID      string `json:"id"` // "act_" and 26 characters; of all that is told of one request the same
	Session string `json:"sid"`
	// Writer is this process, "wrt_" and 26 characters, and Seq what it counts of the session, from 1 on: a number that never comes was lost.
	Writer string    `json:"writer,omitempty"`
	Seq    int64     `json:"seq,omitempty"`
	Time   time.Time `json:"time"` // UTC
	Phase  Phase     `json:"phase"`
	// Method is that of the request. Of one with more than 16 characters, which is refused, it is the first 15 and a ~.
	Method string `json:"method"`
	// Route is the path as it was sent, escaped and without query: nothing in it is tidied up. Of one with more than 512 characters the middle of each
	// long segment is left out, where "…" stands, and " sha256:" and the 64 hexadecimal digits of the SHA-256 of the whole follow it, so that two are told apart, and a
	// line of another log can be held against it. What may change something, and what has too many segments for that, is refused and recorded so, with 414.
	Route string `json:"route"`
	// Status comes with PhaseAfter only. It is 0 for a handler that panicked.
	Status int `json:"status,omitempty"`
	// Note is the event of a Note, of a refusal its reason: read_only, forbidden, too_long, ended, or unavailable where nobody knew whether the
	// session goes on.
	Note    string            `json:"note,omitempty"`
	Details map[string]string `json:"details,omitempty"` // of a Note
}

const (
	defaultSignIn = 15 * time.Minute
	maxSignIn     = 24 * time.Hour
	overtime      = 4 // how many lifetimes a sign-in counts where nobody can be asked
	issuerTimeout = 5 * time.Second

	defaultSpool = 16 << 20
	minSpool     = 64 << 10
)

// site is one origin that the app answers on.
type site struct {
	origin  string // scheme and host, no slash at the end
	host    string // as in a Host header
	signsIn bool   // people's own sign-in lives here
	acts    bool   // impersonation lives here
	secure  bool
	prefix  string // of all our cookies' names

	acting, held, signIn cookie
	known                *remembered[acting] // what values of the first hold that came before
	flow                 cookie              // its name is only the beginning
	mark                 cookie              // of a browser in which a start began that comes back where it fails
}

// complete checks c and fills in defaults.
func (c *Config) complete() error {
	for name, value := range map[string]string{"Issuer": c.Issuer, "ClientID": c.ClientID, "ClientSecret": string(c.ClientSecret), "BaseURL": c.BaseURL} {
		if value == "" {
			return fmt.Errorf("rp: Config.%s must be set", name)
		}
	}
	if err := errors.Join(checkOrigin("Config.Issuer", c.Issuer, false), checkOrigin("Config.BaseURL", c.BaseURL, c.InsecureCookies), c.checkForm()); err != nil {
		return err
	}
	switch {
	case c.SignInLifetime < 0 || c.SignInLifetime > maxSignIn:
		return fmt.Errorf("rp: Config.SignInLifetime %v must be between 0 and %v", c.SignInLifetime, maxSignIn)
	case c.SignInLifetime == 0:
		c.SignInLifetime = defaultSignIn
	}
	if c.Home == nil {
		c.Home = func(Person) string { return "/" }
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if err := checkSpool("Config", &c.SpoolBytes); err != nil {
		return err
	}
	c.Client = withoutRedirects(c.Client)
	return nil
}

// checkSpool checks how long a spool may be, and fills in what is usual.
func checkSpool(in string, size *int64) error {
	switch {
	case *size == 0:
		*size = defaultSpool
	case *size < minSpool:
		return fmt.Errorf("rp: %s.SpoolBytes %d must be 0 or at least %d", in, *size, minSpool)
	}
	return nil
}

// checkForm checks what the two forms ask for.
func (c *Config) checkForm() error {
	if c.Origin == "" {
		if c.ActorToken != nil && (c.Hold == nil || c.Held == nil) {
			return errors.New("rp: Config.ActorToken without Origin needs Hold and Held: otherwise a lost cookie would show the administrator's pages")
		}
		if c.ActorToken == nil && c.ForeignActor {
			return errors.New("rp: Config.ForeignActor needs ActorToken, which gives the other provider's token")
		}
		if c.ActorToken == nil && (c.Hold != nil || c.Held != nil) {
			return errors.New("rp: Config.Hold and Held are for apps with an ActorToken of their own")
		}
		return nil
	}
	if err := checkOrigin("Config.Origin", c.Origin, c.InsecureCookies); err != nil {
		return err
	}
	switch {
	case c.ActorToken != nil, c.ForeignActor:
		return errors.New("rp: Config.Origin and ActorToken exclude each other: no token of an actor may reach that origin")
	case c.Hold != nil || c.Held != nil:
		return errors.New("rp: Config.Origin needs no Hold and Held: the administrator's own session is never touched")
	case c.AllowSameOriginWrite:
		return errors.New("rp: Config.AllowSameOriginWrite means nothing with an Origin")
	case hostname(c.Origin) == hostname(c.BaseURL):
		return errors.New("rp: Config.Origin and BaseURL must differ in their hosts: cookies do not know ports")
	}
	return nil
}

// checkOrigin checks the value of a field, which is named with its type.
func checkOrigin(field, raw string, loopbackOnly bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || strings.Contains(u.Host, "%") || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("rp: %s %q must be an origin: https://host, without a path", field, raw)
	case strings.ToLower(u.Host) != u.Host:
		return fmt.Errorf("rp: %s %q must be in lower case, as browsers write it", field, raw)
	case u.Scheme == "http" && !oauth.Loopback(u.Hostname()):
		return fmt.Errorf("rp: %s %q must be https: http is for loopback hosts only", field, raw)
	case loopbackOnly && !oauth.Loopback(u.Hostname()):
		return fmt.Errorf("rp: Config.InsecureCookies is for loopback hosts only, and %s is not one", field)
	}
	return nil
}

func hostname(origin string) string {
	u, err := url.Parse(origin)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// box makes what seals the cookies.
func (c *Config) box() (*seal.Box, error) {
	if len(c.CookieKeys) > 0 {
		box, err := seal.New(c.CookieKeys[0], c.CookieKeys[1:]...)
		if err != nil {
			return nil, fmt.Errorf("rp: Config.CookieKeys: %w", err)
		}
		return box, nil
	}
	key, err := hkdf.Key(sha256.New, []byte(c.ClientSecret), []byte(c.Issuer), "understudy rp cookies "+c.ClientID, seal.KeySize)
	if err != nil {
		return nil, fmt.Errorf("rp: deriving the cookie key: %w", err)
	}
	return seal.New(key)
}

func withoutRedirects(c *http.Client) *http.Client {
	if c == nil {
		c = &http.Client{Timeout: issuerTimeout}
	}
	own := *c
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}
