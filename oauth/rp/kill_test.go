package rp_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/store"
)

// fleet is one issuer, three apps, and three processes of each.
type fleet struct {
	*house
	apps []*fleetApp
}

// fleetApp is an app in which an actor of its own impersonates John. The actor is that of the last start.
type fleetApp struct {
	*house
	actor     string
	processes []*process
	writer    *process // which is sent what is unsafe
}

// process is one of an app, which reaches the issuer by a line of its own.
type process struct {
	name string
	app  *rp.App
	line *line
	stop func()
}

// setupFleet builds a fleet of apps with processes each, on an issuer that runs.
func setupFleet(t testing.TB, apps, processes int) *fleet {
	t.Helper()
	first := setup(t, apart, nil)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); first.server.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-stopped })
	f := &fleet{house: first}
	for i := range apps {
		a := &fleetApp{house: first}
		if i > 0 {
			a.house = first.another(ctx, fmt.Sprint("app", i))
		}
		for j := range processes {
			a.processes = append(a.processes, a.process(fmt.Sprint(a.config.ClientID, ".", j)))
		}
		a.writer = a.process(a.config.ClientID + ".w")
		f.apps = append(f.apps, a)
	}
	return f
}

// another is an app of its own at the same issuer.
func (h *house) another(ctx context.Context, id string) *house {
	h.t.Helper()
	other := &house{t: h.t, issuer: h.issuer, store: h.store, server: h.server, clock: h.clock, logs: h.logs, client: h.client, secret: oauth.NewSecret(),
		kept: map[string]struct{}{}, logins: map[string]*browser{}}
	other.openApp(ctx, id, apart, nil)
	return other
}

// process starts one more process of the app.
func (a *fleetApp) process(name string) *process {
	a.t.Helper()
	u, err := url.Parse(a.issuer)
	a.must(err)
	p := &process{name: name, line: newLine(a.t, "127.0.0.1:"+u.Port())}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, p.line.address)
	}, MaxIdleConnsPerHost: 32}
	a.t.Cleanup(transport.CloseIdleConnections)
	c := a.config
	c.Client = &http.Client{Transport: transport, Timeout: 5 * time.Second}
	ctx, cancel := context.WithCancel(context.Background())
	a.t.Cleanup(cancel)
	p.stop = cancel
	p.app, err = rp.New(ctx, c)
	a.must(err)
	return p
}

// all are the processes of a fleet.
func (f *fleet) all(do func(a *fleetApp, p *process)) {
	var wg sync.WaitGroup
	for _, a := range f.apps {
		for _, p := range a.processes {
			wg.Go(func() { do(a, p) })
		}
	}
	wg.Wait()
}

// start has a new actor of each app impersonate John, with full access, and gives the cookies by app. One actor alone would soon start too often.
func (f *fleet) start() map[*fleetApp]map[string]string {
	f.t.Helper()
	cookies := make(map[*fleetApp]map[string]string)
	for _, a := range f.apps {
		cookies[a] = a.start().cookies(a.asUser)
	}
	return cookies
}

// start gives the browser in which a new actor impersonates John.
func (a *fleetApp) start() *browser {
	a.t.Helper()
	a.actor = strings.ToLower(oauth.NewID("ann"))
	a.must(a.store.CreateUser(a.t.Context(), store.UserWrite{Write: a.write(), User: directory.User{
		ID: a.actor, Email: a.actor + "@acme.test", Name: "Ann", Roles: []string{"admin"}, Enabled: true, Created: time.Now(),
	}}))
	b := a.browser()
	a.login(b, a.actor)
	b.impersonate("john", "write")
	return b
}

// ask sends one request to a process and gives its status; served tells whether the app answered it as John.
func (a *fleetApp) ask(p *process, method string, cookies map[string]string) (status int, served bool) {
	r := a.browser().request(method, a.asUser+"/note", nil)
	w := serve(p.app, r, cookies)
	return w.Code, w.Code == http.StatusOK && w.Body.String() == "john"
}

