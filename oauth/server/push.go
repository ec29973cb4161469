package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// findEvery is how often the registrations are looked at for who is pushed to.
	findEvery = time.Second
	// pushIdle is how long nothing is looked for where nothing was said to have happened: shorter than what outbox.here takes for gone.
	pushIdle = 2 * recheckEvery
	// pushAtOnce is how many SETs are read at once.
	pushAtOnce = 10
)

// pusher pushes SETs to the clients that are registered for it (RFC 8935): to each one after the other, in their order, by one server at a
// time. What is not acknowledged stays behind the cursor of the stream, and comes again, with the same jti.
type pusher struct {
	s         *Server
	http      *http.Client
	receivers *receivers
	trouble   rate.Sometimes
}

func newPusher(s *Server, c *http.Client) *pusher {
	return &pusher{s: s, http: c, receivers: newReceivers(), trouble: rate.Sometimes{Interval: 10 * time.Second}}
}

// run keeps one goroutine for each client that is registered, until ctx ends.
func (p *pusher) run(ctx context.Context) {
	var pushing sync.WaitGroup
	defer pushing.Wait()
	under := make(map[string]context.CancelFunc)
	tick := time.NewTicker(findEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		registered, err := p.registered(ctx)
		if err != nil {
			p.complain(ctx, "", err)
			continue
		}
		for client, stop := range under {
			if !registered[client] {
				stop()
				delete(under, client)
			}
		}
		for client := range registered {
			if under[client] == nil {
				c, stop := context.WithCancel(ctx)
				under[client] = stop
				pushing.Go(func() { p.serve(c, client) })
			}
		}
	}
}

// registered gives the clients to push to, and closes the streams of those that are so no longer.
func (p *pusher) registered(ctx context.Context) (map[string]bool, error) {
	out := make(map[string]bool)
	clients, err := p.s.store.ListClients(ctx)
	for _, c := range clients {
		if c.Settings.PushURI != "" && !c.Public {
			out[c.ID] = true
		}
	}
	if err != nil {
		return nil, err
	}
	streams, err := p.s.store.Streams(ctx, "")
	for _, n := range streams {
		if n.Push && !out[n.Client] {
			err = errors.Join(err, p.s.store.CloseStream(ctx, n.ID, impersonation.Write{Now: p.s.clock()}))
		}
	}
	return out, err
}

func (p *pusher) complain(ctx context.Context, client string, err error) {
	if ctx.Err() == nil {
		p.trouble.Do(func() { p.s.log.WarnContext(ctx, "pushing events failed", "client", client, "error", err) })
	}
}

