package rp

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed templates static
var files embed.FS

var noticePage = template.Must(template.New("notice.html").Funcs(template.FuncMap{"t": text, "bdi": bdi}).ParseFS(files, "templates/notice.html"))

// link is a way on.
type link struct{ URL, Text string }

// notice is what this package says by itself, as a page or to a program.
type notice struct {
	status  int      // of HTTP
	reason  string   // for programs: read_only, forbidden, too_long, ended, not_impersonating, unavailable, impersonating, or a key of failedNotice
	title   string   // plain text, as everything here
	lines   []string // paragraphs
	links   []link   // the first is the one to take, unless stop is set
	stop    string   // label of a button that posts to /.understudy/stop; "" for none
	aside   bool     // stop is not what most want here: the first link is
	over    bool     // the stop button only leads back: what it stops has ended
	session string   // sid for that form; "" for none
	reload  bool     // Turbo is not to take it over, but to load what it asked for anew
}

// notice answers r with n: HTML, or problem details (RFC 9457) if it is not a page that asks.
func (a *App) notice(w http.ResponseWriter, r *http.Request, st *site, n notice) {
	h := w.Header()
	unkept(h)
	varyBy(h, byCookie)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Frame-Options", "DENY") // for what does not know frame-ancestors
	a.sever(h, st)
	body, err := n.problem(), error(nil)
	if n.outdates() && htmx(r) {
		h.Set("Hx-Refresh", "true")
	}
	if wantsPage(r) {
		typed := n.typed(r, st)
		// A frame shows nothing of a page that has no such frame, and what was typed is seen nowhere else.
		n.reload = turbo(r) && (frame(r) || n.outdates() && len(typed) == 0)
		h.Set("Content-Security-Policy", a.noticeCSP(st))
		h.Set("Content-Type", "text/html; charset=utf-8")
		body, err = n.page(st, typed)
	} else {
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Content-Type", "application/problem+json")
	}
	if err != nil {
		a.cfg.Logger.ErrorContext(r.Context(), "rendering a notice", "title", n.title, "error", err)
		http.Error(w, n.title, http.StatusInternalServerError)
		return
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(n.status)
	_, _ = w.Write(body) // who asked has gone
}

func (a *App) noticeCSP(st *site) string {
	csp := "default-src 'none'; style-src 'self'; form-action " + strings.Join(append([]string{"'self'"}, a.formEnds(st)...), " ")
	return csp + "; base-uri 'none'; frame-ancestors 'none'"
}

func (n notice) page(st *site, typed []typedField) ([]byte, error) {
	var b bytes.Buffer
	err := noticePage.Execute(&b, struct {
		Status                     int
		Title, Host, Stop, Session string
		Aside, Over, Reload        bool
		Lines                      []string
		Links                      []link
		Typed                      []typedField
	}{n.status, n.title, st.host, n.stop, n.session, n.aside && len(n.links) > 0, n.over, n.reload, n.lines, n.links, typed})
	return b.Bytes(), err
}

// bdi is plain text as HTML, with elements in place of the marks that text puts around a name (HTML §4.5.25).
func bdi(s string) template.HTML {
	return template.HTML(strings.NewReplacer(isolate, "<bdi>", isolateEnd, "</bdi>").Replace(template.HTMLEscapeString(s)))
}

func (n notice) problem() []byte {
	code := n.reason
	switch n.reason {
	case "read_only", "forbidden", "too_long", "ended":
		code = "impersonation_blocked" // what a program may tell people in its own words
	case "not_impersonating", "unavailable":
	default:
		code = "failed"
	}
	b, err := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
		Code   string `json:"code"`
		Reason string `json:"reason"`
	}{"about:blank", plainText(n.title), n.status, n.detail(), code, n.reason})
	if err != nil {
		panic(err) // strings and a number
	}
	return b
}

// detail is the paragraphs as one.
func (n notice) detail() string { return plainText(strings.Join(n.lines, " ")) }

// plainText is s without the marks that text puts around a name.
func plainText(s string) string {
	return strings.NewReplacer(isolate, "", isolateEnd, "").Replace(s)
}

// wantsPage reports whether a browser asks for something to show. Without a word on it in Sec-Fetch-Dest, Accept decides. Turbo shows what it gets.
func wantsPage(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	page := strings.Index(accept, "text/html")
	if page < 0 || r.Header.Get("Sec-Fetch-Dest") == "empty" && !turbo(r) {
		return false
	}
	for _, kind := range [...]string{"application/json", "application/problem+json"} {
		if i := strings.Index(accept, kind); i >= 0 && i < page {
			return false
		}
	}
	return true
}

// assets are what pages link to, with an entity tag each.
var assets = loadAssets("banner.css", "banner.js", "page.css")

type asset struct {
	body      []byte
	tag, kind string
}

func loadAssets(names ...string) map[string]asset {
	kinds := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
	loaded := make(map[string]asset)
	for _, name := range names {
		b, err := files.ReadFile("static/" + name)
		if err != nil {
			panic(err) // it is embedded
		}
		sum := sha256.Sum256(b)
		loaded[name] = asset{b, `"` + hex.EncodeToString(sum[:8]) + `"`, kinds[path.Ext(name)]}
	}
	return loaded
}

// static serves banner.css, banner.js or page.css. The names stay, so that pages can link to them: hence an hour and a tag.
func (a *App) static(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := assets[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age=3600")
	h.Set("Etag", f.tag)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	if strings.Contains(r.Header.Get("If-None-Match"), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", f.kind)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	_, _ = w.Write(f.body) // who asked has gone
}