// settle waits until every process serves a hundred safe requests without a question to the issuer: its stream vouches.
func (f *fleet) settle(cookies map[*fleetApp]map[string]string) {
	f.t.Helper()
	for _, a := range f.apps {
		if status, served := a.ask(a.writer, http.MethodPost, cookies[a]); !served {
			f.t.Fatalf("an unsafe request before anything ended: %d", status)
		}
	}
	f.quiet("safe requests before anything ended", 100, func(a *fleetApp, p *process) bool {
		_, served := a.ask(p, http.MethodGet, cookies[a])
		return served
	})
}

// quiet has each process answer some requests by answer, again and again, until nobody asked the issuer for any. answer reports that one
// was answered as it must be.
func (f *fleet) quiet(what string, some int, answer func(a *fleetApp, p *process) bool) {
	f.t.Helper()
	var asked int
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		before := f.introspections()
		var failed atomic.Int32
		f.all(func(a *fleetApp, p *process) {
			for range some {
				if !answer(a, p) {
					failed.Add(1)
				}
			}
		})
		if failed.Load() > 0 {
			f.t.Fatalf("%s: %d were not answered as they must be", what, failed.Load())
		}
		if asked = f.introspections() - before; asked == 0 {
			return
		}
	}
	f.t.Fatalf("%s still ask the issuer: %d questions of the last %d requests of each process", what, asked, some)
}

// introspections counts the questions that reached the issuer.
func (h *house) introspections() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, call := range h.calls {
		if call == "POST /oauth2/introspect" {
			n++
		}
	}
	return n
}

// refusals measures, from the moment at which over was done, when each process served a safe request last, and counts the unsafe
// requests that were begun after it and served nevertheless. Those go to a process of their own: what is refused to them is known to it at once.
func (f *fleet) refusals(cookies map[*fleetApp]map[string]string, limit time.Duration, over func()) (after []time.Duration, unsafe int) {
	f.t.Helper()
	var ended atomic.Pointer[time.Time]
	go func() {
		time.Sleep(50 * time.Millisecond) // while all are being asked
		over()
		now := time.Now()
		ended.Store(&now)
	}()
	done := make(chan struct{})
	writes := make(chan int, len(f.apps))
	for _, a := range f.apps {
		go func() { writes <- a.sendUnsafe(cookies[a], &ended, done) }()
	}
	var mu sync.Mutex
	f.all(func(a *fleetApp, p *process) {
		last, ok := a.lastServed(p, cookies[a], &ended, limit+30*time.Second)
		if !ok {
			f.t.Errorf("%s still serves", p.name)
		}
		if _, served := a.ask(p, http.MethodPost, cookies[a]); served {
			f.t.Errorf("%s refuses what is safe, and serves what is not", p.name)
		}
		mu.Lock()
		defer mu.Unlock()
		after = append(after, last)
	})
	close(done)
	for range f.apps {
		unsafe += <-writes
	}
	slices.Sort(after)
	return after, unsafe
}

// lastServed sends safe requests to p until it refuses three, and tells how long after ended the last was begun that it served: how long the
// answer then takes is the machine's affair.
func (a *fleetApp) lastServed(p *process, cookies map[string]string, ended *atomic.Pointer[time.Time], limit time.Duration) (last time.Duration, ok bool) {
	refused := 0
	for deadline := time.Now().Add(limit); time.Now().Before(deadline) && refused < 3; time.Sleep(2 * time.Millisecond) {
		over, begun := ended.Load(), time.Now()
		_, served := a.ask(p, http.MethodGet, cookies)
		switch {
		case over == nil: // not yet
		case served:
			last, refused = begun.Sub(*over), 0
		default:
			refused++
		}
	}
	return last, refused == 3
}

