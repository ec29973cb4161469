package chaos

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
)

// Files is how many files and sockets the process holds open, as the system tells (Linux's proc(5)); 0 where it does not.
func (s *Server) Files() int {
	s.t.Helper()
	open, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.PID())) // no such directory where there is no proc(5)
	return len(open)
}

var goroutine = regexp.MustCompile(`(?m)^goroutine \d+.* \[`)

// Goroutines ends the process as SIGQUIT ends one of Go's, by which it shows what each of its goroutines does. It answers that
// text and how many they are. Config.Log must be nil.
func (s *Server) Goroutines() (stacks string, n int) {
	s.t.Helper()
	before := len(s.Logs())
	s.signal(syscall.SIGQUIT)
	<-s.exit
	s.cmd = nil
	_, stacks, _ = strings.Cut(s.Logs()[before:], "SIGQUIT")
	return stacks, len(goroutine.FindAllString(stacks, -1))
}

// Fails runs the command as Run does where it must exit with code 1, and answers what it says on its standard error.
func (s *Server) Fails(args ...string) string {
	s.t.Helper()
	cmd := s.command(s.t.Context(), args...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != 1 {
		s.t.Fatalf("understudy %s: %v; want exit code 1\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
