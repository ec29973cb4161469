package rp

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// TestBelievedOfOneToken is CVE-2021-32701 and GHSA-rp9m-7r4c-75qg: what is remembered of a session is remembered of
// its token too, for its time, and by this app alone. No key is made of joined texts, so none can stand for another.
func TestBelievedOfOneToken(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"active":%v,"sid":"imp_1"}`, r.FormValue("token") == "right")
	}))
	defer srv.Close()
	now := time.Now()
	fresh := func() *introspected {
		i := &issuer{url: srv.URL, id: "app", secret: "s", client: srv.Client(), known: &endpoints{Introspection: srv.URL}}
		return &introspected{issuer: i, now: func() time.Time { return now }}
	}
	l := fresh()
	for _, c := range []struct {
		what  string
		after time.Duration
		by    *introspected
		sid   string
		token oauth.Secret
		alive bool
		asks  int32
	}{
		{"first", 0, l, "imp_1", "right", true, 1},
		{"again", 0, l, "imp_1", "right", true, 0},
		{"another token", 0, l, "imp_1", "wrong", false, 1},
		{"the right one after a wrong one", 0, l, "imp_1", "right", true, 1},
		{"another app", 0, fresh(), "imp_1", "right", true, 1},
		{"later", believed, l, "imp_1", "right", true, 1},
		{"another session of that token", 0, l, "imp_2", "right", false, 1},
	} {
		now = now.Add(c.after)
		before := asked.Load()
		got, err := c.by.Alive(t.Context(), c.sid, c.token)
		if asks := asked.Load() - before; err != nil || got != c.alive || asks != c.asks {
			t.Errorf("%s: got %v, %v after %d questions, want %v after %d", c.what, got, err, asks, c.alive, c.asks)
		}
	}
}
