package acme

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

//go:embed templates/*.html
var templates embed.FS

//go:embed static/acme.css
var style []byte

// parsePages gives each page by its name, laid out.
func parsePages() map[string]*template.Template {
	funcs := template.FuncMap{"stamp": stamp, "words": words}
	layout := template.Must(template.New("layout.html").Funcs(funcs).ParseFS(templates, "templates/layout.html"))
	names, _ := templates.ReadDir("templates") // it is embedded: it cannot fail
	pages := map[string]*template.Template{}
	for _, n := range names {
		if name := strings.TrimSuffix(n.Name(), ".html"); name != "layout" {
			pages[name] = template.Must(template.Must(layout.Clone()).ParseFS(templates, path.Join("templates", n.Name())))
		}
	}
	return pages
}

// stamp is a time for a datetime attribute, words the same for people.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func words(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04 UTC") }

// view is what a page shows.
type view struct {
	Title string
	Me    *account // nil: nobody, or nobody any more
	Tabs  []tab
	Field template.HTML // goes into every form: it ties a page to the impersonation that it was rendered in
	Fault string        // what was wrong with a form
	Page  any
}

// show writes a page.
func (a *App) show(w http.ResponseWriter, r *http.Request, status int, name string, v view) error {
	if v.Me != nil {
		v.Tabs = v.Me.tabs(r.URL.Path)
	}
	v.Field = rp.FormField(r)
	var b bytes.Buffer // an error in the middle must not leave half a page
	if err := a.pages[name].Execute(&b, v); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, err := w.Write(b.Bytes())
	return ignoreGone(r, err)
}

// ignoreGone drops the error of a browser that has left.
func ignoreGone(r *http.Request, err error) error {
	if r.Context().Err() != nil {
		return nil
	}
	return err
}

// fault is an error with a page of its own.
type fault struct {
	Status      int
	Title, Text string
}

// Error is the title.
func (f *fault) Error() string { return f.Title }

var errNotFound = &fault{http.StatusNotFound, "Not found", "There is no such page here."}

// fail shows what went wrong. What is no fault is told to the log alone.
func (a *App) fail(w http.ResponseWriter, r *http.Request, me *account, err error) {
	var f *fault
	if !errors.As(err, &f) {
		a.log.ErrorContext(r.Context(), "a request failed", "path", r.URL.Path, "error", err)
		f = &fault{http.StatusInternalServerError, "Something went wrong", "It is not your fault, and nothing was changed. Try again in a moment."}
	}
	if err := a.show(w, r, f.Status, "fault", view{Title: f.Title, Me: me, Page: f.Text}); err != nil {
		a.log.ErrorContext(r.Context(), "showing an error failed", "path", r.URL.Path, "error", err)
	}
}

func (a *App) notFound(http.ResponseWriter, *http.Request, *account) error { return errNotFound }

func serveStyle(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Write(style)
}

func seeOther(w http.ResponseWriter, r *http.Request, path string) error {
	http.Redirect(w, r, path, http.StatusSeeOther)
	return nil
}
