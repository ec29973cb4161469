//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package spool

import (
	"errors"
	"os"
)

// lock tells whose a file is by a lock that goes with its process, which the standard library gives on Unix alone.
func lock(*os.File) error {
	return errors.New("a directory for the spool needs Linux, macOS or a BSD")
}
