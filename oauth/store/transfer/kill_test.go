package transfer_test

import (
	"encoding/base64"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// TestKill kills the command at random moments, again and again, and lets it go on: at no moment can both sides be served, and
// in the end they are the same.
func TestKill(t *testing.T) {
	t.Parallel()
	rounds := 2
	switch {
	case testing.Short():
		t.Skip("kills processes")
	case os.Getenv("UNDERSTUDY_LONG") == "1":
		rounds = 40
	}
	s := newScene(t, 20_000)
	chaos.Binary(t) // building it is not part of a copy
	lasts, kills := s.timeOne(), 0
	for range rounds {
		s.db = postgrestest.Fresh(t)
		for range 3 { // later ones fall into later steps
			if s.kill(lasts) {
				kills++
			}
		}
		if out, err := s.command().CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		s.same()
		s.wantMarks(store.Moved, "")
		s.ok(transfer.Reopen(t.Context(), s.path, true))
	}
	if t.Logf("%d kills, a copy takes %s", kills, lasts); kills == 0 {
		t.Error("every copy was done before it was killed")
	}
}

// timeOne copies once and takes the file back.
func (s *scene) timeOne() time.Duration {
	s.Helper()
	begin := time.Now()
	if out, err := s.command().CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	lasts := time.Since(begin)
	s.ok(transfer.Reopen(s.Context(), s.path, true))
	return lasts
}

// kill runs the command and kills it at a random moment. It reports false for one that was faster.
func (s *scene) kill(lasts time.Duration) bool {
	s.Helper()
	cmd := s.command()
	s.ok(cmd.Start())
	kill := time.AfterFunc(rand.N(lasts), func() { cmd.Process.Kill() })
	killed := cmd.Wait() != nil
	kill.Stop()
	from, into := s.marks()
	if into == "" && s.filled() && !strings.HasPrefix(from, string(store.Moved)) {
		s.Errorf("the target is not marked, has rows, and the source is marked %q", from)
	}
	return killed
}

// filled reports whether the target has any user.
func (s *scene) filled() bool {
	s.Helper()
	return s.tryTarget(`DO $$ BEGIN IF EXISTS (SELECT FROM app_user) THEN RAISE 'filled'; END IF; END $$`) != nil
}

func (s *scene) command() *exec.Cmd {
	s.Helper()
	cmd := exec.CommandContext(s.Context(), chaos.Binary(s), "store", "copy", "--from", s.path)
	cmd.Dir = s.TempDir()
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + cmd.Dir, "UNDERSTUDY_DATABASE=" + s.db.Owner,
		"UNDERSTUDY_SEALING_KEY=" + base64.StdEncoding.EncodeToString(sealingKey)}
	return cmd
}
