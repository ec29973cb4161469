//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package spool_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/spool"
)

// TestLeftAlone: names in the directory lead nowhere else, nothing waits for who is at the other end, and what is good beside them is found. The log tells of each, once.
func TestLeftAlone(t *testing.T) {
	t.Parallel()
	dir, elsewhere := t.TempDir(), t.TempDir()
	s := open(t, dir, 16<<20)
	add(t, s, "good")
	abandon(t, s)
	good, err := os.ReadFile(files(t, dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	secret, second, target := filepath.Join(elsewhere, "secret"), filepath.Join(elsewhere, "second"), filepath.Join(dir, "x-")
	bad := map[string]error{
		"link":      errors.Join(os.WriteFile(secret, []byte("line one\nTOPSECRET\n"), 0o600), os.Symlink(secret, target+"link.spool"), os.WriteFile(target+"link.spool.damaged", nil, 0o666)),
		"second":    errors.Join(os.WriteFile(second, good, 0o600), os.Link(second, target+"second.spool")),
		"directory": os.Mkdir(target+"directory.spool", 0o700),
		"pipe":      syscall.Mkfifo(target+"pipe.spool", 0o600),
		"long":      os.WriteFile(target+"long.spool", bytes.Repeat(good, 3<<20/len(good)), 0o600),
	}
	if os.Geteuid() == 0 {
		bad["others"] = errors.Join(os.WriteFile(target+"others.spool", good, 0o600), os.Chown(target+"others.spool", 1, 1))
	}
	for name, err := range bad {
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var log bytes.Buffer
	s, err = spool.Open(spool.Config{Dir: dir, Owner: "x", Name: "q", MaxBytes: 16 << 20, SyncEvery: time.Second, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := adopted(t, s); !slices.Equal(got, []string{"good"}) {
		t.Errorf("got %d records, want one", len(got))
	}
	adopted(t, s)
	for name := range bad {
		if n := strings.Count(log.String(), "x-"+name+".spool"); n != 1 {
			t.Errorf("%s: %d lines, want 1", name, n)
		}
		if _, err := os.Lstat(target + name + ".spool"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if told, err := os.ReadFile(target + "link.spool.damaged"); err != nil || len(told) > 0 {
		t.Errorf("%q was copied out of what a link leads to, %v", told, err)
	}
}
