package rp

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestErrorsAreShort: what an issuer, or what stands before it, says of an error goes into logs, so it is cut and printable.
func TestErrorsAreShort(t *testing.T) {
	t.Parallel()
	for what, said := range map[string]struct{ code, description, want string }{
		"usual":       {"invalid_request", "no session", "no session"},
		"long":        {strings.Repeat("c", 100_000), strings.Repeat("d", 100_000), strings.Repeat("d", 200) + "..."},
		"unprintable": {"a\x1b[31m\nb", "a\x00\u2028\U000e0041\x7fb", "a????b"},
		"long of all": {"", strings.Repeat("\u20ac", 10_000), strings.Repeat("?", 200) + "..."},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			json.NewEncoder(w).Encode(map[string]string{"error": said.code, "error_description": said.description})
		}))
		defer srv.Close()
		err := (&issuer{url: srv.URL, client: srv.Client()}).post(t.Context(), srv.URL, nil, nil)
		var e *issuerError
		if !errors.As(err, &e) || e.Status != http.StatusBadRequest || e.Description != said.want {
			t.Fatalf("%s: got %.500v", what, err)
		}
		if what == "usual" && e.Code != said.code {
			t.Errorf("%s: the code is %q", what, e.Code)
		}
		if text := err.Error(); len(text) > 500 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: %d bytes: %.500q", what, len(text), text)
		}
	}
}
