package rp_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestDownloads: what is no page passes whole under impersonation, byte by byte: a file also where a part of it was asked for or it was had before, what the
// app compressed itself, and a stream as it comes.
func TestDownloads(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	b := h.ann()
	b.impersonate("john", "read")
	file := []byte("<!doctype html><html><body>" + strings.Repeat("x", 200<<10))
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	zip.Write(file)
	h.must(zip.Close())
	next := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /file", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Disposition", `attachment; filename="page.html"`)
		w.Header().Set("Etag", `"1"`)
		http.ServeContent(w, r, "page.html", time.Unix(1_700_000_000, 0), bytes.NewReader(file))
	})
	mux.HandleFunc("GET /zipped", func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "" {
			t.Errorf("the app is asked for %q", got)
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(zipped.Bytes())
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: <body>\n\n")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		select {
		case <-next:
		case <-r.Context().Done(): // nothing came, and the client has gone
		}
		io.WriteString(w, "data: end\n\n")
	})
	srv := httptest.NewServer(h.around(mux.ServeHTTP))
	defer srv.Close()
	ask := func(method, path string, header ...string) *http.Response {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		t.Cleanup(cancel)
		r := b.request(method, h.asUser+path, nil).WithContext(ctx)
		r.Host = r.URL.Host
		r.URL.Host = strings.TrimPrefix(srv.URL, "http://")
		r.Header.Set("Cookie", cookieHeader(b.cookies(h.asUser)))
		r.Header.Set("Accept-Encoding", "gzip")
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultTransport.RoundTrip(r)
		h.must(err)
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	whole := func(what string, res *http.Response, want []byte) {
		t.Helper()
		if got, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("%s: %d, %d bytes, %v; want %d as they are", what, res.StatusCode, len(got), err, len(want))
		}
	}
	whole("a file", ask("GET", "/file"), file)
	whole("a part", ask("GET", "/file", "Range", "bytes=5-9"), file)
	whole("a part, if it is the same", ask("GET", "/file", "Range", "bytes=5-9", "If-Range", `"1"`), file)
	whole("had before", ask("GET", "/file", "If-None-Match", `"1"`), file)
	whole("compressed", ask("GET", "/zipped"), zipped.Bytes())
	if res := ask("HEAD", "/file"); res.Header.Get("Content-Length") != strconv.Itoa(len(file)) {
		t.Errorf("HEAD: %v", res.Header)
	}
	events := ask("GET", "/events")
	first := make([]byte, len("data: <body>\n\n"))
	if _, err := io.ReadFull(events.Body, first); err != nil || string(first) != "data: <body>\n\n" {
		t.Errorf("the first event: %q, %v", first, err)
	}
	close(next)
	whole("the rest", events, []byte("data: end\n\n"))
}
