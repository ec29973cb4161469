package page

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"net/http"
)

//go:embed static
var staticFiles embed.FS

// staticPrefix is the route of Static.
const staticPrefix = "/static/"

// loadStatic gives the style sheet a name with its hash in it, so that it can be cached for good and a new version is
// never mistaken for the old one.
func (p *Pages) loadStatic() error {
	b, err := staticFiles.ReadFile("static/us.css")
	if err != nil {
		return fmt.Errorf("page: reading the style sheet: %w", err)
	}
	sum := sha256.Sum256(b)
	p.style = staticPrefix + "us." + hex.EncodeToString(sum[:8]) + ".css"
	p.static = map[string][]byte{p.style: b}
	return nil
}

// Static serves what the pages link to, under /static/. The names change with the content, so answers may be kept for a
// year. Everything else below /static/ is 404: a path is looked up whole, never joined to a directory.
func (p *Pages) Static() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, ok := p.static[r.URL.Path]
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			p.methodNotAllowed(w, r, "GET, HEAD")
			return
		case !ok:
			p.Error(w, r, ErrorView{Status: http.StatusNotFound})
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/css; charset=utf-8")
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		w.Write(b)
	})
}
