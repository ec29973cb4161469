package chaos_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// TestServer drives a real process through everything that can be done to it.
func TestServer(t *testing.T) {
	t.Parallel()
	s := chaos.New(t, chaos.Config{Env: []string{"UNDERSTUDY_LOG_FORMAT=json"}})
	s.Run("", "client", "add", "--id", "app", "--name", "The app", "--redirect-uri", "http://127.0.0.1:9/callback")
	if s.Ready() {
		t.Fatal("ready before it was started")
	}
	s.Start()
	if out := s.Run("", "client", "ls"); !strings.Contains(out, "The app") {
		t.Errorf("client ls beside the server: got %q", out)
	}
	if logs := s.Logs(); !strings.Contains(logs, `"msg":"serving"`) {
		t.Errorf("logs = %q; want the line of the start in JSON", logs)
	}
	s.Pause()
	c := http.Client{Timeout: time.Second}
	if _, err := c.Get(s.URL + "/oauth2/jwks"); err == nil {
		t.Error("a paused server answered")
	}
	s.Resume()
	if !s.Ready() {
		t.Error("not ready after it was resumed")
	}
	s.Kill()
	if s.Ready() {
		t.Error("ready after it was killed")
	}
	s.Start()
	if err := s.Stop(); err != nil {
		t.Errorf("SIGTERM: got %v; want exit code 0\n%s", err, s.Logs())
	}
	s.Start()
	s.Pause()
	s.Kill()
}
