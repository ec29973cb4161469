package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// ended runs and ends n sessions at a client, and gives their ids.
func (h *house) ended(client string, n int) (sids []string) {
	h.t.Helper()
	cookie, _ := h.login("ann")
	actor := h.token(cookie, client, actorScope)
	for range n {
		r := h.post("/oauth2/token", client, startForm(h.ticket(cookie, client, "john", "read"), actor))
		sid, _ := r.json["understudy_session"].(map[string]any)["id"].(string)
		if r = h.post("/oauth2/token", client, stopForm(r.str("understudy_return_token"))); r.status != http.StatusOK {
			h.t.Fatalf("stop: got %d %s", r.status, r.body)
		}
		sids = append(sids, sid)
	}
	return sids
}

// waitHeard waits until a client was told so often.
func (h *house) waitHeard(e *ear, n int) {
	h.t.Helper()
	within(h.t, "telling", func() error {
		if got := len(e.heard()); got < n {
			return fmt.Errorf("told %d times, want %d\n%s", got, n, h.logs)
		}
		return nil
	})
}

// wantLog demands a line, and that no line has the token or the URI, whose query is a secret of the client's.
func (h *house) wantLog(text string) {
	h.t.Helper()
	within(h.t, "logging", func() error {
		if !strings.Contains(h.logs.String(), text) {
			return fmt.Errorf("the log lacks %q:\n%s", text, h.logs)
		}
		return nil
	})
	if strings.Contains(h.logs.String(), "hush") || strings.Contains(h.logs.String(), "eyJhbGci") {
		h.t.Errorf("the log has a URI or a token:\n%s", h.logs)
	}
}

// TestBackchannelAnswers: what a client answers decides whether it is told again: 200 and 204 are a yes, 400 and 501 a no, and all else,
// a redirect to a page above all, is nothing, so it is told again, by the same jti, until it answers.
func TestBackchannelAnswers(t *testing.T) { onBoth(t, testBackchannelAnswers) }

func testBackchannelAnswers(t *testing.T, o options) {
	h := setup(t, o)
	page := newEar(t)
	cases := map[string]struct {
		answers []int
		tries   int
		log     string
	}{
		"ok":           {[]int{200}, 1, ""},
		"no-content":   {[]int{204}, 1, ""},
		"bad-request":  {[]int{400}, 1, "a client refused a logout token"},
		"not-mine":     {[]int{501}, 1, "a client refused a logout token"},
		"broken":       {[]int{500, 200}, 2, "a client cannot be told of an end; trying again"},
		"accepted":     {[]int{202, 204}, 2, "a client cannot be told of an end; trying again"},
		"unauthorized": {[]int{401, 403, 200}, 3, "a client cannot be told of an end; trying again"},
		"busy":         {[]int{503, 429, 200}, 3, "a client cannot be told of an end; trying again"},
		"redirect":     {[]int{302, 307, 200}, 3, "a client cannot be told of an end; trying again"},
	}
	ears := make(map[string]*ear)
	for name, c := range cases {
		e := h.ear(name)
		e.answers(func(w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Location", page.URL+"/logout?key=hush")
			statuses(c.answers...)(w, r, n)
		})
		ears[name] = e
		h.ended(name, 1)
	}
	h.running()
	h.toldAll()
	for name, c := range cases {
		got := ears[name].heard()
		if len(got) != c.tries {
			t.Errorf("%s: was told %d times, want %d", name, len(got), c.tries)
		}
		for _, token := range got {
			if h.logoutToken(name, name, token)["jti"] != h.logoutToken(name, name, got[0])["jti"] {
				t.Errorf("%s: another try has another jti", name)
			}
		}
		if c.log != "" {
			h.wantLog(`msg="` + c.log + `" client=` + name)
		}
	}
	if n := page.connections.Load(); n != 0 {
		t.Errorf("a redirect was followed: %d connections", n)
	}
}

