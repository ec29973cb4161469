package sqlite

import (
	"context"
	"database/sql"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	selectAmongUsers = `SELECT ` + userColumns + ` FROM app_user WHERE id IN (SELECT value FROM json_each(?1)
			UNION SELECT e.id FROM json_each(?2) k CROSS JOIN app_user e ON e.email_key = k.value
			UNION SELECT i.user_id FROM json_each(?3) s CROSS JOIN json_each(?4) j ON j.key = s.key CROSS JOIN user_identity i ON i.issuer = s.value AND i.subject = j.value)
		ORDER BY id`
	selectGone = `SELECT id FROM user_gone WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id`
)

// AmongUsers implements store.Users.
func (s *Store) AmongUsers(ctx context.Context, k store.UserKeys) (found []directory.User, gone []string, err error) {
	emails := make([]string, len(k.Emails))
	for i, e := range k.Emails {
		emails[i] = folded(e)
	}
	var issuers, subjects []string
	for _, p := range k.Identities {
		issuers, subjects = append(issuers, p.Issuer), append(subjects, p.Subject)
	}
	err = s.list(ctx, "looking for users", func(ctx context.Context, c *conn) error {
		err := c.each(ctx, selectAmongUsers, []any{list(k.IDs), list(emails), list(issuers), list(subjects)}, func(r *sql.Rows) error {
			var u directory.User
			err := r.Scan(userDest(&u)...)
			found = append(found, u)
			return err
		})
		if err != nil {
			return err
		}
		return c.each(ctx, selectGone, []any{list(k.IDs)}, func(r *sql.Rows) error {
			var id string
			err := r.Scan(&id)
			gone = append(gone, id)
			return err
		})
	})
	return found, gone, err
}

// PutUsers implements store.Users.
func (s *Store) PutUsers(ctx context.Context, writes []store.UserWrite) error {
	urgent := false
	for _, w := range writes {
		if err := store.CheckUser(w.User); err != nil {
			return failed("writing users", err)
		}
		urgent = urgent || len(w.Ends) > 0 || w.EndLogins || w.EndConsents
	}
	return s.updateMaybe(ctx, urgent, "writing users", func(ctx context.Context, c *conn) error {
		var organisations []string
		for _, w := range writes {
			before, err := c.putUser(ctx, w)
			if err != nil {
				return err
			}
			organisations = append(organisations, before, w.User.Organisation)
		}
		if err := c.bumpAll(ctx, organisations); err != nil {
			return err
		}
		for _, w := range writes {
			if err := c.endUser(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// putUser adds or replaces a user, and gives the organisation that they were of before, if any.
func (c *conn) putUser(ctx context.Context, w store.UserWrite) (before string, err error) {
	if w.Was.IsZero() {
		return w.User.Organisation, c.insertUser(ctx, w.User)
	}
	return c.updateUser(ctx, w)
}
