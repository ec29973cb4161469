package rp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// root is below what all our routes are.
const root = "/.understudy/"

// App is the relying app's side. Make it with New; it is safe for concurrent use once Handler was called.
type App struct {
	cfg      Config
	base     *site // where the app is itself
	acting   *site // where impersonation lives: base, or the origin of its own
	issuer   *issuer
	signed   *signed
	live     Liveness
	hears    *introspected // live, unless that is the app's own
	record   *journal
	routes   http.Handler
	guard    guard
	log      *slog.Logger
	now      func() time.Time
	ending   *endings
	failures seal.Bound
}

// New checks c and returns an App. ctx is for as long as the App runs: when it ends, the App gives up retrying to end
// sessions that the issuer has not confirmed, and to hear of ends, and tries
// for two seconds to put on record what waits for that. New does not talk to the issuer, so an app starts also while that is away.
func New(ctx context.Context, c Config) (*App, error) {
	if err := c.complete(); err != nil {
		return nil, err
	}
	box, err := c.box()
	if err != nil {
		return nil, err
	}
	a := &App{cfg: c, log: c.Logger, now: func() time.Time { return c.Now().UTC() }, failures: forFailures(box, c.ClientID)}
	a.base = c.site(c.BaseURL, box)
	a.base.signsIn = c.ActorToken == nil
	a.acting = a.base
	if c.Origin != "" {
		a.acting = c.site(c.Origin, box)
	}
	a.acting.acts = true
	a.issuer = &issuer{url: c.Issuer, id: c.ClientID, secret: c.ClientSecret, client: c.Client}
	a.signed = newSigned(ctx, a.issuer, a.now, a.log)
	a.live = c.Liveness
	if a.live == nil {
		a.hears = &introspected{issuer: a.issuer, now: a.now}
		if !c.NoStream {
			listenTo(ctx, a.hears, a.signed, a.log)
		}
		a.live = a.hears
	}
	to := c.Recorder
	if to == nil {
		to = a.issuer
	}
	if a.record, err = newJournal(c, to, a.forget, a.now); err != nil {
		return nil, fmt.Errorf("rp: Config.Spool: %w", err)
	}
	go a.record.run(ctx)
	a.ending = newEndings(ctx, a)
	a.routes = a.mux()
	return a, nil
}

// site describes one of the app's origins.
func (c *Config) site(origin string, box *seal.Box) *site {
	u, _ := url.Parse(origin) // complete has parsed it
	st := &site{origin: origin, host: u.Host, secure: true, prefix: "__Host-understudy"}
	if c.InsecureCookies {
		st.secure, st.prefix = false, "understudy"
	}
	st.acting = st.cookie(box, "", c.ClientID)
	st.known = newRemembered[acting](openedCookies, maxCookie)
	st.held = st.cookie(box, "-held", c.ClientID).kept()
	st.signIn = st.cookie(box, "-signin", c.ClientID).kept()
	st.flow = st.cookie(box, "-flow-", c.ClientID)
	st.mark = st.cookie(box, "-mark", c.ClientID)
	return st
}

// siteOf tells on which of the app's origins a request is. With an Origin the Host header decides whose cookies count, so
// a host that is neither is nobody's: nil.
func (a *App) siteOf(r *http.Request) *site {
	switch {
	case a.acting == a.base:
		return a.base
	case sameHost(r.Host, a.base.host):
		return a.base
	case sameHost(r.Host, a.acting.host):
		return a.acting
	}
	return nil
}

// value is h.Get(name) of a name that is in its canonical form, which h.Get sees to each time: every request asks for a dozen.
func value(h http.Header, name string) string {
	if values := h[name]; len(values) > 0 {
		return values[0]
	}
	return ""
}

func sameHost(a, b string) bool { return a == b || strings.EqualFold(a, b) }

// Handler serves our routes below /.understudy/ and everything else from next, with the banner, the guard and the record
// while somebody is impersonated. It must stand in front of all that the app serves to browsers, and inside whatever
// compresses answers. Call Allow and Block before it.
//
// A cache in front must heed Cache-Control, or else X-Accel-Expires, and Vary. What is served under impersonation, or by us, says that nobody
// may keep it. Other answers of the app say that they vary by cookie where our cookies tell who is there, but for scripts, styles and
// fonts: add to that Vary rather than replacing it, unless an answer is the same for all.
func (a *App) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := a.siteOf(r)
		if st == nil {
			private(w.Header())
			http.Error(w, "This host is neither the app's BaseURL nor its Origin.", http.StatusMisdirectedRequest)
			return
		}
		if r.URL.Opaque != "" {
			private(w.Header())
			http.Error(w, "The target of this request is no path.", http.StatusBadRequest)
			return
		}
		j := st.read(r)
		if j.large {
			http.Error(w, "The cookies of this request are too large.", http.StatusRequestHeaderFieldsTooLarge)
			return
		}
		if j.empty() && st.signsIn && safe(r.Method) && r.Header[sessionHeader] == nil && !strings.HasPrefix(r.URL.Path, root) {
			st.vary(w.Header(), r)
			next.ServeHTTP(w, r) // nobody that we know, and nothing that could be from before
			return
		}
		v, err := a.visit(r, st, j)
		switch {
		case err != nil:
			a.log.ErrorContext(r.Context(), "asking whether the sign-in is held failed", "error", err)
			a.unavailable(w, r, v)
		case strings.HasPrefix(r.URL.Path, root):
			a.routes.ServeHTTP(w, v.into(r))
		default:
			a.serve(w, r, v, next)
		}
	})
}

// Flush waits until all that was recorded so far is where it belongs: before a process ends that has no Config.Spool, or in a test. Its
// error says how much is not, when ctx is over or the App has ended.
func (a *App) Flush(ctx context.Context) error { return a.record.flush(ctx) }

// mux is every route of ours, in one place.
func (a *App) mux() http.Handler {
	forms := http.NewCrossOriginProtection() // a POST that a cookie authenticates must come from this very origin
	forms.SetDenyHandler(http.HandlerFunc(a.crossOrigin))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.understudy/start", a.start)
	mux.Handle("POST /.understudy/start", forms.Handler(http.HandlerFunc(a.startByScript)))
	mux.HandleFunc("GET /.understudy/callback", a.callback)
	mux.HandleFunc("GET /.understudy/stop", a.askStop)
	mux.Handle("POST /.understudy/stop", forms.Handler(http.HandlerFunc(a.stop)))
	mux.HandleFunc("GET /.understudy/session", a.showSession)
	mux.HandleFunc("GET /.understudy/sign-in", a.signIn)
	mux.Handle("POST /.understudy/sign-out", forms.Handler(http.HandlerFunc(a.signOut)))
	if a.hears != nil { // of these the signature says whose they are, and no cookie
		mux.HandleFunc("POST /.understudy/backchannel-logout", a.backchannelLogout)
		mux.HandleFunc("POST /.understudy/events", a.pushed)
	}
	for _, name := range []string{"banner.css", "banner.js", "page.css"} {
		mux.HandleFunc("GET /.understudy/"+name, func(w http.ResponseWriter, r *http.Request) { a.static(w, r, name) })
	}
	return mux
}
