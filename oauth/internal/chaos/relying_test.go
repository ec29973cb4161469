package chaos_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/rp"
)

// relyingEnv makes a process of this test binary a relying app: its value is a relying in JSON.
const relyingEnv = "CHAOS_RELYING_APP"

// relying is an app on package rp, as a process of its own.
type relying struct {
	Issuer, Secret, Listen, Spool string
}

// serve is what the process does, until somebody kills it.
func (r relying) serve() error {
	app, err := rp.New(context.Background(), rp.Config{
		Issuer: r.Issuer, ClientID: "app", ClientSecret: oauth.Secret(r.Secret), BaseURL: "http://" + r.Listen, AllowSameOriginWrite: true,
		Spool: r.Spool, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return http.ListenAndServe(r.Listen, app.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		io.WriteString(w, p.Subject)
	})))
}

// mainOfRelying runs the app if this process is one.
func mainOfRelying() {
	told := os.Getenv(relyingEnv)
	if told == "" {
		return
	}
	var r relying
	err := json.Unmarshal([]byte(told), &r)
	if err == nil {
		err = r.serve()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// start starts the process and waits until it answers; kill ends it at once.
func (r relying) start(t *testing.T) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	told, err := json.Marshal(r)
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), relyingEnv+"="+string(told))
	log, err := os.OpenFile(filepath.Join(filepath.Dir(r.Spool), "app.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	cmd.Stderr = log
	must(t, cmd.Start())
	log.Close()
	var once sync.Once
	kill = func() { once.Do(func() { cmd.Process.Kill(); cmd.Wait() }) }
	t.Cleanup(kill)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		c, err := net.Dial("tcp", r.Listen)
		if err == nil {
			c.Close()
			return kill
		}
		if time.Now().After(deadline) {
			t.Fatalf("the app does not start: %v\n%s", err, r.log())
		}
	}
}

func (r relying) log() string {
	b, _ := os.ReadFile(filepath.Join(filepath.Dir(r.Spool), "app.log"))
	return string(b)
}

// surfer is a browser that keeps cookies by host and port, and goes where it is led. Safe for concurrent use.
type surfer struct {
	http *http.Client
	mu   sync.Mutex
	jars map[string]map[string]string
}

