package page

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed templates
var templateFiles embed.FS

// frame is what the layout shows around a page.
type frame struct {
	status  int
	formEnd string // see setHeaders
	images  bool

	Title   string
	Failed  bool   // prefixes the title, for who hears it first
	Me      string // e-mail address of who is signed in, "" shows nobody
	Narrow  bool   // for text and forms
	Style   string
	Support string
	Page    any // what the page's own template reads
}

// loadTemplates parses each page together with the layout and the parts.
func (p *Pages) loadTemplates() error {
	base, err := template.New("layout.html").Funcs(template.FuncMap{"t": markup, "plain": text, "bdi": bdi, "stamp": stamp, "moment": moment, "choice": modeChoiceOf}).
		ParseFS(templateFiles, "templates/layout.html", "templates/parts.html")
	if err != nil {
		return fmt.Errorf("page: parsing the layout: %w", err)
	}
	p.templates = make(map[string]*template.Template)
	for _, name := range []string{"find", "ask", "denied", "staff", "parameter", "error", "signin", "leave", "factor", "enrol", "signout", "signedout", "acting", "home", "audit", "story"} {
		t, err := template.Must(base.Clone()).ParseFS(templateFiles, "templates/"+name+".html")
		if err != nil {
			return fmt.Errorf("page: parsing %s: %w", name, err)
		}
		p.templates[name] = t
	}
	return nil
}

// render writes a page. It is made in memory first, so that a fault in a template is a whole 500 and not half a page.
func (p *Pages) render(w http.ResponseWriter, r *http.Request, name string, f frame) {
	f.Style, f.Support = p.style, p.cfg.SupportURL
	setHeaders(w, f.formEnd, f.images)
	var b bytes.Buffer
	if err := p.templates[name].Execute(&b, f); err != nil {
		p.cfg.Logger.ErrorContext(r.Context(), "page: rendering", "page", name, "error", err, "request", p.cfg.RequestID(r.Context()))
		http.Error(w, text("status.500"), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(f.status)
	w.Write(b.Bytes())
}

// stamp is a moment for people and for programs, in UTC and saying so.
func stamp(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format("2006-01-02T15:04:05Z") + `">` + t.Format("2 January 2006, 15:04") + " UTC</time>")
}

// fault is one field that must be mended: the summary on top links to it.
type fault struct{ Field, Text string }

// faults are all of a form, in the order of its fields.
type faults []fault

func (f *faults) add(field, text string) { *f = append(*f, fault{field, text}) }

// Of is the text for field, "" if there is nothing wrong with it.
func (f faults) Of(field string) string {
	for _, x := range f {
		if x.Field == field {
			return x.Text
		}
	}
	return ""
}

// minutes is a wait in whole minutes, rounded up.
func minutes(d time.Duration) int { return max(1, int((d+time.Minute-1)/time.Minute)) }

// plural picks the message for one or for many.
func plural(n int, one, many string, args ...any) string {
	if n == 1 {
		return text(one, args...)
	}
	return text(many, append([]any{n}, args...)...)
}
