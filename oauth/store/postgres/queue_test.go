package postgres_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// A refresh that comes while somebody waits to put its client or its user out waits behind them, and then finds that they are: else one that
// never rests, of many logins at once, would keep them waiting until they give up.
func TestRefreshDoesNotOvertake(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"disabled user", "changed credentials", "removed client", "deleted user"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			untilMet(t, func(sc *scene) bool {
				first, second := sc.family("login-ann0"), sc.family(sc.login())
				before, after := refreshOf(first), refreshOf(second)
				before.Entries = []audit.Entry{audit.New(audit.KindReuse, now)} // so that it waits for the trail
				blocker, watcher := sc.connect(), sc.connect()
				sc.run(blocker, `BEGIN`)
				sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
				one := begin(func() error { return sc.store.Refresh(sc.Context(), before) })
				met := sc.waiting(watcher, 1, one)
				two := begin(func() error { return outsiders[name](sc.Context(), sc.other) })
				met = met && sc.waiting(watcher, 2, one)
				three := begin(func() error { return sc.store.Refresh(sc.Context(), after) })
				waits := met && sc.waiting(watcher, 3, three)
				sc.run(blocker, `COMMIT`)
				a, b, c := <-one, <-two, <-three
				if errors.Is(a, store.ErrUnavailable) || errors.Is(b, store.ErrUnavailable) || errors.Is(c, store.ErrUnavailable) || !met {
					return false
				}
				if a != nil || b != nil || !waits || c == nil {
					t.Errorf("got %v, %v and, of the refresh that came last, %v, where it waited: %v", a, b, c, waits)
				}
				return true
			})
		})
	}
}

// Nor does a start overtake a kill, on whichever replica: it waits behind it, and then does not happen.
func TestStartDoesNotOvertake(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"kill of everything", "removed client"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			untilMet(t, func(sc *scene) bool {
				if err := sc.store.Start(sc.Context(), startOf(loaded(sc, sc.store, ticketOf(sc, sc.store, 2)))); err != nil { // the epochs are there then
					sc.Fatal(err)
				}
				third := open(sc, postgres.Config{URL: sc.db.Application})
				before, after := sc.start(), startOf(loaded(sc, third, ticketOf(sc, third, 1)))
				blocker, watcher := sc.connect(), sc.connect()
				sc.run(blocker, `BEGIN`)
				sc.run(blocker, `SELECT 1 FROM installation FOR UPDATE`)
				one := begin(func() error { return sc.store.Start(sc.Context(), before) })
				met := sc.waiting(watcher, 1, one)
				two := begin(func() error { return enders[name](sc.Context(), sc.other) })
				met = met && sc.waiting(watcher, 2, one)
				three := begin(func() error { return third.Start(sc.Context(), after) })
				met = met && sc.waiting(watcher, 3, one)
				sc.run(blocker, `COMMIT`)
				a, b, c := <-one, <-two, <-three
				if errors.Is(a, store.ErrUnavailable) || errors.Is(b, store.ErrUnavailable) || errors.Is(c, store.ErrUnavailable) || !met {
					return false
				}
				if a != nil || b != nil || !errors.Is(c, impersonation.ErrChanged) && !errors.Is(c, impersonation.ErrSpent) { // a removal takes the tickets
					t.Errorf("got %v, %v and, of the start that came last, %v; want that it found the change", a, b, c)
				}
				return true
			})
		})
	}
}

// outsiders put ann0 or the client out.
var outsiders = map[string]func(context.Context, store.Store) error{
	"disabled user": func(ctx context.Context, s store.Store) error {
		u, err := s.Get(ctx, "ann0")
		if err != nil {
			return err
		}
		u.Enabled = false
		return s.UpdateUser(ctx, store.UserWrite{Write: impersonation.Write{Now: now}, User: u, EndLogins: true})
	},
	"changed credentials": enders["changed credentials"],
	"removed client":      enders["removed client"],
	"deleted user": func(ctx context.Context, s store.Store) error {
		return s.DeleteUser(ctx, store.UserWrite{Write: impersonation.Write{Now: now}, User: directory.User{ID: "ann0"}, EndLogins: true})
	},
}

// login signs ann0 in once more.
func (sc *scene) login() string {
	sc.Helper()
	l := impersonation.Login{ID: oauth.NewID("lgn"), User: "ann0", AuthTime: now, Created: now, LastUsed: now, Expires: now.Add(8 * time.Hour)}
	if err := sc.store.CreateLogin(sc.Context(), store.LoginWrite{Write: impersonation.Write{Now: now}, Login: l, Cookie: oauth.NewSecret().Hash()}); err != nil {
		sc.Fatal(err)
	}
	return l.ID
}

// family is a grant to ann0 with a refresh token.
func (sc *scene) family(login string) store.Grant {
	sc.Helper()
	g := store.Grant{
		ID: oauth.NewID("grt"), Client: "app", User: "ann0", Login: login, Scope: []string{"openid"}, Created: now, JTI: oauth.NewID("tok"), Issued: now,
		Expires: now.Add(time.Minute), RefreshHash: oauth.NewSecret().Hash(), RefreshExpires: now.Add(time.Hour),
	}
	g.Family = g.ID
	if err := sc.store.CreateGrant(sc.Context(), g); err != nil {
		sc.Fatal(err)
	}
	return g
}

// refreshOf goes on from g.
func refreshOf(g store.Grant) store.RefreshWrite {
	next := g
	next.ID, next.JTI, next.RefreshHash = oauth.NewID("grt"), oauth.NewID("tok"), oauth.NewSecret().Hash()
	return store.RefreshWrite{Write: impersonation.Write{Now: now}, Refresh: g.RefreshHash, Next: next}
}
