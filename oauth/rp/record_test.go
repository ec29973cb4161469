package rp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/rp"
)

// flushed waits until all is on record.
func flushed(t testing.TB, app *rp.App) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := app.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

// told are the actions on record in the order of their numbers, each with what was asked, and fails where a number is missing.
func (h *house) told() (out []string) {
	h.t.Helper()
	entries := h.entries()
	entries = slices.DeleteFunc(entries, func(e audit.Entry) bool { return e.Kind != audit.KindAction })
	number := func(e audit.Entry) int { n, _ := strconv.Atoi(e.Fields["seq"]); return n }
	slices.SortFunc(entries, func(a, b audit.Entry) int {
		if c := strings.Compare(a.Fields["writer"], b.Fields["writer"]); c != 0 {
			return c
		}
		return number(a) - number(b)
	})
	last := map[string]int{}
	for _, e := range entries {
		writer := e.Fields["writer"]
		if n := number(e); n != last[writer]+1 || writer == "" {
			h.t.Errorf("number %d of %q comes after %d", n, writer, last[writer])
		}
		last[writer] = number(e)
		line := []string{e.Fields["phase"], e.Fields["method"], e.Fields["route"], e.Fields["status"], e.Fields["note"]}
		for _, name := range []string{"id", "to"} {
			line = append(line, e.Fields["detail_"+name])
		}
		out = append(out, strings.Join(slices.DeleteFunc(line, func(s string) bool { return s == "" }), " "))
	}
	return out
}

// actor is ann in a session with john, and app in front of next, which shares the house's configuration but for what bend changes.
func (h *house) actor(ctx context.Context, mode string, next http.Handler, bend func(*rp.Config)) (app *rp.App, ask func(method, path string) *httptest.ResponseRecorder) {
	h.t.Helper()
	ann := h.ann()
	ann.impersonate("john", mode)
	c := h.config
	if bend != nil {
		bend(&c)
	}
	app, err := rp.New(ctx, c)
	h.must(err)
	handler := app.Handler(next)
	return app, func(method, path string) *httptest.ResponseRecorder {
		r := ann.request(method, h.asUser+path, nil)
		r.Host, r.RequestURI = r.URL.Host, path
		r.Header.Set("Cookie", cookieHeader(ann.cookies(h.asUser)))
		w := httptest.NewRecorder()
		func() {
			defer func() { recover() }()
			handler.ServeHTTP(w, r)
		}()
		return w
	}
}

// statuses answers with the status that the path names.
func statuses(w http.ResponseWriter, r *http.Request) {
	status, err := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	w.WriteHeader(status)
	io.WriteString(w, "secret")
}

// TestEveryRequestIsRecorded: what only looks is on record with how it was answered, also where nobody answered; what may change something
// also before it ran; and each has its number.
func TestEveryRequestIsRecorded(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		app, ask := h.actor(t.Context(), "write", http.HandlerFunc(statuses), nil)
		before := len(h.actions())
		for _, path := range []string{"/200", "/404", "/panics"} {
			ask(http.MethodGet, path)
		}
		ask(http.MethodPost, "/201")
		flushed(t, app)
		flushed(t, h.rp)
		told := h.told()
		want := []string{"after GET /200 200", "after GET /404 404", "after GET /panics", "before POST /201", "after POST /201 201"}
		if got := told[len(told)-len(want):]; before+len(want) > len(told) || !contains(told, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

// contains reports whether want stands in all, in one piece.
func contains(all, want []string) bool {
	for i := range len(all) - len(want) + 1 {
		if slices.Equal(all[i:i+len(want)], want) {
			return true
		}
	}
	return false
}

// TestNote: what an app says of a request is on record with it: at once where that may change something, and otherwise soon.
func TestNote(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		var during []string
		app, ask := h.actor(t.Context(), "write", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := rp.Note(r.Context(), "invoice.refunded", "id", 7, "to", fmt.Stringer(slog.LevelInfo)); err != nil {
				t.Error(err)
			}
			during = h.told()
		}), nil)
		flushed(t, h.rp)
		ask(http.MethodPost, "/refund")
		if want := []string{"before POST /refund", "note POST /refund invoice.refunded 7 INFO"}; !contains(during, want) {
			t.Errorf("while it ran: %q, want %q", during, want)
		}
		ask(http.MethodGet, "/invoice")
		flushed(t, app)
		if told, want := h.told(), []string{"note GET /invoice invoice.refunded 7 INFO", "after GET /invoice 200"}; !contains(told, want) {
			t.Errorf("got %q, want %q", told, want)
		}
		h.kill()
		var err error
		_, ask = h.actor(t.Context(), "write", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			h.kill()
			err = rp.Note(r.Context(), "invoice.refunded")
		}), nil)
		if ask(http.MethodPost, "/refund"); !errors.Is(err, rp.ErrOver) {
			t.Errorf("in a session that was ended meanwhile: %v, want ErrOver", err)
		}
	})
}

