package demo_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

var ownOrigins = []form{apart, siblings}

// everyWay asks for the admin's pages in each way that script in a page has, and gives all that it could read. What a frame
// or a window shows counts if the script can read it. There is no Content-Security-Policy in its way.
const everyWay = `(async () => {
  const got = [], note = (s) => got.push(String(s)), urls = []
  for (const origin of ['$asUser', '$app']) for (const path of ['/admin', '/', '/.understudy/session']) urls.push(origin + path)
  const later = (ms) => new Promise((done) => setTimeout(done, ms))
  const within = (p) => Promise.race([p, later(1500)])
  const ways = []
  for (const url of urls) {
    for (const mode of ['cors', 'no-cors', 'same-origin', 'navigate'])
      for (const method of ['GET', 'POST'])
        ways.push((async () => note(await (await fetch(url, {mode, method, credentials: 'include', referrerPolicy: 'no-referrer'})).text()))().catch(() => {}))
    ways.push(within(new Promise((done) => {
      const x = new XMLHttpRequest()
      x.open('GET', url); x.withCredentials = true
      x.onloadend = () => { note(x.responseText); done() }
      x.send()
    })))
    for (const [name, source] of [['img', 'src'], ['script', 'src'], ['iframe', 'src'], ['embed', 'src'], ['object', 'data'], ['video', 'src']])
      ways.push(within(new Promise((done) => {
        const e = document.createElement(name)
        e.onload = e.onerror = () => { try { note(e.contentDocument.documentElement.outerHTML) } catch {} done() }
        e[source] = url
        document.body.append(e)
      })))
    for (const sandbox of [null, 'allow-scripts allow-forms']) ways.push(within(new Promise((done) => {
      const f = document.createElement('iframe')
      if (sandbox) f.sandbox = sandbox
      f.srcdoc = '<meta name=referrer content=no-referrer><form method=post action="' + url + '"></form><script>document.forms[0].submit()<\/script>'
      let loads = 0
      f.onload = () => { try { note(f.contentDocument.documentElement.outerHTML) } catch {} if (++loads == 2) done() }
      document.body.append(f)
    })))
    navigator.sendBeacon(url, 'x')
  }
  await Promise.all(ways)
  return got.join('\n')
})()`

// TestScriptPressesStop is script in the user's page, on an origin of its own: it presses Stop and asks for what is the
// admin's in every way there is. Nothing reaches the app as the admin, and nothing of the admin's can be read.
func TestScriptPressesStop(t *testing.T) {
	t.Parallel()
	hunt(t, ownOrigins, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		try := func(when string) {
			t.Helper()
			var read string
			s.p.Eval(s.script(everyWay), &read)
			if strings.Contains(read, annsEyes) || strings.Contains(read, "Ann Bell") && when != "before Stop" {
				t.Errorf("%s: the script reads the admin's page: %s", when, read)
			}
			if got := s.asAnn(); len(got) > 0 {
				t.Errorf("%s: %d requests reached the app as the admin, such as %+v", when, len(got), got[0])
			}
		}
		try("before Stop")
		var status int
		s.p.Eval(`fetch('/.understudy/stop', {method: 'POST', credentials: 'include', redirect: 'manual'}).then(r => r.status)`, &status)
		if n := s.live(); n != 0 {
			t.Fatalf("%d sessions go on after the script pressed Stop", n)
		}
		try("after Stop")
	})
}

// TestScriptSubmitsStop is the same by form.submit(): it leads to the admin's page as a person's Stop does, and nothing of
// the script is there to see it. Its other tab, which is open still, sees no more than before.
func TestScriptSubmitsStop(t *testing.T) {
	t.Parallel()
	hunt(t, ownOrigins, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		script := s.p.NewTab()
		script.Go(s.asUser + "/")
		s.p.Eval(`window.planted = 1; window.name = 'planted'; localStorage.planted = sessionStorage.planted = 1`, nil)
		s.p.Next(func() {
			s.p.Eval(`{const f = document.createElement('form'); f.method = 'post'; f.action = '/.understudy/stop'; document.body.append(f); f.submit()}`, nil)
		})
		if s.p.URL() != s.app+"/admin" || s.p.Text("#who") != annsEyes {
			t.Errorf("Stop leads to %s: %s", s.p.URL(), s.p.Text("body"))
		}
		var left bool
		if s.p.Eval(`!!(window.planted || localStorage.planted || sessionStorage.planted)`, &left); left {
			t.Error("something of the script's came along")
		}
		var read string
		script.Eval(s.script(`Promise.all(['$app', '$asUser'].flatMap((origin) => ['cors', 'no-cors'].map((mode) =>
			fetch(origin + '/admin', {mode, credentials: 'include'}).then((r) => r.text()).catch(() => '')))).then(String)`), &read)
		if strings.Contains(read, "Ann Bell") {
			t.Errorf("the script in the other tab reads: %s", read)
		}
		if got := s.asAnn(); len(got) > 0 {
			t.Errorf("%d requests reached the app as the admin, such as %+v", len(got), got[0])
		}
	})
}

