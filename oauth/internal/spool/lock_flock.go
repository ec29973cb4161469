//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package spool

import (
	"os"
	"syscall"
)

// lock takes f for this process, for as long as it is open. The lock goes with the process, also when it is killed.
func lock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}
