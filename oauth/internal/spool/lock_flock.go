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

// withoutTricks opens a file only if it is none that leads elsewhere, and does not wait for whoever is at the other end of one that is a pipe.
const withoutTricks = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// mine reports whether a file belongs to whom this process runs as.
func mine(info os.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

// names is how many names a file has: 0 once it was removed.
func names(info os.FileInfo) int {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0
	}
	return int(st.Nlink)
}
