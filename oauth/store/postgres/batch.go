package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

var selectAmongUsers = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = ANY (ARRAY(SELECT unnest($1::text[])
		UNION SELECT e.id FROM app_user e WHERE e.email_key = ANY ($2::text[])
		UNION SELECT i.user_id FROM unnest($3::text[], $4::text[]) AS k(issuer, subject)
			CROSS JOIN LATERAL (SELECT user_id FROM user_identity WHERE issuer = k.issuer AND subject = k.subject OFFSET 0) i))
	ORDER BY u.id`

const selectGone = `SELECT id FROM user_gone WHERE id = ANY ($1::text[]) ORDER BY id`

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
	err = s.single(ctx, "looking for users", func(ctx context.Context, q querier) error {
		found, gone = nil, nil
		err := each(ctx, q, selectAmongUsers, []any{k.IDs, emails, issuers, subjects}, func(r pgx.Rows) error {
			var u directory.User
			err := r.Scan(userDest(&u)...)
			found = append(found, u)
			return err
		})
		if err != nil {
			return err
		}
		return each(ctx, q, selectGone, []any{k.IDs}, func(r pgx.Rows) error {
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
	for _, w := range writes {
		if err := store.CheckUser(w.User); err != nil {
			return failed("writing users", err)
		}
	}
	return s.update(ctx, "writing users", func(ctx context.Context, t *tx) error {
		organisations, err := t.putUsers(ctx, writes)
		if err != nil || len(writes) == 0 {
			return err
		}
		if err := t.bump(ctx, organisations...); err != nil {
			return err
		}
		for _, w := range writes {
			if err := t.endUser(ctx, w); err != nil {
				return err
			}
		}
		return nil
	})
}

// putUsers adds and replaces users, and gives the organisations that they are and were of. Those that are there are locked in their
// order, before anybody is added.
func (t *tx) putUsers(ctx context.Context, writes []store.UserWrite) (organisations []string, err error) {
	var ids []string
	var added []directory.User
	for _, w := range writes {
		organisations = append(organisations, w.User.Organisation)
		if w.Was.IsZero() {
			added = append(added, w.User)
		} else {
			ids = append(ids, w.User.ID)
		}
	}
	if _, err := exec(ctx, t, lockUsers, ids); err != nil {
		return nil, err
	}
	for _, w := range writes {
		if w.Was.IsZero() {
			continue
		}
		before, err := t.updateUser(ctx, w)
		if err != nil {
			return nil, err
		}
		organisations = append(organisations, before)
	}
	if len(added) == 0 {
		return organisations, nil
	}
	return organisations, t.insertUsers(ctx, added...)
}
