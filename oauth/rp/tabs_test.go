package rp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
	"github.com/understudy-id/understudy/oauth/rp"
)

// ways are how the page of scripted sends.
var ways = []string{"fetch", "request", "xhr", "beacon"}

// scripted is a page with banner.js whose own script sends POST /note/ and the way.
func scripted(w http.ResponseWriter, r *http.Request) {
	subject, _ := rp.Subject(r.Context())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><head><title>x</title><script src="/.understudy/banner.js" defer></script></head><body><h1>Papers of %s</h1>
		<script>
		const body = () => { const f = new FormData; f.append('text', 'x'); return f }
		const sent = {
			fetch: () => fetch('/note/fetch', {method: 'POST'}),
			request: () => fetch(new Request('/note/request', {method: 'POST', body: body()})),
			xhr: () => new Promise((done) => { const x = new XMLHttpRequest; x.open('POST', '/note/xhr'); x.onloadend = done; x.send(body()) }),
			beacon: () => navigator.sendBeacon('/note/beacon', body()) || Promise.reject(),
		}
		const asked = () => performance.getEntriesByType('resource').some((e) => e.name.endsWith('/.understudy/session') && e.responseEnd > 0)
		</script></body></html>`, subject.Subject)
}

// tab opens the page of scripted, and waits until its banner.js knows whose it is.
func tab(p *browsertest.Page, origin string) *browsertest.Page {
	p.Go(origin + "/more/")
	p.Wait("document.querySelector('understudy-banner') || asked()")
	p.Eval("fetch('/.understudy/session').then((answer) => answer.json())", nil) // what was answered before this was heard
	return p
}

// startIn goes to the issuer's page in p, and from there to the user's, with full access.
func (h *house) startIn(p *browsertest.Page, subject string) {
	h.t.Helper()
	p.Go(h.app + "/.understudy/start?" + values("subject", subject, "return_to", "/admin").Encode())
	p.Type("#reason", "cannot find the report tab")
	p.Click("input[name=mode][value=write]")
	p.Follow("main button.primary")
	if p.Count("understudy-banner") != 1 || !strings.Contains(p.HTML(), "subject="+subject+" ") {
		h.t.Fatalf("impersonating leads to %s: %s", p.URL(), p.Text("body"))
	}
}

// refusals are those on record of what the pages of scripted sent.
func (h *house) refusals() (out []string) {
	for _, s := range h.acts() {
		if rest, found := strings.CutPrefix(s, "after POST /note/"); found && strings.HasSuffix(s, " 403 ended") {
			out = append(out, rest)
		}
	}
	return out
}

// sends has the script of the tab p send in every way, and wants each answered with the status. It gives whom the app took them for, and their refusals.
func (h *house) sends(p *browsertest.Page, when string, status int) (out []string) {
	h.t.Helper()
	h.taken(&h.seen)
	before := len(h.refusals())
	p.Forget()
	for _, way := range ways {
		p.Eval("sent."+way+"()", nil)
		got := 0
		for end := time.Now().Add(15 * time.Second); got == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			for _, r := range p.Requests() {
				if strings.HasSuffix(r.URL, "/note/"+way) {
					got = r.Status
				}
			}
		}
		if got != status {
			h.t.Errorf("%s, %s: %d, want %d", when, way, got, status)
		}
	}
	for _, s := range h.taken(&h.seen) {
		if who, path, found := strings.Cut(s, " POST /note/"); found {
			out = append(out, path+" as "+who)
		}
	}
	return append(out, h.refusals()[before:]...)
}

// each is what is noted where every way comes to this.
func each(format string) (out []string) {
	for _, way := range ways {
		out = append(out, fmt.Sprintf(format, way))
	}
	return out
}

// TestTabFromBefore is two tabs of one browser: what the actor has open when they begin to impersonate somebody sends nothing in that user's name, and what was the user's sends nothing
// once that is over. On one origin it is refused, and on record if anybody is impersonated; on an origin of its own the actor's page goes on as theirs.
func TestTabFromBefore(t *testing.T) {
	t.Parallel()
	both(t, func(t *testing.T, h *house) {
		h.more = scripted
		check := func(when string, p *browsertest.Page, status int, want []string) {
			t.Helper()
			if diff := cmp.Diff(want, h.sends(p, when, status)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", when, diff)
			}
		}
		first := h.chromium(h.ann())
		second, third := first.NewTab(), first.NewTab()
		tab(first, h.app)
		check("before", first, http.StatusOK, each("%s as ann"))

		h.startIn(second, "john")
		if h.app == h.asUser {
			check("Ann's, while John is impersonated", first, http.StatusForbidden, each("%s 403 ended"))
		} else {
			check("Ann's, while John is impersonated elsewhere", first, http.StatusOK, each("%s as ann"))
		}
		tab(third, h.asUser)
		check("John's", third, http.StatusOK, each("%s as john"))

		second.Follow(".b button")
		check("John's, after Stop", third, http.StatusForbidden, nil)
		check("Ann's, after Stop", first, http.StatusOK, each("%s as ann"))

		h.startIn(second, "eve")
		check("John's, while Eve is impersonated", third, http.StatusForbidden, each("%s 403 ended"))
		second.Follow(".b button")
		if h.live() != 0 {
			t.Errorf("%d sessions go on", h.live())
		}
	})
}
