package rptest_test

import (
	"context"
	"encoding/json"
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

// An API: whose orders it shows, what it refuses an admin who only looks or lacks a scope, what goes on record, and an end from outside.
func ExampleIssuer_ImpersonationToken() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	issuer := rptest.NewIssuer()
	config := issuer.BearerConfig()
	config.Logger = slog.New(slog.DiscardHandler)
	api, err := rp.NewBearer(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders", func(_ http.ResponseWriter, r *http.Request) {
		subject, _ := rp.Subject(r.Context())
		actor, _ := rp.Actor(r.Context())
		fmt.Println("orders of", subject.Subject, "for", actor.Subject)
	})
	mux.Handle("DELETE /orders/7", rp.RequireScope(http.NotFoundHandler(), "orders:write"))
	call := func(method, path, token string) {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		api.Handler(mux).ServeHTTP(w, r)
		var refusal struct{ Code, Reason string }
		if json.Unmarshal(w.Body.Bytes(), &refusal) == nil {
			fmt.Println(w.Code, strings.TrimSpace(refusal.Code+" "+refusal.Reason))
		}
	}

	ann, john := rp.Person{Subject: "ann"}, rp.Person{Subject: "john"}
	call("GET", "/orders", issuer.Token(john, "orders:read"))
	call("DELETE", "/orders/7", issuer.Token(john, "orders:read"))
	look := issuer.ImpersonationToken(ann, john, oauth.ModeRead, "orders:read")
	call("GET", "/orders", look)
	call("DELETE", "/orders/7", look)
	api.Flush(ctx)
	for _, a := range issuer.Actions() {
		fmt.Printf("%s %s %s %d %q\n", a.Phase, a.Method, a.Route, a.Status, a.Note)
	}
	full := issuer.ImpersonationToken(ann, john, oauth.ModeWrite, "orders:read", "orders:write")
	issuer.End()
	call("DELETE", "/orders/7", full)

	// Output:
	// orders of john for john
	// 403 insufficient_scope
	// orders of john for ann
	// 403 impersonation_blocked read_only
	// before GET /orders 0 ""
	// after GET /orders 200 ""
	// after DELETE /orders/7 403 "read_only"
	// 401 invalid_token ended
}