// flood sets more cookies than a browser keeps for one site, so that it drops others: the HttpOnly ones too. Chromium takes
// them in batches, and at first only one batch may be beyond what it keeps.
func (s *prey) flood() {
	s.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for s.p.Cookie(s.host(s.asUser), "__Host-understudy") != nil || s.p.Cookie(s.host(s.asUser), "__Host-understudy-held") != nil {
		if time.Now().After(deadline) {
			s.t.Fatal("the impersonation's cookies have survived the flood: this tests nothing")
		}
		s.p.Eval(`for (let i = 0; i < 400; i++) document.cookie = 'x' + i + '=' + i + '; Path=/; Secure'`, nil)
	}
}

// TestFlood: the impersonation's cookies are gone, and nobody is served as the admin for that. On the app's own origin
// neither a request nor the way through the issuer gives the sign-in back until a person presses a button there.
func TestFlood(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over, overAlone}, func(t *testing.T, s *prey) {
		s.impersonate(s.p, "john@acme.test")
		s.flood()
		s.p.Eval(s.script(`Promise.all(['/', '/admin'].flatMap((path) => ['cors', 'no-cors'].map((mode) => fetch('$asUser' + path, {mode, credentials: 'include'}).catch(() => {}))))`), nil)
		for _, path := range []string{"/", "/admin", "/.understudy/sign-in?return_to=/admin", "/.understudy/start?subject=john"} {
			s.p.Go(s.asUser + path)
			if text := s.p.Text("body"); strings.HasPrefix(s.p.URL(), s.asUser) && strings.Contains(text, annsEyes) {
				t.Errorf("%s shows the admin's page", path)
			}
		}
		for _, r := range s.asAnn() {
			t.Errorf("reached the app as the admin: %+v", r)
		}
	})
}

// TestServiceWorker: under impersonation no worker is registered. One that was there before, on the impersonation's own
// origin, is gone from the start on, so that it cannot swallow the Stop; what the user's page leaves behind is gone after it. On one
// origin both are the app's own too, and stay: part of that form's documented residual risk. A worker that swallows the Stop
// gains no admin's page by it there, since the impersonation goes on.
func TestServiceWorker(t *testing.T) {
	t.Parallel()
	hunt(t, []form{apart, siblings, over}, func(t *testing.T, s *prey) {
		s.outside = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Service-Worker-Allowed", "/")
			w.Header().Set("Content-Type", "text/html")
			if r.URL.Path == "/outside/worker.js" {
				w.Header().Set("Content-Type", "text/javascript")
			}
			_, _ = w.Write([]byte(swallower))
		})
		s.p.Go(s.asUser + "/outside/")
		s.p.Eval(`navigator.serviceWorker.register('/outside/worker.js', {scope: '/'}).then(() => navigator.serviceWorker.ready).then(() => localStorage.setItem('before', '1'))`, nil)
		s.impersonate(s.p, "john@acme.test")
		var refused string
		s.p.Eval(`navigator.serviceWorker.register('/worker.js').then(() => 'registered', (e) => String(e))`, &refused)
		if !strings.Contains(refused, "403") {
			t.Errorf("registering a worker: %s", refused)
		}
		s.p.Eval(plant, nil)
		s.p.Reload()
		s.p.Follow(".b button")
		if s.app == s.asUser {
			if text := s.p.Text("body"); !strings.Contains(text, "as if nothing were wrong") {
				t.Fatalf("the worker has swallowed no Stop: %s", text)
			}
			s.wantHeld()
			return
		}
		if s.p.URL() != s.app+"/admin" || s.p.Text("#who") != annsEyes || s.live() != 0 {
			t.Errorf("after Stop on %s, %d sessions go on: %s", s.p.URL(), s.live(), s.p.Text("body"))
		}
		s.p.Go(s.asUser + "/outside/")
		var left []string
		if s.p.Eval(remains, &left); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	})
}

// wantHeld demands, on one origin, that the impersonation goes on and that nothing is the admin's, nor was since s.taken.
func (s *prey) wantHeld() {
	s.t.Helper()
	for _, path := range []string{"/", "/admin"} {
		if s.p.Go(s.app + path); s.p.Text("#who") != "for the eyes of John Doe" {
			s.t.Errorf("%s shows %s", path, s.p.Text("body"))
		}
	}
	for _, r := range s.asAnn() {
		s.t.Errorf("reached the app as the admin: %+v", r)
	}
	if n := s.live(); n != 1 {
		s.t.Errorf("%d sessions go on, want 1", n)
	}
}

const (
	// swallower answers each Stop by itself.
	swallower = `self.addEventListener('fetch', (e) => {
  if (e.request.url.endsWith('/.understudy/stop')) e.respondWith(new Response('You have stopped. Go on as if nothing were wrong.', {headers: {'Content-Type': 'text/html'}}))
})
self.addEventListener('install', () => self.skipWaiting())
self.addEventListener('activate', (e) => e.waitUntil(self.clients.claim()))`
	// plant leaves something in every place that pages may keep things in.
	plant = `(async () => {
  localStorage.left = sessionStorage.left = 'x'
  document.cookie = 'left=x; Path=/; Max-Age=3600'
  await (await caches.open('left')).put('/left', new Response('x'))
  await new Promise((done, bad) => { const r = indexedDB.open('left'); r.onsuccess = () => { r.result.close(); done() }; r.onerror = bad })
})()`
	// remains lists what of it is there.
	remains = `(async () => [
  ...Object.keys(localStorage), ...await caches.keys(), ...(await indexedDB.databases()).map((d) => d.name),
  ...(document.cookie ? [document.cookie] : []), ...(await navigator.serviceWorker.getRegistrations()).map((r) => r.scope),
])()`
)