// sendUnsafe sends unsafe requests until done, and counts those that were begun after ended and served.
func (a *fleetApp) sendUnsafe(cookies map[string]string, ended *atomic.Pointer[time.Time], done <-chan struct{}) (n int) {
	for {
		select {
		case <-done:
			return n
		case <-time.After(10 * time.Millisecond):
		}
		begun := ended.Load()
		if _, served := a.ask(a.writer, http.MethodPost, cookies); served && begun != nil {
			n++
		}
	}
}

// killScope turns a switch on.
func (f *fleet) killScope(scope impersonation.EpochScope, id string) {
	f.t.Helper()
	f.endScope(scope, id, true)
}

// endScope is an operator's end, and with kill their switch.
func (f *fleet) endScope(scope impersonation.EpochScope, id string, kill bool) {
	f.t.Helper()
	_, err := f.store.End(context.Background(), impersonation.EndWrite{
		Write: f.write(), Scope: scope, ID: id, Reason: impersonation.EndOperator, By: oauth.Party{Issuer: "cli"}, Issuer: f.issuer, Kill: kill, Note: "break-in",
	})
	f.must(err)
}

func (f *fleet) lift(scope impersonation.EpochScope, id string) {
	f.t.Helper()
	f.must(f.store.Lift(context.Background(), impersonation.LiftWrite{Write: f.write(), Scope: scope, ID: id}))
}

// TestKillToRefusal is how long a safe request is still served after a kill, in three processes of each of three apps whose safe requests ask
// nobody. No unsafe one is served at all, a process that starts afterwards refuses its first request, and no lift brings anybody back.
// UNDERSTUDY_LONG has fifty trials.
func TestKillToRefusal(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it measures time")
	}
	f := setupFleet(t, 3, 3)
	scopes := []struct {
		scope impersonation.EpochScope
		id    func(a *fleetApp) string
	}{
		{impersonation.ScopeInstance, func(*fleetApp) string { return "" }},
		{impersonation.ScopeSubject, func(*fleetApp) string { return "john" }},
		{impersonation.ScopeOrganisation, func(*fleetApp) string { return "acme" }},
		{impersonation.ScopeClient, func(a *fleetApp) string { return a.config.ClientID }},
		{impersonation.ScopeActor, func(a *fleetApp) string { return a.actor }},
	}
	trials := len(scopes)
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		trials = 50
	}
	var all []time.Duration
	for trial := range trials {
		s := scopes[trial%len(scopes)]
		cookies := f.start()
		ids := map[string]bool{}
		for _, a := range f.apps {
			ids[s.id(a)] = true
		}
		f.settle(cookies)
		after, unsafe := f.refusals(cookies, 3*time.Second, func() {
			for id := range ids {
				f.killScope(s.scope, id)
			}
		})
		if unsafe > 0 {
			t.Errorf("%s: %d unsafe requests were served after the kill", s.scope, unsafe)
		}
		all = append(all, after...)
		for _, a := range f.apps {
			p := a.process("new")
			if status, served := a.ask(p, http.MethodGet, cookies[a]); served {
				t.Errorf("%s: a process that started after the kill served: %d", s.scope, status)
			}
			p.stop()
		}
		for id := range ids {
			f.lift(s.scope, id)
		}
		f.all(func(a *fleetApp, p *process) {
			for range 50 {
				if status, served := a.ask(p, http.MethodGet, cookies[a]); served {
					t.Errorf("%s: served after the lift: %d", s.scope, status)
					return
				}
			}
		})
	}
	slices.Sort(all)
	most := all[len(all)-1]
	t.Logf("kill to refusal, %d trials of %d processes: median %v, maximum %v", trials, 9, all[len(all)/2].Round(time.Millisecond), most.Round(time.Millisecond))
	if most > 3*time.Second {
		t.Errorf("a kill reached a process after %v; want at most 3 s", most)
	}
}