// TestBackchannelSlow: a client that is down and one that answers nobody hold up neither the others nor the sweep; and what stops the server
// leaves them to the next.
func TestBackchannelSlow(t *testing.T) { onBoth(t, testBackchannelSlow) }

func testBackchannelSlow(t *testing.T, o options) {
	h := setup(t, o)
	slow, down, well := h.ear("slow"), h.ear("down"), h.ear("well")
	down.Close()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	var giveUp atomic.Bool
	slow.answers(func(_ http.ResponseWriter, r *http.Request, _ int) {
		select {
		case <-r.Context().Done():
			giveUp.Store(true)
		case <-release:
		}
	})
	h.ended("slow", 5)
	h.ended("down", 5)
	stop := h.running()
	h.waitHeard(slow, 2)
	sids := h.ended("well", 5)
	expires := h.start("bea", "well", "zoe", "read")
	h.waitHeard(well, 5)
	h.wantHeard("beside a slow one", "well", well, sids...)
	if n := len(slow.heard()); n > 2 {
		t.Errorf("a client that answers nobody was asked %d times at once, want 2", n)
	}
	h.clock.advance(31 * time.Minute)
	h.waitHeard(well, 6)
	h.wantHeard("the sweep", "well", well, append(sids, expires.sid)...)
	within(t, "giving up", func() error { // 5 s after it was asked
		if !giveUp.Load() {
			return errors.New("still waiting for a client that does not answer")
		}
		return nil
	})
	h.wantLog(`msg="a client cannot be told of an end; trying again" client=slow`)
	h.wantLog(`msg="a client cannot be told of an end; trying again" client=down`)
	stop()
	if n := h.notices(); n != 10 {
		t.Errorf("%d notices are left, want the 10 of those that could not be told", n)
	}
}

// TestBackchannelStop: a server that stops does not wait for a client that holds its answer back, and what it gets then is not heard any
// more. What was under way is for the next server at once.
func TestBackchannelStop(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	e := h.ear("rp")
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	e.answers(func(_ http.ResponseWriter, _ *http.Request, n int) {
		if n == 1 {
			<-held
		}
	})
	sid := h.ended("rp", 1)[0]
	stop := h.running()
	h.waitHeard(e, 1)
	stopped := make(chan struct{})
	go func() { defer close(stopped); stop() }()
	select {
	case <-stopped:
	case <-time.After(2 * time.Second): // well before the client would be given up
	}
	release() // to wait for this answer would leave nothing for the next server
	<-stopped
	h.replica(options{}).running()
	h.toldAll()
	h.wantHeard("both tries", "rp", e, sid, sid)
	if strings.Contains(h.logs.String(), "cannot be told") {
		t.Errorf("a try that was broken off counts as the client's failure:\n%s", h.logs)
	}
}

// TestBackchannelNowhere: a client without a URI leaves nothing to tell, also where its settings have the name of one elsewhere.
func TestBackchannelNowhere(t *testing.T) { onBoth(t, testBackchannelNowhere) }

func testBackchannelNowhere(t *testing.T, o options) {
	h := setup(t, o)
	h.newClient("sly", func(c *store.Client) {
		c.Settings.Keys = []byte(`{"keys":[],"backchannel_logout_uri":"http://127.0.0.1/"}`)
	})
	h.ended("sly", 1)
	h.ended("app", 1)
	h.running()
	h.toldAll()
	if strings.Contains(h.logs.String(), "level=WARN") {
		t.Errorf("somebody was to be told:\n%s", h.logs)
	}
}

// lossy is a store on which a server dies: once it was asked so, it writes down no more what became of a try.
type lossy struct {
	store.Store
	dead *atomic.Bool
}

func (l lossy) DropNotice(ctx context.Context, id int64) error {
	if l.dead.Load() {
		return store.ErrUnavailable
	}
	return l.Store.DropNotice(ctx, id)
}

