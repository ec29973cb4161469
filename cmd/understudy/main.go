// Command understudy runs the server and is the operator's command line. Start with "understudy demo" to see what it is
// for, with "understudy serve" to run it; "understudy help" lists the rest, "understudy help configuration" what can be set. Its commands are wiring: package admin does what
// they ask, package server serves.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks, the second kills
	code := newApp().run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
