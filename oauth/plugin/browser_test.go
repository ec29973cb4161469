package plugin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

const (
	verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	secret   = "correct-horse-battery"
	callback = "https://shop.example/callback"
	state    = "state-of-the-shop"
)

// browser is a person at a browser, and the relying app "shop" that they are at.
type browser struct {
	url    string
	client *http.Client
	id     string // of the app
}

func browse(srv *httptest.Server) *browser {
	jar, _ := cookiejar.New(nil)
	c := *srv.Client()
	c.Jar = jar
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{srv.URL, &c, "shop"}
}

// reply is an answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

func (b *browser) send(req *http.Request, err error) reply {
	if err != nil {
		panic(err)
	}
	resp, err := b.client.Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		panic(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

func (b *browser) get(path string) reply {
	return b.send(http.NewRequest(http.MethodGet, b.url+path, nil))
}

func (b *browser) post(path string, form url.Values) reply { return b.form(path, form, false) }

// form posts, as the app itself or as a browser.
func (b *browser) form(path string, form url.Values, asApp bool) reply {
	req, err := http.NewRequest(http.MethodPost, b.url+path, strings.NewReader(form.Encode()))
	if err == nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if asApp {
			req.SetBasicAuth(b.id, secret)
		}
	}
	return b.send(req, err)
}

func challenge() string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// signInAt runs the code flow of RFC 6749 §4.1.
func (b *browser) signInAt(client, scope string) token {
	r := b.get("/oauth2/auth?" + url.Values{
		"client_id": {client}, "redirect_uri": {callback}, "response_type": {"code"}, "scope": {scope}, "state": {state},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}.Encode())
	to, _ := url.Parse(r.header.Get("Location"))
	return b.redeem(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier}})
}

// token is what the token endpoint gave, or why it refused.
type token struct {
	*browser
	status       int
	access, back string
	refusal      string
	answer       map[string]any
}

func (b *browser) redeem(form url.Values) token {
	r := b.form("/oauth2/token", form, true)
	t := token{browser: b, status: r.status, answer: make(map[string]any)}
	if err := json.Unmarshal([]byte(r.body), &t.answer); err != nil {
		panic(fmt.Sprintf("%d %q: %v", r.status, r.body, err))
	}
	t.access, _ = t.answer["access_token"].(string)
	t.back, _ = t.answer["understudy_return_token"].(string)
	t.refusal, _ = t.answer["error"].(string)
	return t
}

var choose = regexp.MustCompile(`href="(/impersonate\?[^"]*subject=[^"]*)"`)

// askFor finds who is meant on the page, asks to look at the app as them, and gives the ticket; "" if the page refused.
func (b *browser) askFor(who, reason string) string { return b.ask(who, reason, "read") }

func (b *browser) ask(who, reason, mode string) string {
	page := "/impersonate?" + url.Values{
		"client_id": {b.id}, "redirect_uri": {callback}, "state": {state}, "code_challenge": {challenge()}, "code_challenge_method": {"S256"},
	}.Encode()
	found := choose.FindStringSubmatch(b.get(page + "&q=" + who).body)
	if found == nil {
		return ""
	}
	chosen := html.UnescapeString(found[1])
	link, _ := url.Parse(chosen)
	r := b.post(page, url.Values{
		"subject": {link.Query().Get("subject")}, "reason": {reason}, "mode": {mode}, "minutes": {"30"}, "action": {"impersonate"},
	})
	to, _ := url.Parse(r.header.Get("Location"))
	return to.Query().Get("ticket")
}

func (b *browser) exchange(ticket string, actor token) token {
	return b.redeem(startForm(ticket, actor.access))
}

func startForm(ticket, actor string) url.Values {
	return url.Values{
		"grant_type": {oauth.GrantTypeTokenExchange}, "code_verifier": {verifier},
		"subject_token": {ticket}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token": {actor}, "actor_token_type": {string(oauth.TokenTypeAccessToken)},
	}
}

func stopForm(back string) url.Values {
	return url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {back}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}}
}

func (t token) stop() token { return t.redeem(stopForm(t.back)) }

// introspect says what RFC 7662 answers, in a line.
func (t token) introspect() string {
	m := t.introspection()
	if m["active"] != true {
		return "inactive"
	}
	line := fmt.Sprint("active: ", m["sub"])
	if act, ok := m["act"].(map[string]any); ok {
		line += fmt.Sprint(", act ", act["sub"])
	}
	return line + fmt.Sprint(", ", m["scope"])
}

func (t token) introspection() map[string]any {
	r := t.form("/oauth2/introspect", url.Values{"token": {t.access}}, true)
	m := make(map[string]any)
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		panic(fmt.Sprintf("%d %q: %v", r.status, r.body, err))
	}
	return m
}
