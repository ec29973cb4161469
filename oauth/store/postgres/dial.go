package postgres

import (
	"context"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// farewell is how long a connection may take to end. When a call gives up, the driver asks the server, on another connection, to
// cancel, and then waits for it to hang up; all the while the place in the pool is taken: for fifteen seconds each where the network
// swallows everything, if it were left to the driver.
const farewell = time.Second

// pingWithin is how long a connection that was not used for a second may take to show that it is still one. It is well above
// any way there and back, and a full pool of dead ones is seen through within patience.
const pingWithin = 500 * time.Millisecond

// longestMessage is more than any row of ours has, in bytes. Whoever announces more is not Postgres, and is not waited for with that
// much memory.
const longestMessage = 16 << 20

// impatient gives connections that end within farewell.
func impatient(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		within := patience
		end, bounded := ctx.Deadline()
		cancels := bounded && time.Until(end) > patience // no call of ours has that much
		if cancels {
			within = farewell
		}
		ctx, stop := context.WithTimeout(ctx, within)
		defer stop()
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		if cancels {
			c.SetDeadline(time.Now().Add(farewell)) // fails on a closed connection only
		}
		return leaving{c}, nil
	}
}

// leaving is a connection that cannot wait for longer than farewell once it waits for a set time.
type leaving struct{ net.Conn }

// SetDeadline is called by the driver for an end: everything else is bounded by contexts.
func (c leaving) SetDeadline(t time.Time) error {
	if most := time.Now().Add(farewell); t.After(most) {
		t = most
	}
	return c.Conn.SetDeadline(t)
}
