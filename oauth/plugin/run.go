package plugin

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// Active tells whether a session may go on, by asking again all that was asked at its start, with the people as the provider has them now. nil and no
// error means that it may not; an error means that nobody knows, and then nobody may vouch for it. The provider's introspection asks it already; it is for
// what looks at a sid elsewhere.
func (p *Plugin) Active(ctx context.Context, sid string) (*impersonation.Live, error) {
	live, err := p.service.Alive(ctx, sid)
	if err != nil || live == nil {
		return nil, err
	}
	if err := p.voucher.Vouch(ctx); err != nil {
		return nil, err
	}
	return live, nil
}

// End ends sessions and answers those that it ended, none being no error. The provider calls it from its sign-out, with impersonation.ScopeLogin, the ID
// of the login and impersonation.EndSignedOut. An r without RequestID gets one. The kill switch is the command line's: understudy session kill.
func (p *Plugin) End(ctx context.Context, r impersonation.EndRequest) ([]impersonation.Ended, error) {
	if r.RequestID == "" {
		r.RequestID = p.cfg.RequestID(ctx)
	}
	return p.service.End(ctx, r)
}

// Changed is what the provider calls after it has changed or disabled a user: every living session of theirs, as subject or as actor, is asked again now, and
// ended if it would no longer be allowed. Without the call that happens at its next introspection.
func (p *Plugin) Changed(ctx context.Context, userID string) error {
	if userID == "" {
		return nil
	}
	return errors.Join(
		p.askAgain(ctx, store.SessionQuery{Actor: userID}),
		p.askAgain(ctx, store.SessionQuery{Subject: userID}),
	)
}

func (p *Plugin) askAgain(ctx context.Context, q store.SessionQuery) error {
	q.Live, q.Now, q.Limit = true, p.clock(), 1000
	for {
		page, next, err := p.cfg.Store.Sessions(ctx, q)
		if err != nil {
			return err
		}
		for _, session := range page {
			if _, err := p.service.Alive(ctx, session.ID); err != nil {
				return err
			}
		}
		if next == "" {
			return nil
		}
		q.After = next
	}
}

// Run ends sessions whose time is up, writes the folded refusals and deletes what is long over, until ctx ends; then it writes the last folded refusals. It
// returns nil when ctx ended. Without it no token lives longer, but the trail learns late of an end. One process over a Store is enough.
func (p *Plugin) Run(ctx context.Context) error {
	second, minute := time.NewTicker(time.Second), time.NewTicker(time.Minute)
	defer second.Stop()
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			p.service.Flush(last, true)
			return nil
		case <-second.C:
			p.service.Flush(ctx, false)
			if _, err := p.service.Sweep(ctx); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "sweeping sessions failed", "error", err)
			}
		case <-minute.C:
			// A day of grace, so that a token that comes too late is still known to have been used.
			if err := p.cfg.Store.Sweep(ctx, p.clock().Add(-24*time.Hour), 10_000); err != nil && ctx.Err() == nil {
				p.log.WarnContext(ctx, "sweeping the store failed", "error", err)
			}
		}
	}
}

// clock is now in whole milliseconds, UTC.
func (p *Plugin) clock() time.Time { return p.cfg.Now().UTC().Truncate(time.Millisecond) }

// putPolicy keeps the rules that entries of the trail name.
func (p *Plugin) putPolicy(ctx context.Context) error {
	now, rules := p.clock(), p.cfg.Rules
	e := audit.New(audit.KindPolicy, now)
	e.Actor.Issuer, e.Actor.Subject, e.Policy = "cli", "plugin", rules.Version()
	_, err := p.cfg.Store.PutPolicy(ctx, rules.Version(), rules.Document(), impersonation.Write{Entries: []audit.Entry{e}, Now: now})
	return err
}