// TestKillUnheard: where the stream is silent, cut or half open, or the whole issuer is, a kill reaches safe requests within five seconds, and
// no unsafe one is served meanwhile.
func TestKillUnheard(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it measures time")
	}
	for name, fail := range map[string]func(f *fleet, p *process){
		"cut":               func(_ *fleet, p *process) { p.line.set(lineCut) },
		"half open":         func(_ *fleet, p *process) { p.line.set(lineFrozen) },
		"stream half open":  func(f *fleet, _ *process) { f.setStuck("/ssf/", 3) },
		"answers held back": func(_ *fleet, p *process) { p.line.set(lineMute) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := setupFleet(t, 1, 3)
			cookies := f.start()
			f.settle(cookies)
			after, unsafe := f.refusals(cookies, 5*time.Second, func() {
				for _, p := range append(f.apps[0].processes, f.apps[0].writer) {
					fail(f, p)
				}
				f.killScope(impersonation.ScopeInstance, "")
			})
			if most := after[len(after)-1]; most > 5*time.Second || unsafe > 0 {
				t.Errorf("served safe requests for %v, and %d unsafe ones; want at most 5 s, and none", after, unsafe)
			}
			t.Logf("kill to refusal: %v", after)
		})
	}
}

// TestStreamNeedsNobody: without a stream, as before one and where the app wants none, sessions are asked for every five seconds.
func TestStreamNeedsNobody(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, func(_ *house, c *rp.Config) { c.NoStream = true })
	b := h.ann()
	b.impersonate("john", "read")
	for _, call := range h.taken(&h.calls) {
		if strings.Contains(call, "ssf") {
			t.Errorf("%s, though the app wants no stream", call)
		}
	}
	h.kill()
	h.clock.advance(5 * time.Second)
	if r := b.get(h.asUser + "/"); strings.Contains(r.body, "subject=john") {
		t.Errorf("5 seconds after the end: %d %s", r.status, r.body)
	}
}

// line is a way to the issuer that can fail.
type line struct {
	address string

	mu    sync.Mutex
	state lineState
	moved *sync.Cond
	conns []net.Conn
}

// lineState is how a line is.
type lineState int

const (
	lineFine   lineState = iota
	lineCut              // closed, and nothing can be opened
	lineFrozen           // what is sent goes nowhere, and nobody says so
	lineMute             // the issuer hears, and its answers are lost
)

func newLine(t testing.TB, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{address: l.Addr().String()}
	n.moved = sync.NewCond(&n.mu)
	t.Cleanup(func() { l.Close(); n.set(lineCut) })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go n.carry(c, to)
		}
	}()
	return n
}

func (n *line) set(s lineState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = s
	n.moved.Broadcast()
	if s == lineCut {
		for _, c := range n.conns {
			c.Close()
		}
		n.conns = nil
	}
}

func (n *line) carry(c net.Conn, to string) {
	up, err := net.Dial("tcp", to)
	n.mu.Lock()
	if err != nil || n.state == lineCut {
		n.mu.Unlock()
		c.Close()
		if err == nil {
			up.Close()
		}
		return
	}
	n.conns = append(n.conns, c, up)
	n.mu.Unlock()
	go n.copy(up, c, lineFrozen)
	n.copy(c, up, lineMute)
}

// copy carries one direction, until that is lost by state or by one beyond it.
func (n *line) copy(to, from net.Conn, lost lineState) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		k, err := from.Read(b)
		n.mu.Lock()
		for n.state == lost || n.state == lineFrozen {
			n.moved.Wait()
		}
		n.mu.Unlock()
		if _, e := to.Write(b[:k]); e != nil || err != nil {
			return
		}
	}
}

// setStuck has the issuer never answer what is below path, and waits until that many wait.
func (h *house) setStuck(path string, waiting int) {
	h.mu.Lock()
	h.stuck = path
	h.mu.Unlock()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		h.mu.Lock()
		n := h.waiting
		h.mu.Unlock()
		if n >= waiting {
			return
		}
	}
	h.t.Errorf("fewer than %d wait for what is below %s", waiting, path)
}