// ask sends one request without following.
func (s *surfer) ask(method, to string, form url.Values) (status int, location *url.URL, err error) {
	req, err := http.NewRequest(method, to, strings.NewReader(form.Encode()))
	if err != nil {
		return 0, nil, err
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", req.URL.Scheme+"://"+req.URL.Host)
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	s.mu.Lock()
	for name, value := range s.jars[req.URL.Host] {
		req.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	s.mu.Unlock()
	resp, err := s.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range resp.Cookies() {
		if s.jars[req.URL.Host] == nil {
			s.jars[req.URL.Host] = map[string]string{}
		}
		if s.jars[req.URL.Host][c.Name] = c.Value; c.MaxAge < 0 {
			delete(s.jars[req.URL.Host], c.Name)
		}
	}
	location, _ = resp.Location()
	return resp.StatusCode, location, nil
}

// surf goes on until it is led nowhere else, and gives where that is.
func (s *surfer) surf(t *testing.T, method, to string, form url.Values) *url.URL {
	t.Helper()
	for range 12 {
		status, next, err := s.ask(method, to, form)
		must(t, err)
		if status != http.StatusSeeOther {
			at, err := url.Parse(to)
			must(t, err)
			if status != http.StatusOK {
				t.Fatalf("%s %s: %d", method, to, status)
			}
			return at
		}
		method, to, form = http.MethodGet, next.String(), nil
	}
	t.Fatalf("led on without end, to %s", to)
	return nil
}

// TestNoRecordIsLost kills the app and the issuer at random moments while somebody is impersonated: whatever request was answered is on
// record in the end, and the numbers show nothing else.
func TestNoRecordIsLost(t *testing.T) {
	t.Parallel()
	issuer := chaos.New(t, chaos.Config{Env: env})
	listen := freePort(t)
	r := relying{Issuer: issuer.URL, Listen: listen, Spool: filepath.Join(t.TempDir(), "spool")}
	r.Secret = strings.TrimSpace(issuer.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", "http://"+listen+"/.understudy/callback"))
	issuer.Run("", "user", "add", "--id", "john", "--email", "john@acme.test", "--name", "John Doe")
	issuer.Run(password+"\n", "user", "add", "--id", "ann", "--email", "ann@acme.test", "--name", "Ann", "--role", "admin", "--password-stdin")
	issuer.Start()
	kill := r.start(t)

	s := &surfer{jars: map[string]map[string]string{}, http: &http.Client{
		Transport: &http.Transport{}, Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	t.Cleanup(s.http.CloseIdleConnections)
	s.surf(t, http.MethodPost, issuer.URL+"/sign-in", url.Values{"email": {"ann@acme.test"}, "password": {password}})
	page := s.surf(t, http.MethodGet, "http://"+listen+"/.understudy/start?subject=john", nil)
	s.surf(t, http.MethodPost, page.String(), url.Values{"subject": {"john"}, "mode": {"write"}, "minutes": {"30"}, "reason": {"no report tab"}, "action": {"impersonate"}})

	answered := new(errand)
	stop := answered.ask(s, "http://"+listen, 4)
	n := rounds(4, 40)
	for i := range n {
		answered.wait(t, 10+rand.IntN(40))
		if i%2 == 0 {
			kill()
			kill = r.start(t)
		} else {
			issuer.Kill()
			answered.waitTried(t, 5) // the app lives on what it believes, and then refuses
			issuer.Start()
		}
	}
	answered.wait(t, 10)
	kill() // with what it has not told yet
	stop()
	r.start(t)
	answered.mustBeOn(t, issuer, n)
	if t.Failed() {
		t.Log(r.log())
	}
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// errand is the requests that an app answered.
type errand struct {
	mu    sync.Mutex
	paths []string // method and path
	tried int
}

// ask has workers ask without end, each of them for something else; every fourth asks for a change. What it gives ends that.
func (a *errand) ask(s *surfer, app string, workers int) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for w := range workers {
		method := http.MethodGet
		if w%4 == 3 {
			method = http.MethodPost
		}
		all.Go(func() {
			tick := time.NewTicker(25 * time.Millisecond) // the issuer takes fifty a second of one session
			defer tick.Stop()
			for i := 0; ctx.Err() == nil; i++ {
				path := fmt.Sprintf("/%d/%d", w, i)
				status, _, err := s.ask(method, app+path, nil)
				a.mu.Lock()
				a.tried++
				if err == nil && status == http.StatusOK {
					a.paths = append(a.paths, method+" "+path)
				}
				a.mu.Unlock()
				<-tick.C
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// wait waits for n more answers, waitTried for n more requests.
func (a *errand) wait(t *testing.T, n int) {
	t.Helper()
	a.until(t, n, func() int { return len(a.paths) })
}

func (a *errand) waitTried(t *testing.T, n int) {
	t.Helper()
	a.until(t, n, func() int { return a.tried })
}

func (a *errand) until(t *testing.T, n int, count func() int) {
	t.Helper()
	get := func() int { a.mu.Lock(); defer a.mu.Unlock(); return count() }
	was := get()
	for deadline := time.Now().Add(time.Minute); get() < was+n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d in a minute, want %d", get()-was, n)
		}
	}
}

// mustBeOn waits until every request that was answered is on record at the issuer: what may change something also before it ran. A number that
// is missing can only be of a request that changes something and was under way when the app was killed, so one a kill.
func (a *errand) mustBeOn(t *testing.T, issuer *chaos.Server, kills int) {
	t.Helper()
	var missing []string
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		on := onRecord(t, issuer)
		missing = missing[:0]
		for _, p := range a.paths {
			if !on["after "+p] && !strings.HasPrefix(p, "POST") || strings.HasPrefix(p, "POST") && !on["before "+p] {
				missing = append(missing, p)
			}
		}
		if len(missing) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d answered requests are not on record, the first is %s", len(missing), len(a.paths), missing[0])
		}
	}
	var shown struct {
		Writers []struct {
			Missing []struct{ First, Last int } `json:"missing"`
			Twice   []int                       `json:"twice"`
			Told    int                         `json:"told"`
		} `json:"writers"`
	}
	sid := sessionOf(t, issuer)
	must(t, json.Unmarshal([]byte(issuer.Run("", "session", "show", sid, "-o", "json")), &shown))
	gaps, told := 0, 0
	for _, w := range shown.Writers {
		told += w.Told
		for _, m := range w.Missing {
			gaps += m.Last - m.First + 1
		}
		if len(w.Twice) > 0 {
			t.Errorf("numbers came twice: %v", w.Twice)
		}
	}
	t.Logf("%d requests, %d answered, %d entries of %d processes, %d numbers missing", a.tried, len(a.paths), told, len(shown.Writers), gaps)
	if gaps > kills {
		t.Errorf("%d numbers are missing, want at most %d", gaps, kills)
	}
}

func sessionOf(t *testing.T, issuer *chaos.Server) string {
	t.Helper()
	var list struct {
		Sessions []struct{ ID string }
	}
	must(t, json.Unmarshal([]byte(issuer.Run("", "session", "ls", "--all", "-o", "json")), &list))
	if len(list.Sessions) != 1 {
		t.Fatalf("%d sessions, want 1", len(list.Sessions))
	}
	return list.Sessions[0].ID
}

// onRecord are the actions on record, as phase, method and route.
func onRecord(t *testing.T, issuer *chaos.Server) map[string]bool {
	t.Helper()
	on := map[string]bool{}
	for after := ""; ; {
		var page struct {
			Entries []struct{ Fields map[string]string }
			Next    string
		}
		must(t, json.Unmarshal([]byte(issuer.Run("", "audit", "ls", "--kind", "impersonation.action", "--limit", "1000", "--after", after, "-o", "json")), &page))
		for _, e := range page.Entries {
			on[e.Fields["phase"]+" "+e.Fields["method"]+" "+e.Fields["route"]] = true
		}
		if after = page.Next; after == "" {
			return on
		}
	}
}