// TestNoteRefused: what is no note is said so by its rule, and nothing is recorded; where nobody is impersonated nothing happens at all.
func TestNoteRefused(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	long := strings.Repeat("x", 201)
	app, ask := h.actor(t.Context(), "write", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, c := range []struct {
			event string
			pairs []any
			want  string
		}{
			{"", nil, "event"}, {"Refund", nil, "event"}, {"a b", nil, "event"}, {long[:65], nil, "event"},
			{"e", []any{"id"}, "up to 8 names"}, {"e", slices.Repeat([]any{"id", 1}, 9), "up to 8 names"},
			{"e", []any{7, 7}, "name 1"}, {"e", []any{"id", 7, "Id", 7}, "name 2"}, {"e", []any{long[:33], 7}, "name 1"},
			{"e", []any{"id", 7, "id", 8}, "id is given twice"},
			{"e", []any{"id", long}, "at most 200"}, {"e", []any{"id", "a\nb"}, "printable"}, {"e", []any{"id", "\xff"}, "printable"},
			{"e", []any{"id", struct{ Card string }{"4111"}}, "must be a string"}, {"e", []any{"id", []byte("x")}, "must be a string"}, {"e", []any{"id", nil}, "must be a string"},
		} {
			err := rp.Note(r.Context(), c.event, c.pairs...)
			if !errors.Is(err, rp.ErrNote) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "4111") || strings.Contains(err.Error(), long[:33]) {
				t.Errorf("%q %v: %v, want ErrNote with %q", c.event, c.pairs, err, c.want)
			}
		}
		for range 100 {
			if err := rp.Note(r.Context(), "e", "id", 1); err != nil {
				t.Error(err)
			}
		}
		if err := rp.Note(r.Context(), "e"); !errors.Is(err, rp.ErrNote) {
			t.Errorf("the 101st: %v, want ErrNote", err)
		}
	}), nil)
	if err := rp.Note(t.Context(), "not a note at all", 7); err != nil {
		t.Errorf("nobody is impersonated: %v", err)
	}
	ask(http.MethodGet, "/x")
	flushed(t, app)
	flushed(t, h.rp)
	n := 0
	for _, line := range h.told() {
		if strings.HasPrefix(line, "note ") {
			n++
		}
	}
	if n != 100 {
		t.Errorf("%d notes on record, want 100", n)
	}
}

// TestSpoolOutlivesTheApp: what one process could not tell, the next one does that has its directory: all of it, once, under the numbers that
// it had.
func TestSpoolOutlivesTheApp(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	dir := filepath.Join(t.TempDir(), "spool")
	ctx, cancel := context.WithCancel(t.Context())
	_, ask := h.actor(ctx, "read", http.HandlerFunc(statuses), func(c *rp.Config) { c.Spool, c.Liveness = dir, yes{} })
	flushed(t, h.rp)
	h.setDown(true)
	var want []string
	for i := range 20 {
		if w := ask(http.MethodGet, fmt.Sprint("/", 200+i)); w.Code != 200+i || w.Body.String() != "secret" {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
		want = append(want, fmt.Sprintf("after GET /%d %[1]d", 200+i))
	}
	if contains(h.told(), want[:1]) {
		t.Fatal("on record while the issuer was down")
	}
	cancel()
	left := func() int {
		names, err := os.ReadDir(dir)
		h.must(err)
		return len(names)
	}
	if left() != 1 {
		t.Fatalf("%d files are left, want 1", left())
	}
	h.setDown(false)
	c := h.config
	c.Spool = dir
	for deadline := time.Now().Add(30 * time.Second); !contains(h.told(), want); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("got %q, want %q", h.told(), want)
		}
		next, err := rp.New(t.Context(), c) // the first may still have the lock
		h.must(err)
		flushed(t, next)
	}
}

// fickle is a Recorder that a test lets fail.
type fickle struct {
	mu     sync.Mutex
	one    error
	all    error
	single []rp.Action
	batch  []rp.Action
}

func (f *fickle) Record(_ context.Context, a rp.Action) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.one == nil {
		f.single = append(f.single, a)
	}
	return f.one == nil, f.one
}

func (f *fickle) RecordAll(_ context.Context, batch []rp.Action) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.batch = append(f.batch, batch...)
	}
	return nil, f.all
}

func (f *fickle) fail(one, all error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.one, f.all = one, all
}