// TestBackchannelCrash: an end that a server had no time to tell is told by the next one; and one that it told, but had no time to write
// down, is told again, with the same jti, when its lease is over.
func TestBackchannelCrash(t *testing.T) { onBoth(t, testBackchannelCrash) }

func testBackchannelCrash(t *testing.T, o options) {
	var dead atomic.Bool
	dead.Store(true)
	h := setup(t, o.wrapped(func(st store.Store) store.Store { return lossy{st, &dead} }))
	e := h.ear("rp")
	sid := h.ended("rp", 1)[0]
	if len(e.heard()) != 0 || h.notices() != 1 {
		t.Fatal("somebody told it though no server runs")
	}
	stop := h.running()
	h.waitHeard(e, 1)
	h.wantLog("writing down that a client was told of an end failed")
	stop()
	h.replica(o).running()
	later := h.ended("rp", 1)[0]
	h.waitHeard(e, 2)
	h.wantHeard("within the lease", "rp", e, sid, later)
	h.clock.advance(time.Minute)
	h.toldAll()
	h.wantHeard("after it", "rp", e, sid, later, sid)
	if got := e.heard(); h.logoutToken("first", "rp", got[0])["jti"] != h.logoutToken("second", "rp", got[2])["jti"] {
		t.Error("the second try has another jti")
	}
}

// TestBackchannelReplicas: two servers on one database tell each end once.
func TestBackchannelReplicas(t *testing.T) {
	t.Parallel()
	h := setup(t, options{on: onPostgres})
	e, elsewhere := h.ear("rp"), h.ear("elsewhere")
	h.running()
	h.replica(options{}).running()
	sids, more := h.ended("rp", 20), h.ended("elsewhere", 20)
	h.toldAll()
	h.wantHeard("two servers", "rp", e, sids...)
	h.wantHeard("two servers", "elsewhere", elsewhere, more...)
}

// TestBackchannelGivesUp: after an hour nothing is left of what a client could not be told, but for a line in the log; also of what nobody
// tried since others failed.
func TestBackchannelGivesUp(t *testing.T) { onBoth(t, testBackchannelGivesUp) }

func testBackchannelGivesUp(t *testing.T, o options) {
	h := setup(t, o)
	e := h.ear("rp")
	e.answers(func(w http.ResponseWriter, _ *http.Request, _ int) { w.WriteHeader(http.StatusBadGateway) })
	h.ended("rp", 5)
	h.running()
	h.waitHeard(e, 2) // at once, and then one by one
	tried := len(e.heard())
	h.clock.advance(59 * time.Minute)
	h.waitHeard(e, tried+1)
	h.clock.advance(10 * time.Second)
	h.waitHeard(e, tried+2)
	if n := h.notices(); n != 5 {
		t.Errorf("%d notices are left before the hour is over, want 5", n)
	}
	h.clock.advance(6 * time.Minute)
	h.toldAll()
	h.wantLog(`msg="a client was not told of ends; giving up" client=rp notices=5 status=502`)
	e.answers(nil)
	h.clock.advance(5 * time.Minute)
	sid := h.ended("rp", 1)[0]
	h.toldAll()
	last := e.heard()
	if c := h.logoutToken("after", "rp", last[len(last)-1]); c["sid"] != sid {
		t.Errorf("back again, it was told of %v, want %s", c["sid"], sid)
	}
}

// TestBackchannelAlgorithm: a client reads a logout token as it reads its ID tokens (OpenID Connect Back-Channel Logout §2.6), so it is
// signed alike.
//
// Covers BCL-2.4-03.
func TestBackchannelAlgorithm(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	e, plain := newEar(t), h.ear("plain")
	h.newClient("rsa", func(c *store.Client) {
		c.Settings.BackchannelLogoutURI, c.Settings.IDTokenAlg = e.URL+"/logout?key=hush", "RS256"
	})
	h.ended("rsa", 1)
	h.ended("plain", 1)
	h.running()
	h.toldAll()
	for alg, e := range map[string]*ear{"RS256": e, "ES256": plain} {
		if header, _ := claims(t, e.heard()[0]); header["alg"] != alg || header["typ"] != "logout+jwt" || header["kid"] == "" {
			t.Errorf("got header %v, want alg %s", header, alg)
		}
	}
}

