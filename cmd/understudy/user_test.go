package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store"
)

// A lock-out that the server would have written shows in the list, and enable ends it.
func TestLockOut(t *testing.T) { onBoth(t, testLockOut) }

func testLockOut(t *testing.T, dir string) {
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann")
	if _, err := opened(t, dir).Failed(t.Context(), store.AttemptKey("ann@acme.test"), time.Now(), time.Hour, 1, time.Hour); err != nil {
		t.Fatal(err)
	}
	if out := runs(t, dir, "user", "ls"); !strings.Contains(out, " locked until 20") {
		t.Errorf("got\n%s\nwant a user who is locked out", out)
	}
	runs(t, dir, "user", "enable", "ann@acme.test")
	if out := runs(t, dir, "user", "ls", "-o", "json"); strings.Contains(out, "locked_until") {
		t.Errorf("enabled: got\n%s\nwant nobody locked out", out)
	}
	if out := runs(t, dir, "audit", "ls"); !strings.Contains(out, "unlocked") {
		t.Errorf("got\n%s\nwant an entry about the lock-out's end", out)
	}
}
