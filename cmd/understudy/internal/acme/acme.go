// Package acme is the demo's relying app: customers with projects, reports and an account, and staff with a list of them.
// Start with [Open] and serve [App.Handler]. It is written as an app of anybody's would be: people sign in through package
// rp, and what it knows of them is in a database of its own, keyed by their sub. It knows nothing of the issuer's database
// and decides nothing about who may impersonate whom.
package acme

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// Config is what Open needs.
type Config struct {
	// Database is the path of the app's own SQLite file, made if it is not there. Must be set.
	Database string
	// RP is how the app signs people in. Its Logger and Now are the app's too.
	RP rp.Config
	// People are known from the start, as if each had signed in once. Who deleted their account does not come back.
	People []rp.Person
}

// App is the running app. It is safe for concurrent use.
type App struct {
	db      *sql.DB
	rp      *rp.App
	log     *slog.Logger
	now     func() time.Time
	pages   map[string]*template.Template
	handler http.Handler
}

// Open opens the database and asks nothing of the issuer that rp.New does not. ErrForeign if the file is somebody else's.
// The caller closes the App.
func Open(ctx context.Context, c Config) (*App, error) {
	a := &App{log: c.RP.Logger, now: c.RP.Now, pages: parsePages()}
	if a.log == nil {
		a.log = slog.Default()
	}
	if a.now == nil {
		a.now = time.Now
	}
	var err error
	if a.rp, err = rp.New(ctx, c.RP); err != nil {
		return nil, err
	}
	if a.db, err = openDatabase(ctx, c.Database); err != nil {
		return nil, err
	}
	if err := a.know(ctx, c.People); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	a.handler = a.routes()
	return a, nil
}

// Check tells whether Open would take the file at path: nil for one of this app, one that is empty and one that is not
// there, ErrForeign for somebody else's, whether a database or not. It writes nothing and makes no file.
func Check(ctx context.Context, path string) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := openFile(path)
	if err != nil {
		return fmt.Errorf("looking at Acme's database: %w", err)
	}
	defer db.Close()
	var tables int
	err = db.QueryRowContext(ctx, countTables).Scan(&tables)
	ours := false
	if err == nil { // it is a database
		ours, err = isOurs(ctx, db)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // interrupted: nothing is known of the file
	case err != nil:
		return fmt.Errorf("%s: %w: %w", path, ErrForeign, err)
	case !ours:
		return fmt.Errorf("%s: %w", path, ErrForeign)
	}
	return nil
}

// Handler serves every page, on each of the origins that Config.RP names.
func (a *App) Handler() http.Handler { return a.handler }

// Close closes the database. Requests must be over.
func (a *App) Close() error { return a.db.Close() }

// routes is every route, in one place.
func (a *App) routes() http.Handler {
	pages := http.NewServeMux()
	pages.Handle("GET /{$}", a.as(a.overview))
	pages.Handle("GET /projects", a.as(a.projects))
	pages.Handle("POST /projects/{id}/name", a.as(a.renameProject))
	pages.Handle("POST /projects/{id}/notes", a.as(a.addNote))
	pages.Handle("GET /reports", a.as(a.reports))
	pages.Handle("GET /account", a.as(a.account))
	pages.Handle("GET /account/email", a.as(a.askEmail))
	pages.Handle("GET /account/delete", a.as(a.askDelete))
	pages.Handle("GET /admin", a.as(a.users))
	// Nobody does these two in somebody else's name, also not with full access.
	pages.Handle("POST /account/email", rp.Forbid(a.as(a.setEmail)))
	pages.Handle("POST /account/delete", rp.Forbid(a.as(a.deleteAccount)))
	pages.Handle("/", a.as(a.notFound))

	all := http.NewServeMux()
	all.HandleFunc("GET /static/acme.css", serveStyle)
	all.Handle("/", a.rp.RequireSignIn(pages))
	return a.rp.Handler(headers(http.NewCrossOriginProtection().Handler(all)))
}

// headers are on every answer. rp adds to the policy what its banner needs.
func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cache-Control", "no-store") // pages are about one person
		next.ServeHTTP(w, r)
	})
}

// handler answers for somebody who is signed in: me is who the request looks like. Its error becomes a page.
type handler func(w http.ResponseWriter, r *http.Request, me *account) error

// as finds the account of who a request looks like, the same whether they are there themselves or are impersonated.
func (a *App) as(h handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		person, ok := rp.Subject(r.Context())
		if !ok {
			a.fail(w, r, nil, &fault{http.StatusUnauthorized, "You are not signed in", "Open the page anew to sign in. Nothing was changed."})
			return
		}
		me, err := a.see(r.Context(), person)
		if err == nil {
			err = h(w, r, me)
		}
		if err != nil {
			a.fail(w, r, me, err)
		}
	})
}
