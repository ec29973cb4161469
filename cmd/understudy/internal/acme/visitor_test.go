package acme_test

import (
	"context"
	"html"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/cmd/understudy/internal/demo"
)

// visitor is somebody with a browser: it follows redirects and keeps a jar of cookies for each host, not for each port.
// Go's own jar would not send Secure cookies over http to a loopback host, as browsers do.
type visitor struct {
	t    *testing.T
	demo *demo.Demo
	http *http.Client
	jars map[string]map[string]string // by host name, then by cookie name
}

// page is an answer, read, and the address that it came from in the end.
type page struct {
	status int
	url    *url.URL
	header http.Header
	body   string
}

// startDemo runs a demo until the test ends.
func startDemo(t *testing.T, c demo.Config) *demo.Demo {
	t.Helper()
	if c.Directory == "" {
		c.Directory = t.TempDir()
	}
	c.Logger = slog.New(slog.DiscardHandler)
	d, err := demo.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func newVisitor(t *testing.T, d *demo.Demo) *visitor {
	transport := &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)) // names below localhost too
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{t: t, demo: d, jars: map[string]map[string]string{}, http: &http.Client{
		Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (v *visitor) get(address string) page {
	v.t.Helper()
	return v.follow(http.MethodGet, address, nil)
}

// post sends a form as a page of the same origin would.
func (v *visitor) post(address string, form url.Values) page {
	v.t.Helper()
	return v.follow(http.MethodPost, address, form)
}

func (v *visitor) follow(method, address string, form url.Values) page {
	v.t.Helper()
	for range 20 {
		p := v.once(method, address, form)
		to := p.header.Get("Location")
		if p.status < 300 || p.status > 399 || to == "" {
			return p
		}
		next, err := p.url.Parse(to)
		if err != nil {
			v.t.Fatal(err)
		}
		method, address, form = http.MethodGet, next.String(), nil
	}
	v.t.Fatalf("%s: redirects without end", address)
	return page{}
}

func (v *visitor) once(method, address string, form url.Values) page {
	v.t.Helper()
	req, err := http.NewRequestWithContext(v.t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Accept", "text/html")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range v.jars[req.URL.Hostname()] {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	res, err := v.http.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	v.keep(req.URL.Hostname(), res.Cookies())
	return page{res.StatusCode, req.URL, res.Header, string(body)}
}

func (v *visitor) keep(host string, cookies []*http.Cookie) {
	if v.jars[host] == nil {
		v.jars[host] = map[string]string{}
	}
	for _, c := range cookies {
		if c.MaxAge < 0 {
			delete(v.jars[host], c.Name)
			continue
		}
		v.jars[host][c.Name] = c.Value
	}
}

// signIn goes to the app and through the issuer's sign-in, and gives the page where that ends.
func (v *visitor) signIn(email string) page {
	v.t.Helper()
	p := v.get(v.demo.AppURL + "/")
	if p.url.Path != "/sign-in" {
		v.t.Fatalf("%s: got %d at %s, want the issuer's sign-in", email, p.status, p.url)
	}
	p = v.post(p.url.String(), url.Values{"email": {email}, "password": {demo.Password}})
	if p.url.Path == "/sign-in/code" {
		p = v.post(p.url.String(), url.Values{"code": {v.demo.Code(email)}})
	}
	if p.status != http.StatusOK || !strings.HasPrefix(p.url.String(), v.demo.AppURL+"/") {
		v.t.Fatalf("%s: got %d at %s, want the app\n%s", email, p.status, p.url, p.body)
	}
	return p
}

// impersonate presses the button beside a name in the list, and fills in the issuer's form.
func (v *visitor) impersonate(list page, name, mode string) page {
	v.t.Helper()
	m := regexp.MustCompile(`<bdi>` + name + `</bdi>.*?<a class="btn" href="([^"]+)">Impersonate`).FindStringSubmatch(list.body)
	if m == nil {
		v.t.Fatalf("no button to impersonate %s in\n%s", name, list.body)
	}
	ask := v.get(v.demo.AppURL + html.UnescapeString(m[1]))
	if ask.url.Path != "/impersonate" || ask.status != http.StatusOK {
		v.t.Fatalf("got %d at %s, want the issuer's form\n%s", ask.status, ask.url, ask.body)
	}
	return v.post(ask.url.String(), url.Values{
		"subject": {ask.url.Query().Get("subject")}, "reason": {"cannot find the report tab"}, "ticket_number": {"SUP-1"},
		"mode": {mode}, "minutes": {"30"}, "action": {"impersonate"},
	})
}

// send posts a form of the page that it is on, with the field that ties it to the impersonation.
func (v *visitor) send(on page, path string, form url.Values) page {
	v.t.Helper()
	to, err := on.url.Parse(path)
	if err != nil {
		v.t.Fatal(err)
	}
	if !strings.Contains(on.body, `action="`+path+`"`) && !strings.Contains(on.body, `action="`+to.String()+`"`) {
		v.t.Fatalf("no form leads to %s in\n%s", path, on.body)
	}
	if form == nil {
		form = url.Values{}
	}
	if m := regexp.MustCompile(`name="understudy_session" value="([^"]*)"`).FindStringSubmatch(on.body); m != nil {
		form.Set("understudy_session", m[1])
	}
	return v.post(to.String(), form)
}

// wants demands a status and texts of a page; a text that begins with "!" must not be there.
func (p page) wants(t *testing.T, status int, texts ...string) {
	t.Helper()
	if p.status != status {
		t.Errorf("%s: got %d, want %d\n%s", p.url, p.status, status, p.body)
	}
	for _, text := range texts {
		bare, not := strings.CutPrefix(text, "!")
		if strings.Contains(p.body, bare) == not {
			t.Errorf("%s: got\n%s\nwant it to say %q", p.url, p.body, text)
		}
	}
}
