package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// EndSessions ends the live sessions of scope and id, with id "" for the instance, and answers them; new ones can
// start. why is the operator's reason, 1 to policy.MaxReason characters. Nothing to end is no error; an id that
// nobody has is an *InvalidError. Each ended session has its own entry.
func (a *Admin) EndSessions(ctx context.Context, scope impersonation.EpochScope, id, why string) ([]impersonation.Ended, error) {
	if err := a.checkScope(ctx, scope, id); err != nil {
		return nil, err
	}
	if err := checkReason(why); err != nil {
		return nil, err
	}
	w := a.end(scope, id, impersonation.EndOperator)
	w.Note, w.Write = why, a.bare() // the store writes an entry for each session that ends
	ended, err := a.Store.End(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("ending sessions: %w", err)
	}
	a.logScope(ctx, fmt.Sprintf("ended %d sessions of", len(ended)), scope, id)
	return ended, nil
}

// Kill ends the live sessions of scope and id like EndSessions, and no new one starts there until Lift. It works on
// neither a session nor a login: those end, they cannot be kept from starting.
func (a *Admin) Kill(ctx context.Context, scope impersonation.EpochScope, id, why string) ([]impersonation.Ended, error) {
	if err := a.checkKill(ctx, scope, id, why); err != nil {
		return nil, err
	}
	w := a.end(scope, id, impersonation.EndKilled)
	w.Kill, w.Note = true, why
	w.Write = a.killWrite(audit.KindKill, scope, id, why)
	ended, err := a.Store.End(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("killing: %w", err)
	}
	a.logScope(ctx, fmt.Sprintf("killed, and ended %d sessions of,", len(ended)), scope, id)
	return ended, nil
}

// Lift takes back a Kill of the same scope and id: sessions can start again, ended ones stay ended. It reports
// whether there was such a kill; without one nothing is written.
func (a *Admin) Lift(ctx context.Context, scope impersonation.EpochScope, id, why string) (bool, error) {
	if err := checkReason(why); err != nil {
		return false, err
	}
	kills, err := a.Store.Kills(ctx)
	if err != nil {
		return false, fmt.Errorf("reading kills: %w", err)
	}
	on := func(k impersonation.Kill) bool { return k.Scope == scope && k.ID == id }
	if !slices.ContainsFunc(kills, on) {
		return false, nil
	}
	w := impersonation.LiftWrite{Write: a.killWrite(audit.KindLift, scope, id, why), Scope: scope, ID: id}
	if err := a.Store.Lift(ctx, w); err != nil {
		return false, fmt.Errorf("lifting: %w", err)
	}
	a.logScope(ctx, "lifted the kill of", scope, id)
	return true, nil
}

// killWrite carries the entry and the event of a kill or a lift.
func (a *Admin) killWrite(kind audit.Kind, scope impersonation.EpochScope, id, why string) impersonation.Write {
	w := a.write(kind, directory.User{}, func(e *audit.Entry) {
		e.Set("scope", string(scope))
		e.Set("id", id)
		e.SetPersonal("note", why)
	})
	ev := impersonation.Event{Kind: string(kind), Reason: string(scope), Time: w.Now}
	switch scope {
	case impersonation.ScopeActor:
		ev.Actor = id
	case impersonation.ScopeSubject:
		ev.Subject = id
	case impersonation.ScopeClient:
		ev.Client = id
	}
	w.Events = []impersonation.Event{ev}
	return w
}

func (a *Admin) checkKill(ctx context.Context, scope impersonation.EpochScope, id, why string) error {
	if scope == impersonation.ScopeSession || scope == impersonation.ScopeLogin {
		return invalid("scope", "a %s can be ended, not killed", scope)
	}
	if err := a.checkScope(ctx, scope, id); err != nil {
		return err
	}
	return checkReason(why)
}

// checkScope refuses an id that nobody has: a kill with a typing error would look done and reach nobody.
func (a *Admin) checkScope(ctx context.Context, scope impersonation.EpochScope, id string) error {
	err := a.findScope(ctx, scope, id)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, directory.ErrNotFound) || errors.Is(err, impersonation.ErrNotFound) {
		return invalid(string(scope), "there is no %q", id)
	}
	return err
}

func (a *Admin) findScope(ctx context.Context, scope impersonation.EpochScope, id string) (err error) {
	switch scope {
	case impersonation.ScopeInstance:
		if id != "" {
			return invalid("instance", "has no id")
		}
	case impersonation.ScopeClient:
		_, err = a.Store.Client(ctx, id)
	case impersonation.ScopeActor, impersonation.ScopeSubject:
		_, err = a.Store.Get(ctx, id)
	case impersonation.ScopeOrganisation:
		var all []string
		all, err = a.Store.Organisations(ctx)
		if err == nil && !slices.Contains(all, id) {
			return store.ErrNotFound
		}
	case impersonation.ScopeSession:
		_, err = a.Store.Session(ctx, id)
	case impersonation.ScopeLogin:
		_, err = a.Store.Login(ctx, id)
	default:
		return invalid("scope", "%q is none", scope)
	}
	return err
}

func checkReason(why string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(why)); n == 0 || n > policy.MaxReason {
		return invalid("reason", "must have 1 to %d characters", policy.MaxReason)
	}
	return nil
}

func (a *Admin) logScope(ctx context.Context, did string, scope impersonation.EpochScope, id string) {
	a.log(ctx, strings.TrimSpace(fmt.Sprintf("%s %s %s", did, scope, id)), slog.String("scope", string(scope)), slog.String("id", id))
}
