package rp

import (
	"context"
	"net"
)

// tied is a connection that ends with what it was taken over in.
type tied struct {
	net.Conn
	stop context.CancelCauseFunc
}

// Close closes the connection, and ends the watch over it.
func (t *tied) Close() error {
	defer t.stop(context.Canceled)
	return t.Conn.Close()
}

// bind closes c when what t depends on is over, or when nobody can tell whether it is, or ctx is: what goes over it is neither seen nor recorded.
func bind(ctx context.Context, c net.Conn, t *tie) net.Conn {
	ctx, stop := context.WithCancelCause(ctx)
	b := &tied{c, stop}
	go func() {
		t.watch(ctx, stop)
		_ = b.Close() // whoever took it may have done so before
	}()
	return b
}
