package browsertest_test

import (
	"fmt"
	"html"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

// serve gives a page at /, written by the test, and a few others.
func serve(t *testing.T, csp, body string) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Security-Policy", csp)
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>First</title><main><h1>First</h1>%s</main>", body)
	})
	mux.HandleFunc("/second", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Said", r.FormValue("q"))
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "<!doctype html><html lang=en><title>Second</title><h1>%s %s</h1>", r.Method, html.EscapeString(r.FormValue("q")))
	})
	mux.Handle("/hop", http.RedirectHandler("/second?q=hop", http.StatusSeeOther))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestFollow(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	url := serve(t, "default-src 'none'; form-action 'self'", `<form action=/second method=post><input id=q name=q value=old><button>Send</button></form><a href=/hop>Hop</a>`)
	p.Go(url)
	p.Type("#q", "it's <new>")
	p.Follow("button")
	if got := p.Text("h1"); got != "POST it's <new>" || p.Status() != 418 || p.Header().Get("X-Said") != "it's <new>" || p.Title() != "Second" {
		t.Errorf("got %q, status %d, %v", got, p.Status(), p.Header())
	}
	p.Back()
	p.Follow("a")
	if p.URL() != url+"/second?q=hop" || p.Text("h1") != "GET hop" {
		t.Errorf("came to %s", p.URL())
	}
	p.Reload()
	var steps []string
	for _, r := range p.Requests() {
		steps = append(steps, fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.URL, url), r.Status))
	}
	want := []string{"GET / 200", "POST /second 418", "GET /hop 303", "GET /second?q=hop 418", "GET /second?q=hop 418"}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	p.Quiet()
}
