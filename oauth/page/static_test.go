package page_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestStatic(t *testing.T) {
	t.Parallel()
	b := setup(t)
	sheet := sheet.FindString(body(t, b.serve(t, get())))
	got := b.serve(t, httptest.NewRequest(http.MethodGet, sheet, nil))
	if got.StatusCode != http.StatusOK || got.Header.Get("Content-Type") != "text/css; charset=utf-8" ||
		got.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: got %s, %v", sheet, got.Status, got.Header)
	}
	css := body(t, got)
	for _, never := range []string{"url(", "@import", "http"} {
		if strings.Contains(css, never) {
			t.Errorf("the style sheet holds %q: it would load from elsewhere", never)
		}
	}
	for _, path := range []string{"/static/", "/static/us.css", "/static/us.0000000000000000.css", sheet + "/x", "/static/%2e%2e/doc.go"} {
		if got := b.serve(t, httptest.NewRequest(http.MethodGet, path, nil)); got.StatusCode != http.StatusNotFound || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: got %s, %s", path, got.Status, got.Header.Get("Cache-Control"))
		}
	}
	if got := b.serve(t, httptest.NewRequest(http.MethodPost, sheet, nil)); got.StatusCode != http.StatusMethodNotAllowed || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: got %s, Allow %q", got.Status, got.Header.Get("Allow"))
	}
}
