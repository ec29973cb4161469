package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
)

// host is the testing.TB of a program: the helpers that start servers take one. What fails ends the program, by a panic that run
// catches, so only its own goroutine may call the methods that fail.
type host struct {
	testing.TB // nil: the methods that nobody calls
	ctx        context.Context
	undo       []func()
	failed     error // of Errorf
}

// failure is what Fatal panics with.
type failure struct{ error }

// run calls f, then what it left to be cleaned up. It answers what failed.
func (h *host) run(f func(t testing.TB)) (err error) {
	defer func() {
		for len(h.undo) > 0 {
			last := len(h.undo) - 1
			undo := h.undo[last]
			h.undo = h.undo[:last]
			undo()
		}
		err = errors.Join(err, h.failed)
	}()
	defer func() {
		switch v := recover().(type) {
		case nil:
		case failure:
			err = v.error
		default:
			panic(v)
		}
	}()
	f(h)
	return nil
}

func (h *host) Helper()                           {}
func (h *host) Context() context.Context          { return h.ctx }
func (h *host) Cleanup(f func())                  { h.undo = append(h.undo, f) }
func (h *host) Fatal(args ...any)                 { panic(failure{errors.New(fmt.Sprint(args...))}) }
func (h *host) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }
func (h *host) Skip(args ...any)                  { h.Fatal(args...) }
func (h *host) Errorf(format string, args ...any) {
	h.failed = errors.Join(h.failed, fmt.Errorf(format, args...))
}

func (h *host) TempDir() string {
	dir, err := os.MkdirTemp("", "understudy-load-")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
