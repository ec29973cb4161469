package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// userColumns are those of app_user under an alias, and end with the groups, in the order in which they were given.
func userColumns(u string) string {
	return fmt.Sprintf(`%[1]s.id, %[1]s.email, %[1]s.name, %[1]s.organisation, %[1]s.roles, %[1]s.attributes, %[1]s.enabled, %[1]s.protected,
		%[1]s.totp IS NOT NULL, %[1]s.created_at, %[1]s.updated_at, %[1]s.last_sign_in_at,
		(SELECT jsonb_agg(g.name ORDER BY g.position) FROM user_group g WHERE g.user_id = %[1]s.id)`, u)
}

var (
	selectUser        = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = $1`
	selectUserByEmail = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.email_key = $1`
)

const (
	insertUser = `INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected,
		created_at, updated_at, last_sign_in_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

	updateUser = `UPDATE app_user SET email = $2, email_key = $3, name = $4, search_key = $5, organisation = $6, roles = $7, attributes = $8,
		enabled = $9, protected = $10, updated_at = $11 WHERE id = $1 AND ($12::bigint IS NULL OR updated_at = $12)`

	// lockUser comes before all else that changes a user or signs them in: each then sees what the other has done.
	lockUser = `SELECT organisation FROM app_user WHERE id = $1 FOR NO KEY UPDATE`

	// selectOrganisations goes by the versions, of which each organisation has one since its first user, and looks for one user
	// of each: EXISTS could become a join with all users.
	selectOrganisations = `SELECT v.organisation FROM authz_version v WHERE v.organisation <> ''
		AND (SELECT u.organisation FROM app_user u WHERE u.organisation = v.organisation LIMIT 1) IS NOT NULL ORDER BY v.organisation`

	deleteGroups = `DELETE FROM user_group WHERE user_id = $1`
	insertGroups = `INSERT INTO user_group (user_id, name, position) SELECT $1, g.name, g.ord FROM unnest($2::text[]) WITH ORDINALITY AS g(name, ord)
		ORDER BY g.ord ON CONFLICT DO NOTHING`

	selectCredentials = `SELECT password, totp FROM app_user WHERE id = $1`
	updatePassword    = `UPDATE app_user SET password = $1 WHERE id = $2`
	updateTOTP        = `UPDATE app_user SET totp = $1 WHERE id = $2`
	updateFirstTOTP   = `UPDATE app_user SET totp = $1 WHERE id = $2 AND totp IS NULL
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = $3 AND l.user_id = app_user.id AND l.ended_at IS NULL)`

	// Many rows are locked in order first, and then found by their keys as an array: a subquery could become a join with all.
	endUserLogins = `UPDATE login SET ended_at = $1 WHERE id = ANY (ARRAY(
		SELECT id FROM login WHERE user_id = $2 AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE))`
	revokeUserGrant = `UPDATE oauth_grant SET revoked_at = $1 WHERE id = ANY (ARRAY(
		SELECT id FROM oauth_grant WHERE user_id = $2 AND revoked_at IS NULL ORDER BY id FOR NO KEY UPDATE))`
	lockUserLogins = `SELECT 1 FROM login WHERE user_id = $1 AND ended_at IS NULL ORDER BY id FOR NO KEY UPDATE`
)

// folded is text as it is compared: without case, in every script that has one.
func folded(s string) string { return strings.ToLower(s) }

func userDest(u *directory.User) []any {
	return []any{text(&u.ID), text(&u.Email), text(&u.Name), text(&u.Organisation), items{&u.Roles}, pairs{&u.Attributes}, flag{&u.Enabled},
		flag{&u.Protected}, flag{&u.SecondFactor}, at{&u.Created}, at{&u.Updated}, at{&u.LastSignIn}, items{&u.Groups}}
}

// CreateUser implements store.Users.
func (s *Store) CreateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("creating a user", err)
	}
	return s.update(ctx, "creating a user", func(ctx context.Context, t *tx) error {
		u := w.User
		if _, err := exec(ctx, t, insertUser, u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles),
			mapping(u.Attributes), u.Enabled, u.Protected, ms(u.Created), ms(u.Updated), ms(u.LastSignIn)); err != nil {
			return exists(err)
		}
		return t.changedUser(ctx, w, u.Organisation)
	})
}

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("changing a user", err)
	}
	return s.update(ctx, "changing a user", func(ctx context.Context, t *tx) error {
		u := w.User
		var before string
		if err := row(ctx, t, lockUser, []any{u.ID}, []any{&before}); err != nil {
			return missing(err)
		}
		n, err := exec(ctx, t, updateUser, u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles),
			mapping(u.Attributes), u.Enabled, u.Protected, ms(u.Updated), ms(w.Was))
		if err != nil {
			return exists(err)
		}
		if n == 0 {
			return impersonation.ErrChanged
		}
		return t.changedUser(ctx, w, before, u.Organisation)
	})
}

// changedUser does what every change of a user brings with it.
func (t *tx) changedUser(ctx context.Context, w store.UserWrite, organisations ...string) error {
	if _, err := exec(ctx, t, deleteGroups, w.User.ID); err != nil {
		return err
	}
	if _, err := exec(ctx, t, insertGroups, w.User.ID, w.User.Groups); err != nil {
		return err
	}
	if err := t.bump(ctx, organisations...); err != nil {
		return err
	}
	return t.endFor(ctx, w.Write, w.User.ID, w.Ends, w.EndLogins)
}

// endFor ends what a change of user names, and records the change's entries.
func (t *tx) endFor(ctx context.Context, w impersonation.Write, userID string, ends []impersonation.EndWrite, logins bool) error {
	if logins {
		if _, err := exec(ctx, t, lockUserLogins, userID); err != nil {
			return err
		}
		for _, q := range []string{noticeUser, endUserLogins, revokeUserGrant} {
			if _, err := exec(ctx, t, q, w.Now.UnixMilli(), userID); err != nil {
				return err
			}
		}
	}
	for _, e := range ends {
		e.Write = impersonation.Write{RequestID: w.RequestID, Now: w.Now}
		if _, err := t.end(ctx, e); err != nil {
			return err
		}
	}
	t.record(w.Entries, w.Events)
	return nil
}

// Credentials implements store.Users.
func (s *Store) Credentials(ctx context.Context, userID string) (out store.Credentials, err error) {
	err = s.single(ctx, "reading credentials", func(ctx context.Context, q querier) error {
		return row(ctx, q, selectCredentials, []any{userID}, []any{&out.Password, &out.TOTP})
	})
	return out, err
}

// SetCredentials implements store.Users.
func (s *Store) SetCredentials(ctx context.Context, w store.CredentialsWrite) error {
	return s.update(ctx, "setting credentials", func(ctx context.Context, t *tx) error {
		var organisation string
		if err := row(ctx, t, lockUser, []any{w.UserID}, []any{&organisation}); err != nil {
			return missing(err)
		}
		if err := t.setCredentials(ctx, w); err != nil {
			return err
		}
		if err := t.bump(ctx, organisation); err != nil {
			return err
		}
		return t.endFor(ctx, w.Write, w.UserID, w.Ends, w.EndLogins)
	})
}

func (t *tx) setCredentials(ctx context.Context, w store.CredentialsWrite) error {
	if w.Password != nil {
		if _, err := exec(ctx, t, updatePassword, *w.Password, w.UserID); err != nil {
			return err
		}
	}
	if w.TOTP == nil {
		return nil
	}
	query, args := updateTOTP, []any{blobOrNull(*w.TOTP), w.UserID}
	if w.FirstBy != "" {
		query, args = updateFirstTOTP, append(args, w.FirstBy)
	}
	n, err := exec(ctx, t, query, args...)
	if err == nil && n == 0 {
		return impersonation.ErrChanged
	}
	return err
}

// Organisations implements store.Users.
func (s *Store) Organisations(ctx context.Context) (out []string, err error) {
	err = s.single(ctx, "listing organisations", func(ctx context.Context, q querier) error {
		out = nil
		return each(ctx, q, selectOrganisations, nil, func(r pgx.Rows) error {
			var name string
			err := r.Scan(&name)
			out = append(out, name)
			return err
		})
	})
	return out, err
}
