package rp_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// An app of net/http with rp in front of it. These are the README's lines.
func Example() {
	ctx, mux, secret := context.Background(), http.NewServeMux(), oauth.Secret(os.Getenv("CLIENT_SECRET"))
	deleteAccount := http.NotFoundHandler()

	app, err := rp.New(ctx, rp.Config{Issuer: "https://login.example", ClientID: "app", ClientSecret: secret, BaseURL: "https://app.example", Origin: "https://as-user.app.example"})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("POST /account/delete", rp.Forbid(deleteAccount)) // nobody does this in somebody else's name
	http.ListenAndServe(":3000", app.Handler(app.RequireSignIn(mux)))
}

// An app that keeps the provider it has, and its own sign-in: understudy trusts that provider's tokens, and the app keeps its session out of
// reach while somebody is impersonated.
func ExampleConfig_foreignActor() {
	var sessions ownSessions // the app's
	app, err := rp.New(context.Background(), rp.Config{
		Issuer: "https://login.example", ClientID: "app", ClientSecret: oauth.Secret(os.Getenv("CLIENT_SECRET")), BaseURL: "https://app.example",
		ForeignActor: true,
		ActorToken: func(r *http.Request) (oauth.Secret, error) { // of the person in this browser, fresh from their provider
			s, err := sessions.of(r)
			if err != nil || s == nil || s.held != "" {
				return "", err
			}
			return s.freshToken(r.Context())
		},
		Hold: func(_ http.ResponseWriter, r *http.Request, sid string) error { // in the app's own database, never in the browser
			s, err := sessions.of(r)
			if err != nil || s == nil {
				return err
			}
			s.held = sid
			return sessions.save(s)
		},
		Held: func(r *http.Request) (string, error) {
			s, err := sessions.of(r)
			if err != nil || s == nil {
				return "", err
			}
			return s.held, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	http.ListenAndServe(":3000", app.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user := ""
		if s, err := sessions.of(r); err == nil && s != nil {
			user = s.subject
		}
		if john, ok := rp.Subject(r.Context()); ok { // somebody is impersonated: the app finds them by the provider's sub
			user = ""
			if at := john.Elsewhere; at != nil {
				user = at.Subject
			}
		}
		fmt.Fprintf(w, "the pages of %q", user)
	})))
}

// ownSession is what the app has of somebody who signed in by its provider.
type ownSession struct {
	subject string // the provider's sub
	held    string // the impersonation that holds it; "" for none
}

// freshToken refreshes at the provider, with the scope that understudy's rule for it asks for.
func (s *ownSession) freshToken(context.Context) (oauth.Secret, error) { return "", nil }

// ownSessions is the app's table of them, by its cookie.
type ownSessions struct{}

func (ownSessions) of(*http.Request) (*ownSession, error) { return nil, nil }
func (ownSessions) save(*ownSession) error                { return nil }

// TestReadme: what the README shows compiles, and is at most five lines beside the error's.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	block, _, found := strings.Cut(rest, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if !found || len(lines) > 6 || !strings.Contains(block, "rp.New(") {
		t.Fatalf("the README shows %q", block)
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); !strings.Contains(string(example), "\t"+line+"\n") {
			t.Errorf("not in the example: %s", line)
		}
	}
}

// An API that gets the tokens of apps, in front of its handlers.
func ExampleNewBearer() {
	ctx, mux, secret := context.Background(), http.NewServeMux(), oauth.Secret(os.Getenv("CLIENT_SECRET"))
	orders, deleteOrder := http.NotFoundHandler(), http.NotFoundHandler()

	// registered by: understudy client add --id orders --name Orders --serves https://orders.example
	api, err := rp.NewBearer(ctx, rp.BearerConfig{Issuer: "https://login.example", Audience: "https://orders.example", ClientID: "orders", ClientSecret: secret})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("GET /orders", rp.RequireScope(orders, "orders:read"))
	mux.Handle("DELETE /orders/{id}", rp.Forbid(rp.RequireScope(deleteOrder, "orders:write")))
	http.ListenAndServe(":3000", api.Handler(mux))
}

// A stream of events, which ends with the impersonation that it was opened in.
func ExampleBound() {
	var events chan string
	http.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := rp.Bound(r.Context())
		defer cancel()
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case <-ctx.Done():
				return
			case e := <-events:
				fmt.Fprintf(w, "data: %s\n\n", e)
				http.NewResponseController(w).Flush()
			}
		}
	})
}
