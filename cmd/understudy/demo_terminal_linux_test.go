package main_test

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// On a terminal the last line has the codes of the moment, written over as time goes by.
func TestDemoOnTerminal(t *testing.T) {
	t.Parallel()
	screen, tty := screenOf(t)
	cmd := understudy(t, t.TempDir(), "demo", "--issuer-port", "0", "--app-port", "0")
	cmd.Stdout = tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	in, said := bufio.NewReader(screen), ""
	for strings.Count(said, "\x1b[K") < 3 { // the third begins where the second is whole
		part, err := in.ReadString('K')
		if said += part; err != nil {
			t.Fatalf("reading the screen: %v; it has\n%q", err, said)
		}
	}
	if want := `\r\x1b\[KCodes   ann \d{6}   sue \d{6}   for \d+ s\r\x1b\[K`; !regexp.MustCompile(want).MatchString(said) {
		t.Errorf("got %q, want a match for %s", said, want)
	}
	if regexp.MustCompile(`code \d{6}`).MatchString(said) {
		t.Errorf("got %q, want no code that will be an old one soon", said)
	}
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit 0", err)
	}
}

// screenOf is a terminal from both sides: what is written to tty shows on screen.
func screenOf(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}