// TestSpoolFull: where nothing more can be kept, what only looks is recorded before it runs, as what changes is, or it does not run.
func TestSpoolFull(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	away := errors.New("away")
	f := &fickle{all: away}
	ran := 0
	_, ask := h.actor(t.Context(), "write", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ran++
		io.WriteString(w, "secret")
	}), func(c *rp.Config) { c.Recorder, c.Liveness, c.SpoolBytes = f, yes{}, 64<<10 })
	for len(f.single) == 0 {
		if w := ask(http.MethodGet, "/x"); w.Code != http.StatusOK || ran > 1000 {
			t.Fatalf("the %d. request: %d", ran, w.Code)
		}
	}
	if ran < 50 || f.single[0].Phase != rp.PhaseBefore || f.single[0].Method != http.MethodGet {
		t.Errorf("after %d: %+v", ran, f.single)
	}
	f.fail(away, away)
	was := ran
	if w := ask(http.MethodGet, "/x"); w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") || ran != was {
		t.Errorf("with a full spool and no issuer: %d, ran %d times", w.Code, ran-was)
	}
	if w := ask(http.MethodPost, "/x"); w.Code != http.StatusServiceUnavailable || ran != was {
		t.Errorf("what changes: %d, ran %d times", w.Code, ran-was)
	}
}

// TestAnswerIsHeldBack: a disk that fails after a request was let run has its answer held back, headers and all.
func TestAnswerIsHeldBack(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	away := errors.New("away")
	f := &fickle{}
	ctx, cancel := context.WithCancel(t.Context())
	dir := t.TempDir()
	_, ask := h.actor(ctx, "write", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		cancel() // the spool is closed while this runs
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
			if names, err := os.ReadDir(dir); err != nil || len(names) == 0 || time.Now().After(deadline) {
				break
			}
		}
		f.fail(away, away)
		w.Header().Set("X-Secret", "secret")
		http.SetCookie(w, &http.Cookie{Name: "secret", Value: "1"})
		io.WriteString(w, "<!doctype html><html><body>secret</body></html>")
		http.NewResponseController(w).Flush()
		io.WriteString(w, "secret")
	}), func(c *rp.Config) { c.Recorder, c.Liveness, c.Spool = f, yes{}, dir })
	w := ask(http.MethodGet, "/x")
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "secret") || w.Header().Get("X-Secret") != "" || len(w.Result().Cookies()) != 0 || w.Header().Get("Retry-After") == "" {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
}

// TestUnavailableIsRecorded: what was refused since the issuer was away is on record once it is back, and no number is missing.
func TestUnavailableIsRecorded(t *testing.T) {
	both(t, func(t *testing.T, h *house) {
		app, ask := h.actor(t.Context(), "write", http.HandlerFunc(statuses), nil)
		flushed(t, h.rp)
		h.setDown(true)
		if w := ask(http.MethodPost, "/200"); w.Code != http.StatusServiceUnavailable {
			t.Fatalf("got %d", w.Code)
		}
		h.setDown(false)
		flushed(t, app)
		if told, want := h.told(), []string{"before POST /200", "after POST /200 503 unavailable"}; !contains(told, want) {
			t.Errorf("got %q, want %q", told, want)
		}
	})
}

// TestFlushTellsWhatIsMissing: who waits in vain is told for how many.
func TestFlushTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	h := setup(t, apart, nil)
	f := &fickle{all: errors.New("away")}
	app, ask := h.actor(t.Context(), "write", http.HandlerFunc(statuses), func(c *rp.Config) { c.Recorder, c.Liveness = f, yes{} })
	ask(http.MethodGet, "/200")
	ask(http.MethodGet, "/200")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := app.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "2 actions are not on record yet") {
		t.Errorf("got %v", err)
	}
	f.fail(nil, nil)
	flushed(t, app)
	if len(f.batch) != 2 {
		t.Errorf("%d recorded, want 2", len(f.batch))
	}
}

// TestSpoolConfig: what cannot be a spool is refused when the app starts.
func TestSpoolConfig(t *testing.T) {
	t.Parallel()
	c := rp.Config{Issuer: "https://id.test", ClientID: "app", ClientSecret: "secret", BaseURL: "https://app.test", Origin: "https://as.app.test"}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := t.TempDir()
	if err := errors.Join(os.Chmod(filepath.Dir(shared), 0o755), os.Chmod(shared, 0o770)); err != nil {
		t.Fatal(err)
	}
	for name, bend := range map[string]func(*rp.Config){
		"Config.Spool":      func(c *rp.Config) { c.Spool = file },
		"its owner alone":   func(c *rp.Config) { c.Spool = shared },
		"Config.SpoolBytes": func(c *rp.Config) { c.SpoolBytes = 1000 },
	} {
		bad := c
		bend(&bad)
		if _, err := rp.New(t.Context(), bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
