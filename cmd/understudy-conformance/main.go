// Command understudy-conformance tests a running OAuth 2.0 server from outside: would its token exchange let somebody become somebody else who must not, or act unseen? Start
// with "understudy-conformance init", which writes a target file, and "understudy-conformance run"; "list" and "explain" say what is tried and why. What it tries, and what
// its findings mean, is in package conformance; it registers nothing at the server, and changes nothing for good unless it is told that it may.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal asks for the report of what was done, the second kills
	code := newApp().run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
