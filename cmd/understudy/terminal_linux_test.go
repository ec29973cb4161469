package main_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a terminal of its own, with nobody at the other end.
func terminal(t *testing.T) *os.File {
	t.Helper()
	_, slave := terminals(t)
	return slave
}

// terminals opens both ends of a terminal: who types writes to the first.
func terminals(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

// A signal at the prompt ends the command, and what is typed shows again.
func TestInterruptedPrompt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann")
	tty := terminal(t)
	cmd := understudy(t, dir, "user", "passwd", "ann@acme.test")
	cmd.Stdin = tty
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	question := make([]byte, len("New password: "))
	if _, err := io.ReadFull(out, question); err != nil {
		t.Fatalf("got %q, %v, want the question", question, err)
	}
	if echo(t, tty) {
		t.Error("what is typed at the prompt shows")
	}
	cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(out)
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 1 || !bytes.Contains(rest, []byte("canceled")) || strings.Contains(string(rest), "hint") {
		t.Errorf("got %v, %q, want exit code 1 and no hint", err, rest)
	}
	if !echo(t, tty) {
		t.Error("what is typed afterwards does not show")
	}
}

func echo(t *testing.T, tty *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// Who is asked whether to remove a user, or all users of a source, and says anything but yes, keeps them.
func TestRemoveAsks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann", "--id", "ann")
	runs(t, dir, "scim", "add", "okta", "--organisation", "acme")
	person, source := []string{"user", "rm", "ann"}, []string{"scim", "rm", "okta", "--disable-users"}
	for _, tt := range []struct {
		args                   []string
		question, answer, want string
		code                   int
	}{
		{person, "Remove Ann, ann@acme.test (ann)? Type yes: ", "y\n", "not removed", 1},
		{person, "Remove Ann, ann@acme.test (ann)? Type yes: ", "yes\n", "removed ann@acme.test (ann)", 0},
		{source, "Remove source okta and disable 0 users? Type yes: ", "\n", "not removed", 1},
		{source, "Remove source okta and disable 0 users? Type yes: ", "yes\n", "removed source okta and disabled 0 users", 0},
	} {
		master, tty := terminals(t)
		cmd := understudy(t, dir, tt.args...)
		cmd.Stdin = tty
		if _, err := master.WriteString(tt.answer); err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != tt.code || !strings.Contains(string(out), tt.question) || !strings.Contains(string(out), tt.want) {
			t.Errorf("%q: got %v, %s, want exit code %d and %q", tt.answer, err, out, tt.code, tt.want)
		}
	}
}