// serve pushes to one client until ctx ends.
func (p *pusher) serve(ctx context.Context, client string) {
	for {
		something, _ := p.s.outbox.next(client) // before the look that may find nothing
		wait, err := p.push(ctx, client)
		if err != nil {
			p.complain(ctx, client, err)
			wait = time.Second
		}
		timer := time.NewTimer(pushIdle)
		if wait > 0 {
			timer.Reset(wait)
			something = nil // who failed is left alone, whatever happens
		}
		select {
		case <-ctx.Done():
		case <-something:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// pushStreamID is that of the one stream of a client that is pushed: whichever server opens it.
func pushStreamID(client string) string { return "psh_" + client }

// push tells a client what it has not heard, and says how long to leave it alone, 0 for as long as nothing happens.
func (p *pusher) push(ctx context.Context, client string) (wait time.Duration, err error) {
	now := p.s.clock()
	n, err := p.stream(ctx, client, now)
	switch {
	case err != nil:
		return 0, err
	case n.Status != string(ssf.Enabled):
		return 0, nil
	case n.Polled.After(now): // another server is at work with it
		return n.Polled.Sub(now), nil
	}
	events, err := p.s.store.ToTell(ctx, n, tellsEnds(n), pushAtOnce)
	if err != nil || len(events) == 0 && !n.Cursor.Fresh {
		return 0, err
	}
	until := now.Add(tellLease)
	if err := p.s.store.LeaseStream(ctx, n.ID, n.Polled, until); err != nil {
		return time.Second, gone(ignore(err, impersonation.ErrChanged))
	}
	left, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second+tellWithin)
	defer cancel()
	wait, err = p.each(ctx, &n, events, until)
	// A server that ends gives the stream to another at once.
	return wait, errors.Join(err, ignore(p.s.store.LeaseStream(left, n.ID, until, p.s.clock()), impersonation.ErrChanged))
}

func ignore(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// stream finds the stream of a client, or opens it.
func (p *pusher) stream(ctx context.Context, client string, now time.Time) (store.Stream, error) {
	n, err := p.s.store.Stream(ctx, pushStreamID(client))
	if !errors.Is(err, store.ErrNotFound) {
		return n, err
	}
	n, err = p.s.store.OpenStream(ctx, store.Stream{ID: pushStreamID(client), Client: client, Status: string(ssf.Enabled), Events: ssf.Events(), Created: now, Push: true}, now, 0)
	if errors.Is(err, store.ErrExists) { // another server was first
		return p.s.store.Stream(ctx, pushStreamID(client))
	}
	return n, err
}

// each pushes events until one fails or the lease is nearly over, and moves the cursor behind each that need not come again.
func (p *pusher) each(ctx context.Context, n *store.Stream, events []store.Telling, until time.Time) (wait time.Duration, err error) {
	if n.Cursor.Fresh { // it was disabled: there is no snapshot to push
		end, err := p.s.store.OutboxEnd(ctx)
		if err != nil {
			return 0, err
		}
		return time.Millisecond, p.move(ctx, n, store.Cursor{Position: end}, until)
	}
	for _, e := range events {
		now := p.s.clock()
		if now.Add(tellWithin).After(until) || ctx.Err() != nil {
			break
		}
		again, err := p.tell(ctx, n.Client, e)
		if again > 0 || err != nil {
			return again, err
		}
		if err := p.move(ctx, n, store.Cursor{Position: e.Position}, until); err != nil {
			return 0, err
		}
	}
	return time.Millisecond, nil // there may be more
}

func (p *pusher) move(ctx context.Context, n *store.Stream, to store.Cursor, until time.Time) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // what was acknowledged is not sent again
	defer cancel()
	err := p.s.store.MoveStream(ctx, n.ID, n.Cursor, to, until)
	if err == nil {
		n.Cursor = to
	}
	return err
}

// tell pushes one SET. again is when to try once more, 0 for never.
func (p *pusher) tell(ctx context.Context, client string, e store.Telling) (again time.Duration, err error) {
	status, err := p.post(ctx, client, e)
	now := p.s.clock()
	switch {
	case err == nil && status == http.StatusAccepted:
		p.receivers.reached(client)
		return 0, nil
	case err == nil && status == http.StatusBadRequest:
		// RFC 8935 §2.3: it understood and will not. To say it again would change nothing, and keep it from what comes after.
		p.s.log.WarnContext(ctx, "a receiver refused a SET", "client", client, "session", e.Session)
		p.receivers.reached(client)
		return 0, nil
	case ctx.Err() != nil:
		return time.Millisecond, nil
	}
	until, first := p.receivers.failed(client, now)
	if now.Sub(e.Time) >= tellFor {
		p.s.log.WarnContext(ctx, "a receiver was not told of an end; giving up", "client", client, "session", e.Session, "status", status, "error", err)
		return 0, nil
	}
	if first {
		p.s.log.WarnContext(ctx, "a receiver cannot be told of an end; trying again", "client", client, "session", e.Session, "status", status, "error", err)
	}
	return max(until.Sub(now), time.Millisecond), nil
}

var errPushURI = errors.New("the client's ssf_push_uri must be https, or on loopback http where the issuer is too")

// post pushes a SET and gives the status of the answer.
func (p *pusher) post(ctx context.Context, client string, e store.Telling) (status int, err error) {
	c, err := p.s.store.Client(ctx, client)
	if err != nil {
		return 0, fmt.Errorf("reading the client: %w", err)
	}
	if !p.s.postsTo(c.Settings.PushURI) {
		return 0, errPushURI
	}
	_, set, err := p.s.set(client, e)
	if err != nil {
		return 0, err
	}
	return post(ctx, p.http, c.Settings.PushURI, http.Header{"Content-Type": {ssf.TypeSET}, "Accept": {"application/json"}}, set)
}