// TestBackchannelAudience: what one client is told says nothing to another, though both had a part in the login that ended.
//
// Covers RFC8725-3.9-01.
func TestBackchannelAudience(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	one, other := h.ear("one"), h.ear("two")
	cookie, login := h.login("john")
	h.token(cookie, "one", "openid")
	h.token(cookie, "two", "openid")
	h.form("/sign-out", cookie, nil)
	h.running()
	h.toldAll()
	h.wantHeard("sign-out", "one", one, login) // which holds aud against the client's id
	h.wantHeard("sign-out", "two", other, login)
	if a, b := h.logoutToken("one", "one", one.heard()[0]), h.logoutToken("two", "two", other.heard()[0]); a["jti"] == b["jti"] {
		t.Error("two tokens have one jti")
	}
}

// TestBackchannelPrivate: a server that the world uses posts nothing to its own machine and network, whatever name a client gives them,
// unless its operator said that clients are there; and nothing in clear.
//
// Covers RFC8725-3.10-02.
func TestBackchannelPrivate(t *testing.T) {
	t.Parallel()
	h := setup(t, options{issuer: "https://id.acme.test"})
	e := newEar(t)
	port := e.URL[strings.LastIndex(e.URL, ":"):]
	uris := map[string]string{
		"loopback": "https://127.0.0.1" + port, "name": "https://localhost" + port, "six": "https://[::ffff:127.0.0.1]" + port, "nowhere": "https://0.0.0.0" + port,
		"metadata": "https://169.254.169.254/latest", "private": "https://10.0.0.1/", "clear": "http://127.0.0.1" + port, "public-clear": "http://192.0.2.1/",
		"file": "file:///etc/passwd", "nothing": "https:///logout",
	}
	for client, uri := range uris {
		h.newClient(client, func(c *store.Client) { c.Settings.BackchannelLogoutURI = uri + "?key=hush" })
		h.session(client)
	}
	h.killed(impersonation.ScopeInstance, "")
	stop := h.running()
	for client := range uris {
		h.wantLog(`msg="a client cannot be told of an end; trying again" client=` + client)
	}
	for _, client := range []string{"clear", "public-clear", "file"} {
		if line := regexp.MustCompile(`client=` + client + ` .*`).FindString(h.logs.String()); !strings.Contains(line, "must be https") {
			t.Errorf("%s: got %q; want it refused for what it is, before anybody is asked", client, line)
		}
	}
	stop()
	if n := e.connections.Load(); n != 0 {
		t.Errorf("got %d connections, want none", n)
	}
	h.clock.advance(time.Minute)
	h.replica(options{backchannel: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}).running()
	within(t, "reaching the network that is allowed", func() error {
		if e.connections.Load() == 0 {
			return errors.New("no connection")
		}
		return nil
	})
	if got := e.heard(); len(got) != 0 {
		t.Errorf("told %q by a server that cannot know whom it told", got)
	}
}

// session writes a session of ann's at a client, past the pages.
func (h *house) session(client string) {
	h.t.Helper()
	now := h.clock.Now().UTC()
	id := oauth.NewID("imp")
	f, err := h.store.LoadStart(context.Background(), impersonation.StartKey{Client: client, Actor: "ann", Subject: "john", Now: now})
	h.must(err)
	h.must(h.store.Start(context.Background(), impersonation.StartWrite{Write: h.write(), Guard: f.Guard, Session: impersonation.Session{ID: id, Audit: oauth.NewID("aud"),
		Client: client, Actor: "ann", Subject: "john", Mode: oauth.ModeRead, JTI: oauth.NewID("tok"), Started: now, Expires: now.Add(time.Minute), LastActive: now}}))
}
