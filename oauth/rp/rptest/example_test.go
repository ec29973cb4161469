package rptest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/rp/rptest"
)

// A handler of the app, tested by itself: whose invoices it shows, and that it moves no "last seen" while somebody is impersonated.
func ExampleImpersonate() {
	invoices := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		fmt.Fprintf(w, "invoices of %s", p.Name)
		if !rp.Impersonating(r.Context()) {
			fmt.Fprint(w, ", last seen now")
		}
	})
	ann, john := rp.Person{Subject: "ann", Name: "Ann Bell"}, rp.Person{Subject: "john", Name: "John Doe"}

	for _, r := range []*http.Request{
		rptest.SignedIn(httptest.NewRequest("GET", "/invoices", nil), john),
		rptest.Impersonate(httptest.NewRequest("GET", "/invoices", nil), ann, john, oauth.ModeRead),
	} {
		w := httptest.NewRecorder()
		invoices.ServeHTTP(w, r)
		fmt.Println(w.Body)
	}

	r := rptest.Impersonate(httptest.NewRequest("POST", "/account/delete", nil), ann, john, oauth.ModeWrite)
	w := httptest.NewRecorder()
	rp.Forbid(http.NotFoundHandler()).ServeHTTP(w, r)
	fmt.Println(w.Code)

	// Output:
	// invoices of John Doe, last seen now
	// invoices of John Doe
	// 403
}

// The whole way: the start, the guard, what goes on record, and an end from outside.
func ExampleBrowser() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	issuer := rptest.NewIssuer()
	config := issuer.Config()
	config.Logger = slog.New(slog.DiscardHandler)
	app, err := rp.New(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		p, _ := rp.Subject(r.Context())
		fmt.Fprintf(w, "hello %s", p.Name)
	})
	b := rptest.NewBrowser(issuer, app.Handler(app.RequireSignIn(mux)))

	ann, john := rp.Person{Subject: "ann", Name: "Ann Bell"}, rp.Person{Subject: "john", Name: "John Doe"}
	if err := b.Impersonate(ann, john, oauth.ModeRead); err != nil {
		log.Fatal(err)
	}
	show := func(resp *http.Response, err error) {
		if err != nil {
			log.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		fmt.Println(resp.StatusCode, strings.Contains(string(body), "hello John Doe"))
	}
	show(b.Get(rptest.AsUser + "/"))
	show(b.Do(httptest.NewRequest("POST", rptest.AsUser+"/", nil)))
	app.Flush(ctx)
	for _, a := range issuer.Actions() {
		fmt.Printf("%s %s %s %d %q\n", a.Phase, a.Method, a.Route, a.Status, a.Note)
	}
	issuer.End()
	show(b.Do(httptest.NewRequest("POST", rptest.AsUser+"/", nil))) // asks, and so hears of it
	show(b.Get(rptest.AsUser + "/"))

	// Output:
	// 200 true
	// 403 false
	// after GET / 200 ""
	// after GET / 200 ""
	// after POST / 403 "read_only"
	// 403 false
	// 403 false
}
