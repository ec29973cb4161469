//go:build darwin || freebsd || netbsd || openbsd || dragonfly

package main

import "golang.org/x/sys/unix"

// The requests that read and write a terminal's settings.
const getTermios, setTermios = unix.TIOCGETA, unix.TIOCSETA
