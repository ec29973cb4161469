package server

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// askAtOnce is how many questions an issuer gets at a time: at 50 ms each that is some 5,000 sessions every 30 seconds.
	askAtOnce = 8
	// askLease is how long a question may take with what is written of its answer; then it may be asked again, here or by another server.
	// It is also when an issuer that gave no answer is asked again: seven times before the session ends.
	askLease = 10 * time.Second
)

// asker asks one issuer about the tokens of the sessions that live by them (RFC 7662). Each issuer has its own, so that one that is slow
// delays nobody but itself. Who is to be asked about says the store: what is under way when a server dies is asked again.
type asker struct {
	s       *Server
	trust   *trustedIssuer
	room    chan struct{} // has a value for each question that is under way
	trouble rate.Sometimes
}

// newAskers are those of the issuers that can be asked.
func newAskers(s *Server) (all []*asker) {
	for _, t := range s.trusted {
		if t.Introspects() {
			all = append(all, &asker{s: s, trust: t, room: make(chan struct{}, askAtOnce), trouble: rate.Sometimes{Interval: 10 * time.Second}})
		}
	}
	return all
}

// purposeAsked binds a sealed token to its session.
func purposeAsked(session string) string { return "foreign token of " + session }

// run asks until ctx ends, and returns when nothing is under way any more.
func (a *asker) run(ctx context.Context) {
	var asking sync.WaitGroup
	defer asking.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for a.begin(ctx, &asking) {
		}
	}
}

// begin asks what there is room for, and reports whether there was room and that was anything.
func (a *asker) begin(ctx context.Context, asking *sync.WaitGroup) bool {
	now, room := a.s.clock(), askAtOnce-len(a.room)
	if room == 0 || ctx.Err() != nil {
		return false
	}
	due, err := a.s.store.LeaseAsked(ctx, a.trust.Issuer(), now, now.Add(askLease), room)
	if err != nil {
		a.warn(ctx, "looking for sessions to ask an issuer about failed", err)
		return false
	}
	for _, one := range due {
		a.room <- struct{}{}
		asking.Go(func() {
			defer func() { <-a.room }()
			if err := a.ask(ctx, one); err != nil {
				a.warn(ctx, "a trusted issuer does not say whether a token is still good: its sessions will end", err)
			}
		})
	}
	return len(due) > 0
}

func (a *asker) warn(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		a.trouble.Do(func() { a.s.log.WarnContext(ctx, what, "issuer", a.trust.Issuer(), "error", err) })
	}
}

// ask asks once. A yes counts from when it was asked for; without an answer the rules end the session in their time.
func (a *asker) ask(ctx context.Context, one store.Asked) error {
	token, err := a.s.box.Open(purposeAsked(one.Session), one.Token)
	if err != nil {
		return fmt.Errorf("opening the token of a session: %w", err)
	}
	now := a.s.clock()
	active, err := a.trust.Active(ctx, oauth.Secret(token), one.Actor)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if active {
		return a.s.store.Heard(ctx, one.Session, now, now.Add(impersonation.AskEvery))
	}
	_, err = a.s.service.End(ctx, impersonation.EndRequest{
		Scope: impersonation.ScopeSession, ID: one.Session, Reason: impersonation.EndIssuer, Note: errNotActive.Error(),
	})
	return err
}
