package acme

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// account is what the app keeps of one person.
type account struct {
	rp.Person
	Plan     string
	Notices  string    // the address for notices, theirs to change
	LastSeen time.Time // UTC; zero: never
}

// errDeleted means that somebody deleted their account: it is gone, and is not made again by looking.
var errDeleted = &fault{410, "Account deleted", "This account and all that was in it are gone. Nothing of it is left to show."}

const (
	selectAccount = `SELECT sub, name, email, organisation, roles, plan, notices, last_seen_at FROM account WHERE sub = ?`
	listAccounts  = `SELECT sub, name, email, organisation, roles, plan, notices, last_seen_at FROM account ORDER BY name, email`
	selectDeleted = `SELECT count(*) FROM deleted_account WHERE sub = ?`
	insertAccount = `INSERT INTO account (sub, name, email, organisation, roles, plan, notices)
		SELECT ?1, ?2, ?3, ?4, ?5, 'Standard', ?3 WHERE NOT EXISTS (SELECT 1 FROM deleted_account WHERE sub = ?1)
		ON CONFLICT (sub) DO NOTHING`
	updateSeen    = `UPDATE account SET name = ?2, email = ?3, organisation = ?4, roles = ?5, last_seen_at = ?6 WHERE sub = ?1`
	updateNotices = `UPDATE account SET notices = ?2 WHERE sub = ?1`
	deleteAccount = `DELETE FROM account WHERE sub = ?`
	insertDeleted = `INSERT INTO deleted_account (sub) VALUES (?) ON CONFLICT DO NOTHING`
)

// seenEvery bounds how often a visit is written down.
const seenEvery = time.Minute

// see gives the account of p and makes it at first sight. "Last seen" moves only when they are there themselves: otherwise
// an administrator who looks would make it seem that the user had been here.
func (a *App) see(ctx context.Context, p rp.Person) (*account, error) {
	me, err := a.find(ctx, p.Subject)
	if errors.Is(err, sql.ErrNoRows) {
		if err := a.know(ctx, []rp.Person{p}); err != nil {
			return nil, err
		}
		me, err = a.find(ctx, p.Subject)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return nil, a.gone(ctx, p.Subject)
	}
	if err != nil || rp.Impersonating(ctx) {
		return me, err
	}
	return me, a.seen(ctx, me, p)
}

// gone is the reason why there is no account, and none could be made.
func (a *App) gone(ctx context.Context, sub string) error {
	var n int
	if err := a.db.QueryRowContext(ctx, selectDeleted, sub).Scan(&n); err != nil || n == 0 {
		return fmt.Errorf("no account of %s: %w", sub, err)
	}
	return errDeleted
}

// seen writes down that p was here, and what the issuer says of them today.
func (a *App) seen(ctx context.Context, me *account, p rp.Person) error {
	now := a.now().UTC().Truncate(time.Millisecond)
	same := me.Name == p.Name && me.Email == p.Email && me.Organisation == p.Organisation && slices.Equal(me.Roles, p.Roles)
	if same && now.Sub(me.LastSeen) < seenEvery {
		return nil
	}
	me.Person, me.LastSeen = p, now
	_, err := a.db.ExecContext(ctx, updateSeen, p.Subject, p.Name, p.Email, p.Organisation, strings.Join(p.Roles, " "), now.UnixMilli())
	return err
}

func (a *App) find(ctx context.Context, sub string) (*account, error) {
	return scanAccount(a.db.QueryRowContext(ctx, selectAccount, sub).Scan)
}

// accounts gives all of them, by name.
func (a *App) accounts(ctx context.Context) (all []*account, err error) {
	err = each(ctx, a.db, func(r *sql.Rows) error {
		one, err := scanAccount(r.Scan)
		all = append(all, one)
		return err
	}, listAccounts)
	return all, err
}

func scanAccount(scan func(...any) error) (*account, error) {
	a, roles, seen := new(account), "", sql.NullInt64{}
	if err := scan(&a.Subject, &a.Name, &a.Email, &a.Organisation, &roles, &a.Plan, &a.Notices, &seen); err != nil {
		return nil, err
	}
	a.Roles = strings.Fields(roles)
	if seen.Valid {
		a.LastSeen = time.UnixMilli(seen.Int64).UTC()
	}
	return a, nil
}

// know makes the accounts of people who have none, and what their organisations begin with.
func (a *App) know(ctx context.Context, people []rp.Person) error {
	err := inside(ctx, a.db, func(tx *sql.Tx) error {
		for _, p := range people {
			if _, err := tx.ExecContext(ctx, insertAccount, p.Subject, p.Name, p.Email, p.Organisation, strings.Join(p.Roles, " ")); err != nil {
				return err
			}
			if err := beginOrganisation(ctx, tx, p.Organisation); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("making accounts: %w", err)
	}
	return nil
}

// forget deletes an account with all that hangs on it. What stays is that this sub had one.
func (a *App) forget(ctx context.Context, sub string) error {
	return inside(ctx, a.db, func(tx *sql.Tx) error {
		_, err1 := tx.ExecContext(ctx, deleteAccount, sub)
		_, err2 := tx.ExecContext(ctx, insertDeleted, sub)
		return errors.Join(err1, err2)
	})
}
