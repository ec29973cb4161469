package rp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// silent knows that sessions go on, and takes no record.
type silent struct{}

func (silent) Alive(context.Context, string, oauth.Secret) (bool, error) { return true, nil }
func (silent) Record(context.Context, Action) (bool, error)              { return false, errors.New("away") }
func (silent) RecordAll(context.Context, []Action) ([]string, error)     { return nil, errors.New("away") }

// TestAnswerHeldBack: what an API let run, since there was room to record it, and then could not record after all, nobody gets to see.
func TestAnswerHeldBack(t *testing.T) {
	t.Parallel()
	b, err := NewBearer(t.Context(), BearerConfig{
		Issuer: "https://id.acme.test", Audience: "https://api.acme.test", ClientID: "api", ClientSecret: "secret", Liveness: silent{}, Recorder: silent{},
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &Session{ID: "imp_1", Mode: oauth.ModeRead, Expires: time.Now().Add(time.Hour)}
	b.record.mu.Lock()
	b.record.about(s.ID, s.Expires).heard = true // something was taken, while the issuer was there
	b.record.mu.Unlock()
	for name, write := range map[string]func(http.ResponseWriter){
		"a body":   func(w http.ResponseWriter) { w.Write([]byte("john's")) },
		"a status": func(w http.ResponseWriter) { w.WriteHeader(http.StatusAccepted); w.Write([]byte("john's")) },
		"a stream": func(w http.ResponseWriter) { w.(http.Flusher).Flush(); w.Write([]byte("john's")) },
		"a copy":   func(w http.ResponseWriter) { w.(*recorded).ReadFrom(strings.NewReader("john's")) },
	} {
		c := &call{Context: t.Context(), bearer: b, access: &access{session: s}, entry: new(entry)}
		r := httptest.NewRequest(http.MethodGet, "/me", nil)
		if alive, err := c.begin(c, r, b.record, b.live, s); !alive || err != nil || c.room == 0 {
			t.Fatalf("%s: begun: %v, %v, with room of %d", name, alive, err, c.room)
		}
		b.record.mu.Lock()
		b.record.sessions[s.ID].queued += maxQueued + 1
		b.record.mu.Unlock()
		w := httptest.NewRecorder()
		w.Header().Set("X-Private", "john's")
		write(&recorded{w: w, c: c})
		if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "john") || w.Header().Get("X-Private") != "" {
			t.Errorf("%s: got %d %v %s", name, w.Code, w.Header(), w.Body)
		}
		b.record.mu.Lock()
		b.record.sessions[s.ID].queued = 0
		b.record.mu.Unlock()
	}
}
