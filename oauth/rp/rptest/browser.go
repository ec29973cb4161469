package rptest

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// Browser is one person's, between an app and an Issuer: it keeps cookies by host and goes where it is led. Make it with NewBrowser. Not safe
// for concurrent use.
type Browser struct {
	issuer *Issuer
	app    http.Handler
	jars   map[string]map[string]string
}

// NewBrowser gives a browser without cookies. app answers for every host but the issuer's; it has App.Handler in front.
func NewBrowser(i *Issuer, app http.Handler) *Browser {
	return &Browser{issuer: i, app: app, jars: make(map[string]map[string]string)}
}

// Impersonate has actor sign in and go through the start with subject. An error says where that ended instead, such as at the app's veto. The
// browser is then where Config.Home leads, as subject.
func (b *Browser) Impersonate(actor, subject rp.Person, mode oauth.Mode) error {
	b.issuer.SignIn(actor)
	b.issuer.Choose(subject, mode)
	resp, err := b.Do(httptest.NewRequest(http.MethodGet, AppURL+"/.understudy/start", nil))
	if err != nil {
		return err
	}
	if at := resp.Request.URL; b.atIssuer(at) || strings.HasPrefix(at.Path, "/.understudy/") {
		return fmt.Errorf("rptest: the start ended at %s%s with %d", at.Host, at.Path, resp.StatusCode)
	}
	return nil
}

// Get is Do for a GET of a page: a whole address, or a path at AppURL.
func (b *Browser) Get(at string) (*http.Response, error) {
	if strings.HasPrefix(at, "/") {
		at = AppURL + at
	}
	return b.Do(httptest.NewRequest(http.MethodGet, at, nil))
}

// errLost is a browser that is led on without end.
var errLost = errors.New("rptest: redirected more than 20 times")

// Do sends r with the cookies of its host, keeps those of the answer, and follows where that leads. The answer's Request is the last of them.
func (b *Browser) Do(r *http.Request) (*http.Response, error) {
	for range 20 {
		resp := b.send(r)
		if resp.StatusCode != http.StatusSeeOther && resp.StatusCode != http.StatusFound {
			return resp, nil
		}
		next, err := r.URL.Parse(resp.Header.Get("Location"))
		if err != nil {
			return nil, fmt.Errorf("rptest: following %s: %w", r.URL.Path, err)
		}
		r = httptest.NewRequestWithContext(r.Context(), http.MethodGet, next.String(), nil)
	}
	return nil, errLost
}

// send is one request, as a browser sends what somebody clicked.
func (b *Browser) send(r *http.Request) *http.Response {
	jar := b.jars[r.URL.Host]
	if jar == nil {
		jar = make(map[string]string)
		b.jars[r.URL.Host] = jar
	}
	for name, value := range jar {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	for name, value := range map[string]string{"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"} {
		if r.Header.Get(name) == "" {
			r.Header.Set(name, value)
		}
	}
	w := httptest.NewRecorder()
	if b.atIssuer(r.URL) {
		b.issuer.ServeHTTP(w, r)
	} else {
		b.app.ServeHTTP(w, r)
	}
	resp := w.Result()
	resp.Request = r
	for _, c := range resp.Cookies() {
		if jar[c.Name] = c.Value; c.MaxAge < 0 {
			delete(jar, c.Name)
		}
	}
	return resp
}

func (b *Browser) atIssuer(u *url.URL) bool { return u.Scheme+"://"+u.Host == b.issuer.URL }
