package scim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// answer is a success.
type answer struct {
	status   int
	body     any    // nil for none
	location string // of what was made
	version  string // ETag, "" for none
}

func (a *answer) write(w http.ResponseWriter, r *http.Request) {
	if a.location != "" {
		w.Header().Set("Location", a.location)
	}
	if a.version != "" {
		w.Header().Set("ETag", a.version)
	}
	switch {
	case a.status == http.StatusOK && r.Method == http.MethodGet && a.version != "" && names(r, "If-None-Match", a.version):
		w.WriteHeader(http.StatusNotModified)
	case a.body == nil:
		w.WriteHeader(a.status)
	default:
		writeJSON(w, a.status, a.body)
	}
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Errorf("encoding an answer of our own: %w", err))
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	w.Write(body) // the client is gone, and nobody is left to tell
}

// version is the ETag of a resource that was last changed at updated (RFC 7644 §3.14). It is weak: who sees other attributes gets other bytes.
func version(updated time.Time) string {
	return `W/"` + strconv.FormatInt(updated.UnixMilli(), 36) + `"`
}

// names reports whether the header has the version in its list, or *. A client may have made a strong one of it.
func names(r *http.Request, header, version string) bool {
	for _, line := range r.Header.Values(header) {
		for tag := range strings.SplitSeq(line, ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(version, "W/") {
				return true
			}
		}
	}
	return false
}

// mayChange holds a change to If-Match, if there is one (RFC 7644 §3.14).
func (c *call) mayChange(updated time.Time) error {
	if c.r.Header.Get("If-Match") != "" && !names(c.r, "If-Match", version(updated)) {
		return errVersion
	}
	return nil
}

// location is the URI of a resource.
func (h *Handler) location(endpoint, id string) string {
	return h.issuer + strings.TrimSuffix(Path, "/") + endpoint + "/" + id
}

func (h *Handler) meta(t *resourceType, id string, created, updated time.Time) map[string]any {
	return map[string]any{
		"resourceType": t.name, "location": h.location(t.endpoint, id), "version": version(updated),
		"created": created.UTC().Format(time.RFC3339), "lastModified": updated.UTC().Format("2006-01-02T15:04:05.000Z"),
	}
}
