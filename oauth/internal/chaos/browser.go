package chaos

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Browser is what one person's browser does at an issuer: it keeps cookies, sends forms and stops at each redirect. Over plain
// http Go's cookie jar would hold the issuer's cookies back, which are Secure; real browsers send them on loopback, and
// so does this one. NewBrowser makes one. Not safe for concurrent use.
type Browser struct {
	issuer  string
	http    *http.Client
	cookies map[string]string
	urls    []string
}

// NewBrowser gives a browser without cookies. issuer is the public URL, without a slash at the end.
func NewBrowser(issuer string) *Browser {
	return &Browser{issuer: issuer, cookies: map[string]string{}, http: &http.Client{
		Transport:     &http.Transport{},
		Timeout:       30 * time.Second, // for a server that is paused and forgotten
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Close closes idle connections.
func (b *Browser) Close() { b.http.CloseIdleConnections() }

// URLs gives what was requested so far.
func (b *Browser) URLs() []string { return b.urls }

// Cookies gives the values of the cookies that are held: secrets, so canaries.
func (b *Browser) Cookies() []string {
	var values []string
	for _, v := range b.cookies {
		values = append(values, v)
	}
	return values
}

// SignIn signs in with an e-mail address and a password, for a user without a second factor.
func (b *Browser) SignIn(email, password string) error {
	_, err := b.redirect(http.MethodPost, b.issuer+"/sign-in", url.Values{"email": {email}, "password": {password}})
	if err != nil {
		return fmt.Errorf("signing in: %w", err)
	}
	return nil
}

// Authorize opens the URL of an authorization request and gives the parameters with which the issuer sends the browser back.
func (b *Browser) Authorize(authURL string) (url.Values, error) {
	back, err := b.redirect(http.MethodGet, authURL, nil)
	if err != nil {
		return nil, fmt.Errorf("authorizing: %w", err)
	}
	return back.Query(), nil
}

// Impersonate sends the form of the impersonate page and gives the parameters with which the issuer sends the browser back:
// ticket, state and iss. request is the page's query, form what was filled in.
func (b *Browser) Impersonate(request, form url.Values) (url.Values, error) {
	back, err := b.redirect(http.MethodPost, b.issuer+"/impersonate?"+request.Encode(), form)
	if err != nil {
		return nil, fmt.Errorf("impersonating: %w", err)
	}
	return back.Query(), nil
}

// redirect demands a 303 as the answer and gives where it points.
func (b *Browser) redirect(method, to string, form url.Values) (*url.URL, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequest(method, to, body)
	if err != nil {
		return nil, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", b.issuer)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	for name, value := range b.cookies {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	b.urls = append(b.urls, to)
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	for _, c := range resp.Cookies() {
		if b.cookies[c.Name] = c.Value; c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
	if resp.StatusCode != http.StatusSeeOther {
		text, _ := io.ReadAll(resp.Body)
		return nil, &Refused{resp.StatusCode, resp.Header.Get("Retry-After"), string(text)}
	}
	return resp.Location()
}

// Refused is an answer, and not the one that was wanted.
type Refused struct {
	Status     int
	RetryAfter string // as the header says it
	Text       string
}

// Error shows all of it.
func (r *Refused) Error() string {
	return fmt.Sprintf("got %d, Retry-After %q\n%s", r.Status, r.RetryAfter, r.Text)
}
