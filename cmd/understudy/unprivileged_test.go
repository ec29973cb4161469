package main_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// reachable is a directory that everybody can reach and write to; those of testing.T lie below one of mode 0700.
func reachable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "understudy-test-")
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	check(t, os.Chmod(dir, 0o777))
	return dir
}

// nobody is who runs a command that must not write everywhere, where the tests run as root: no mode of a file holds root off.
const nobody = 65534

// unprivileged gives a function that makes of a command one that files' modes hold off.
func unprivileged(t *testing.T) func(*exec.Cmd) *exec.Cmd {
	t.Helper()
	if os.Geteuid() != 0 {
		return func(cmd *exec.Cmd) *exec.Cmd { return cmd }
	}
	self, err := os.Executable()
	check(t, err)
	from, err := os.Open(self)
	check(t, err)
	defer from.Close()
	name := filepath.Join(reachable(t), "understudy") // the name by which TestMain knows it
	to, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	check(t, err)
	_, err = io.Copy(to, from)
	check(t, err)
	check(t, to.Close())
	check(t, os.Chmod(name, 0o755))
	return func(cmd *exec.Cmd) *exec.Cmd {
		cmd.Path, cmd.Err = name, nil
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		return cmd
	}
}
