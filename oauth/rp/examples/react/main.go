// Command react is a single-page app in React that stands on package rp: a list of users with an Impersonate button each, what each role
// sees, the banner, and the way back. src/understudy.js is all that its page knows of understudy. With Node 20:
//
//	npm ci && npm run build
//	CLIENT_SECRET=… go run .      # http://localhost:3000
//
// The secret is of a client of the issuer at ISSUER (http://localhost:8080 by default), with both addresses that people come back to. The
// issuer must know Ann, who impersonates, and those whom people lists (viewer is a role of this app, which it would have to register):
//
//	understudy serve --sign-in-second-factor optional   # a password alone may start: for a trial
//	understudy client add --id app --name Billing --redirect-uri http://localhost:3000/.understudy/callback --redirect-uri http://127.0.0.1:3000/.understudy/callback
//	echo 'correct horse battery' | understudy user add --id ann --name 'Ann Bell' --email ann@acme.test --role admin --password-stdin
//	understudy user add --id john --name 'John Doe' --email john@acme.test
package main

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"log"
	"net/http"
	"os"
	"slices"
	"sync"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

//go:embed public
var public embed.FS

func main() {
	issuer := os.Getenv("ISSUER")
	if issuer == "" {
		issuer = "http://localhost:8080"
	}
	h, err := newHandler(context.Background(), rp.Config{
		Issuer: issuer, ClientID: "app", ClientSecret: oauth.Secret(os.Getenv("CLIENT_SECRET")),
		BaseURL: "http://localhost:3000", Origin: "http://127.0.0.1:3000", Spool: "spool",
	}, os.DirFS("dist"))
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", h))
}

// user is somebody that the app knows.
type user struct {
	Subject string `json:"sub"`
	Name    string `json:"name"`
	Email   string `json:"email"`
	Role    string `json:"role"`
}

// people are the customers.
var people = []user{
	{"john", "John Doe", "john@acme.test", "user"},
	{"vera", "Vera Lind", "vera@acme.test", "viewer"},
	{"mia", "Mia Reyes", "mia@acme.test", "user"},
}

// veto is the app's own word on who may be impersonated: it is told to the actor as it stands.
func veto(_ context.Context, _, subject rp.Person) error {
	if subject.Subject == "mia" {
		return errors.New("please call Mia first")
	}
	return nil
}

// app is the API. Whose data it answers with is for rp to say, so it knows nothing of impersonation.
type app struct {
	mu        sync.Mutex
	addresses map[string]string // by subject
}

// newHandler gives the whole app: c is its place at the issuer, built is where app.js is.
func newHandler(ctx context.Context, c rp.Config, built fs.FS) (http.Handler, error) {
	c.CanImpersonate = veto
	u, err := rp.New(ctx, c)
	if err != nil {
		return nil, err
	}
	page, err := fs.ReadFile(public, "public/index.html")
	if err != nil {
		return nil, err
	}
	a := &app{addresses: make(map[string]string)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /app.css", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, public, "public/app.css") })
	mux.HandleFunc("GET /app.js", func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, built, "app.js") })
	mux.Handle("GET /api/me", u.RequireSignIn(http.HandlerFunc(a.me)))
	mux.Handle("GET /api/users", u.RequireSignIn(http.HandlerFunc(a.users)))
	mux.Handle("POST /api/address", http.NewCrossOriginProtection().Handler(u.RequireSignIn(http.HandlerFunc(a.setAddress))))
	mux.Handle("GET /", u.RequireSignIn(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", csp)
		w.Write(page)
	})))
	return u.Handler(mux), nil
}

// csp allows the page what it has, and nothing inline.
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (a *app) me(w http.ResponseWriter, r *http.Request) {
	p, _ := rp.Subject(r.Context())
	a.mu.Lock()
	defer a.mu.Unlock()
	me := user{p.Subject, p.Name, p.Email, role(p)}
	if address, ok := a.addresses[p.Subject]; ok {
		me.Email = address
	}
	answer(w, http.StatusOK, me)
}

// role is what the dashboard shows p as.
func role(p rp.Person) string {
	for _, r := range []string{"admin", "viewer"} {
		if slices.Contains(p.Roles, r) {
			return r
		}
	}
	return "user"
}

func (a *app) users(w http.ResponseWriter, r *http.Request) {
	if p, _ := rp.Subject(r.Context()); role(p) != "admin" {
		answer(w, http.StatusForbidden, map[string]string{"title": "Not allowed", "detail": "The list of users is for admins."})
		return
	}
	answer(w, http.StatusOK, people)
}

func (a *app) setAddress(w http.ResponseWriter, r *http.Request) {
	var in struct{ Address string }
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10)).Decode(&in); err != nil || in.Address == "" {
		answer(w, http.StatusBadRequest, map[string]string{"title": "Not saved", "detail": "An address is missing."})
		return
	}
	p, _ := rp.Subject(r.Context())
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses[p.Subject] = in.Address
	answer(w, http.StatusOK, struct{}{})
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // the client is gone, and nobody is left to tell
}
