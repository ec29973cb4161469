package rp_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// serving puts handler behind the Bearer, on a real socket, and gives the answer to one request by ann as john.
func (a *api) serving(method string, handler http.HandlerFunc) (status int, body string) {
	a.t.Helper()
	var running sync.WaitGroup // Close does not wait for who has taken the connection
	defer running.Wait()
	bearer := a.bearer.Handler(handler)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		running.Add(1)
		defer running.Done()
		bearer.ServeHTTP(w, r)
	}))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	defer srv.Close()
	r, err := http.NewRequest(method, srv.URL+"/me", nil)
	a.must(err)
	r.Header.Set("Authorization", "Bearer "+a.acting("scope", fullAccess))
	answer, err := srv.Client().Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	a.must(err)
	return answer.StatusCode, string(b)
}

// TestAnswersOnRecord: however an API's handler answers, or does not, that is on record, and reaches who asked as it was meant.
func TestAnswersOnRecord(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		handler http.HandlerFunc
		status  int
		body    string
		record  string
	}{
		"nothing said": {func(http.ResponseWriter, *http.Request) {}, 200, "", "200"},
		"a body":       {func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }, 200, "ok", "200"},
		"a status": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK)
		}, 418, "", "418"},
		"hints first": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		}, 202, "", "202"},
		"a file": {func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "a.txt", time.Time{}, strings.NewReader("file"))
		}, 200, "file", "200"},
		"a stream": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			io.WriteString(w, "later")
			if err := http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
				io.WriteString(w, err.Error())
			}
		}, 200, "later", "200"},
		"a copy": {func(w http.ResponseWriter, _ *http.Request) { io.Copy(w, strings.NewReader("copied")) }, 200, "copied", "200"},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			if status, body := a.serving(http.MethodGet, c.handler); status != c.status || body != c.body {
				t.Errorf("got %d %q, want %d %q", status, body, c.status, c.body)
			}
			a.recorded(what, "before GET /me", "after GET /me "+c.record) // the first of a session is told before in any case
			if status, _ := a.serving(http.MethodPost, c.handler); status != c.status {
				t.Errorf("POST: got %d, want %d", status, c.status)
			}
			a.recorded(what, "before POST /me", "after POST /me "+c.record)
		})
	}
}

// TestNoAnswerOnRecord: a handler that panics, or takes the connection, is on record too.
func TestNoAnswerOnRecord(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	a.serving(http.MethodGet, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	a.recorded("a panic", "before GET /me", "after GET /me") // the first of the session
	_, body := a.serving(http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		answer(rw)
	})
	if body != "mine" {
		t.Errorf("the hijacked connection said %q", body)
	}
	a.recorded("a connection that was taken", "after GET /me 101")
	w := &plainWriter{header: http.Header{}}
	a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("hijacked what cannot be: %v", err)
		}
	})).ServeHTTP(w, a.request("GET", "/me", a.acting()))
	a.recorded("one that could not be", "after GET /me 200")
}

func answer(rw *bufio.ReadWriter) {
	io.WriteString(rw, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmine")
	rw.Flush()
}

// plainWriter can do nothing but be written to.
type plainWriter struct{ header http.Header }

func (w *plainWriter) Header() http.Header       { return w.header }
func (*plainWriter) WriteHeader(int)             {}
func (*plainWriter) Write(p []byte) (int, error) { return len(p), nil }

// fullUp takes one action at a time, until it has an err, and never a batch.
type fullUp struct{ err error }

func (f *fullUp) Record(context.Context, rp.Action) (bool, error) { return f.err == nil, f.err }
func (f *fullUp) RecordAll(context.Context, []rp.Action) ([]string, error) {
	return nil, errors.New("away")
}

// TestNoRoomForRecords: where there is no room for what only looks, it is recorded before it runs, or not served at all.
func TestNoRoomForRecords(t *testing.T) {
	t.Parallel()
	recorder := &fullUp{}
	a := newAPI(t, func(c *rp.BearerConfig) { c.Recorder, c.Liveness, c.SpoolBytes = recorder, alwaysAlive{}, 64<<10 })
	for i := 0; a.get("/"+strings.Repeat("x", 500), a.acting()).status == http.StatusOK; i++ {
		if i == 500 {
			break // what has no room is told the issuer
		}
	}
	a.taken(&a.reached)
	recorder.err = errors.New("away")
	a.no("no room, and nobody to tell", a.get("/me", a.acting()), http.StatusServiceUnavailable, "unavailable")
	if _, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.acting(), "", "GET", "/me"); err == nil {
		t.Error("a call was let pass")
	}
	a.yes("john's own", a.get("/me", a.token()), "john", "john")
}

type alwaysAlive struct{}

func (alwaysAlive) Alive(context.Context, string, oauth.Secret) (bool, error) { return true, nil }

// TestNotesAtAPIs: what a handler notes is on record with its request, and so is what a job does.
func TestNotesAtAPIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	note := func(_ http.ResponseWriter, r *http.Request) {
		if err := rp.Note(r.Context(), "invoice.refunded", "id", 7); err != nil {
			t.Error(err)
		}
	}
	a.serving(http.MethodGet, note)
	a.recorded("safe", "before GET /me", "note GET /me invoice.refunded", "after GET /me 200")
	a.serving(http.MethodPost, note)
	a.recorded("unsafe", "before POST /me", "note POST /me invoice.refunded", "after POST /me 200")
	ids := a.taken(&a.ids)
	if ids[0] != ids[1] || ids[1] != ids[2] || ids[3] != ids[4] || ids[4] != ids[5] || ids[2] == ids[3] {
		t.Errorf("the IDs are %q", ids)
	}
	in, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.acting("scope", fullAccess), "", "POST", "/call")
	a.must(err)
	s, _ := rp.FromContext(in)
	job, err := a.bearer.NewContext(t.Context(), s, "send")
	a.must(err)
	a.must(rp.Note(job, "mail.sent"))
	a.recorded("a job", "before POST /call", "before JOB /send", "note JOB /send mail.sent")
	own, err := a.bearer.Authenticate(t.Context(), "Bearer "+a.token(), "", "POST", "/call")
	a.must(err)
	a.must(rp.Note(own, "mail.sent"))
	a.recorded("nobody")
}
