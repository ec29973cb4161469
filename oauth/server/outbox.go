package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// lookEvery is how often the outbox is read, once for all who wait: an end is known at once, whoever wrote it.
	lookEvery = 100 * time.Millisecond
	// lookAt is how many events are read at once.
	lookAt = 1000
	// recheckEvery is how often the sessions of who polls are held against what must still hold: an app that is told of ends asks about none,
	// and not every end is written down by who brings it about, such as a new policy. So old may an answer be that an app believes too.
	recheckEvery = 5 * time.Second
	// lookLimit is how long a look may take before nobody vouches by it.
	lookLimit = 4 * recheckEvery
	// outboxFor is how long an event is kept: what it tells of is over by then, whoever hears of it.
	outboxFor = 2 * longestSession
)

// outbox wakes those who wait for an event. It keeps none, and who wakes reads for themselves.
type outbox struct {
	s       *Server
	trouble rate.Sometimes

	mu      sync.Mutex
	stopped bool
	waiting map[string]chan struct{} // by client
	polled  map[string]time.Time     // when a client last was here, by a clock that nobody sets
	looks   map[string]time.Time     // since when all sessions of a client were last held against what must hold, or a client began to poll
}

func newOutbox(s *Server) *outbox {
	return &outbox{s: s, trouble: rate.Sometimes{Interval: 10 * time.Second}, waiting: make(map[string]chan struct{}), polled: make(map[string]time.Time), looks: make(map[string]time.Time)}
}

// next gives what is closed once something happens that concerns a client. Whoever then finds nothing in the store has missed nothing. Once
// nobody looks any longer there is nothing to wait for.
func (o *outbox) next(client string) (something <-chan struct{}, stopped bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.polled[client] = now
	if _, here := o.looks[client]; !here {
		o.looks[client] = now
	}
	c, ok := o.waiting[client]
	if !ok {
		c = make(chan struct{})
		o.waiting[client] = c
	}
	return c, o.stopped
}

func (o *outbox) stop(stopped bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.stopped = stopped
}

// wake wakes those who wait for one of clients, or everybody.
func (o *outbox) wake(clients map[string]bool, everybody bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for client, c := range o.waiting {
		if everybody || clients[client] {
			close(c)
			delete(o.waiting, client)
		}
	}
}

// run looks until ctx ends, and then nobody waits any longer.
func (o *outbox) run(ctx context.Context) {
	o.stop(false)
	defer func() { o.stop(true); o.wake(nil, true) }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	seen := int64(-1)
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var err error
		if seen, err = o.look(ctx, seen); err != nil && ctx.Err() == nil {
			o.trouble.Do(func() { o.s.log.WarnContext(ctx, "looking at what happened failed", "error", err) })
		}
	}
}

// look reads what happened after seen, or, where that is negative, only finds where to begin: whoever waits then wakes, for what was before.
func (o *outbox) look(ctx context.Context, seen int64) (int64, error) {
	if seen < 0 {
		end, err := o.s.store.OutboxEnd(ctx)
		if err != nil {
			return seen, err
		}
		o.wake(nil, true)
		return end, nil
	}
	for {
		page, err := o.s.store.Outbox(ctx, seen, lookAt)
		if err != nil || len(page) == 0 {
			return seen, err
		}
		clients, everybody := concerned(page)
		o.wake(clients, everybody)
		if seen = page[len(page)-1].Position; len(page) < lookAt {
			return seen, nil
		}
	}
}

// concerned gives the clients whose streams something of page tells, and whether a kill switch was moved, which may concern each.
func concerned(page []store.StoredEvent) (clients map[string]bool, everybody bool) {
	clients = make(map[string]bool)
	for _, e := range page {
		switch e.Kind {
		case "session.ended", store.EventVerify:
			clients[e.Client] = true
		case string(audit.KindKill), string(audit.KindLift):
			everybody = true
		}
	}
	return clients, everybody
}

// here gives the clients that polled within the last two rounds of recheck, and forgets the others.
func (o *outbox) here() (clients []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for client, last := range o.polled {
		if time.Since(last) < 2*recheckEvery+ssf.MaxWait {
			clients = append(clients, client)
		} else {
			delete(o.polled, client)
			delete(o.looks, client)
		}
	}
	return clients
}

// recheck ends what may not go on at the clients that poll here, until ctx ends.
func (o *outbox) recheck(ctx context.Context) {
	tick := time.NewTicker(recheckEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, client := range o.here() {
			began := time.Now()
			err := o.s.recheckAt(ctx, client)
			if err != nil {
				began = time.Time{}
			}
			o.looked(client, began)
			if err != nil && ctx.Err() == nil {
				o.trouble.Do(func() { o.s.log.WarnContext(ctx, "looking again at sessions failed", "client", client, "error", err) })
			}
		}
	}
}

// looked keeps since when all sessions of a client were seen: the zero time where the last look missed some.
func (o *outbox) looked(client string, since time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, here := o.looks[client]; here {
		o.looks[client] = since
	}
}

// looksAgain reports whether the looks at a client's sessions keep up.
func (o *outbox) looksAgain(client string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return time.Since(o.looks[client]) < lookLimit
}

// recheckAt is recheck for the sessions of one client. What fails for one of them keeps it from none of the others.
func (s *Server) recheckAt(ctx context.Context, client string) (failed error) {
	for after := ""; ; {
		page, next, err := s.store.Sessions(ctx, store.SessionQuery{Live: true, Now: s.clock(), Client: client, After: after, Limit: 1000})
		if err != nil {
			return err
		}
		for _, one := range page {
			if err := s.service.Recheck(ctx, one.ID); err != nil && failed == nil {
				failed = fmt.Errorf("session %s: %w", one.ID, err)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		if after = next; next == "" {
			return failed
		}
	}
}

// sweepOutbox forgets streams that nobody polls, and what is too old to be told.
func (s *Server) sweepOutbox(ctx context.Context) error {
	now := s.clock()
	if err := s.store.SweepStreams(ctx, now.Add(-streamLease)); err != nil {
		return err
	}
	const batch, most = 1000, 100
	for range most {
		n, err := s.store.SweepOutbox(ctx, now.Add(-outboxFor), batch)
		if err != nil || n < batch {
			return err
		}
	}
	return nil
}
