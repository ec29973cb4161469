package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// userColumns are those of app_user under an alias, and end with the groups, in the order in which they were given, and the
// identities, each as issuer, space, subject.
func userColumns(u string) string {
	return fmt.Sprintf(`%[1]s.id, %[1]s.email, %[1]s.name, %[1]s.organisation, %[1]s.roles, %[1]s.attributes, %[1]s.enabled, %[1]s.protected,
		%[1]s.totp IS NOT NULL, %[1]s.created_at, %[1]s.updated_at, %[1]s.last_sign_in_at,
		%[1]s.source, %[1]s.user_name, %[1]s.external_id, %[1]s.disabled_by,
		(SELECT jsonb_agg(g.name ORDER BY g.position) FROM user_group g WHERE g.user_id = %[1]s.id),
		(SELECT jsonb_agg(i.issuer || ' ' || i.subject ORDER BY i.issuer) FROM user_identity i WHERE i.user_id = %[1]s.id)`, u)
}

var (
	selectUser           = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = $1`
	selectUserByEmail    = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.email_key = $1`
	selectUserByIdentity = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = (SELECT user_id FROM user_identity WHERE issuer = $1 AND subject = $2)`
)

const (
	newUserColumns = `id text, email text, email_key text, name text, search_key text, organisation text, roles jsonb, attributes jsonb, enabled boolean,
		protected boolean, created_at bigint, updated_at bigint, last_sign_in_at bigint, source text, user_name text, user_name_key text, external_id text, disabled_by text`
	groupColumns    = `user_id text, name text, position integer`
	identityColumns = `issuer text, subject text, user_id text`
)

var (
	// insertUsers leaves out an ID that is not free again, by a scalar: EXISTS could become a join with all that are gone.
	insertUsers = `INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected,
		created_at, updated_at, last_sign_in_at, source, user_name, user_name_key, external_id, disabled_by)
		SELECT u.id, u.email, u.email_key, u.name, u.search_key, u.organisation, u.roles, u.attributes, u.enabled, u.protected,
		u.created_at, u.updated_at, u.last_sign_in_at, u.source, u.user_name, u.user_name_key, u.external_id, u.disabled_by
		FROM ` + unnested("u", newUserColumns, 1) + ` WHERE (SELECT true FROM user_gone x WHERE x.id = u.id) IS NULL ORDER BY u.id`

	insertGroups = `INSERT INTO user_group (user_id, name, position) SELECT g.user_id, g.name, g.position FROM ` + unnested("g", groupColumns, 1) + `
		ORDER BY g.ord ON CONFLICT DO NOTHING`

	insertIdentities = `INSERT INTO user_identity (issuer, subject, user_id) SELECT i.issuer, i.subject, i.user_id FROM ` + unnested("i", identityColumns, 1) + `
		ORDER BY i.issuer, i.subject`
)

const (
	updateUser = `UPDATE app_user SET email = $2, email_key = $3, name = $4, search_key = $5, organisation = $6, roles = $7, attributes = $8,
		enabled = $9, protected = $10, updated_at = $11, source = $13, user_name = $14, user_name_key = $15, external_id = $16, disabled_by = $17
		WHERE id = $1 AND ($12::bigint IS NULL OR updated_at = $12)`

	deleteUser = `DELETE FROM app_user WHERE id = $1 AND ($2::bigint IS NULL OR updated_at = $2)`
	insertGone = `INSERT INTO user_gone (id, gone_at) VALUES ($1, $2)`

	revokeUserConsents = `UPDATE consent SET revoked_at = coalesce(revoked_at, $1) WHERE id = ANY (ARRAY(
		SELECT id FROM consent WHERE id = ANY (ARRAY(SELECT id FROM consent WHERE subject = $2 AND revoked_at IS NULL
			UNION ALL SELECT id FROM consent WHERE actor = $2 AND revoked_at IS NULL)) ORDER BY id FOR NO KEY UPDATE))`

	// lockUser comes before all else that changes a user or signs them in: each then sees what the other has done.
	lockUser  = `SELECT organisation FROM app_user WHERE id = $1 FOR NO KEY UPDATE`
	lockUsers = `SELECT 1 FROM app_user WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE`

	// selectOrganisations goes by the versions, of which each organisation has one since its first user, and looks for one user
	// of each: EXISTS could become a join with all users.
	selectOrganisations = `SELECT v.organisation FROM authz_version v WHERE v.organisation <> ''
		AND (SELECT u.organisation FROM app_user u WHERE u.organisation = v.organisation LIMIT 1) IS NOT NULL ORDER BY v.organisation`

	deleteGroups     = `DELETE FROM user_group WHERE user_id = $1`
	deleteIdentities = `DELETE FROM user_identity WHERE user_id = $1`

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
		flag{&u.Protected}, flag{&u.SecondFactor}, at{&u.Created}, at{&u.Updated}, at{&u.LastSignIn}, text(&u.Source), text(&u.UserName),
		text(&u.ExternalID), text(&u.DisabledBy), items{&u.Groups}, identities{&u.Identities}}
}

// CreateUser implements store.Users.
func (s *Store) CreateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("creating a user", err)
	}
	return s.update(ctx, "creating a user", func(ctx context.Context, t *tx) error {
		if err := t.insertUsers(ctx, w.User); err != nil {
			return err
		}
		return t.changedUser(ctx, w, w.User.Organisation)
	})
}

// insertUsers adds users with their groups and identities.
func (t *tx) insertUsers(ctx context.Context, users ...directory.User) error {
	rows, ids := newTable(newUserColumns), make([]string, len(users))
	for i, u := range users {
		rows.add(u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles), mapping(u.Attributes), u.Enabled, u.Protected,
			ms(u.Created), ms(u.Updated), ms(u.LastSignIn), u.Source, u.UserName, orNull(folded(u.UserName)), u.ExternalID, u.DisabledBy)
		ids[i] = u.ID
	}
	n, err := exec(ctx, t, insertUsers, args(rows)...)
	if err != nil {
		return exists(err)
	}
	if n < int64(len(users)) { // an ID that is not free again
		return store.ErrExists
	}
	return t.insertLists(ctx, users...)
}

func (t *tx) insertLists(ctx context.Context, users ...directory.User) error {
	groups, identities := newTable(groupColumns), newTable(identityColumns)
	for _, u := range users {
		for i, g := range u.Groups {
			groups.add(u.ID, g, i)
		}
		for _, p := range u.Identities {
			identities.add(p.Issuer, p.Subject, u.ID)
		}
	}
	if len(groups[0]) > 0 {
		if _, err := exec(ctx, t, insertGroups, args(groups)...); err != nil {
			return err
		}
	}
	if len(identities[0]) == 0 {
		return nil
	}
	_, err := exec(ctx, t, insertIdentities, args(identities)...)
	return exists(err)
}

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("changing a user", err)
	}
	return s.update(ctx, "changing a user", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, queueUser, w.User.ID); err != nil {
			return err
		}
		before, err := t.updateUser(ctx, w)
		if err != nil {
			return err
		}
		return t.changedUser(ctx, w, before, w.User.Organisation)
	})
}

// updateUser replaces a user with their groups and identities, and gives the organisation that they were of.
func (t *tx) updateUser(ctx context.Context, w store.UserWrite) (before string, err error) {
	u := w.User
	if err := row(ctx, t, lockUser, []any{u.ID}, []any{&before}); err != nil {
		return "", missing(err)
	}
	n, err := exec(ctx, t, updateUser, u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles),
		mapping(u.Attributes), u.Enabled, u.Protected, ms(u.Updated), ms(w.Was), u.Source, u.UserName, orNull(folded(u.UserName)), u.ExternalID, u.DisabledBy)
	if err != nil {
		return "", exists(err)
	}
	if n == 0 {
		return "", impersonation.ErrChanged
	}
	for _, q := range []string{deleteGroups, deleteIdentities} {
		if _, err := exec(ctx, t, q, u.ID); err != nil {
			return "", err
		}
	}
	return before, t.insertLists(ctx, u)
}

// changedUser does what every change of a user brings with it.
func (t *tx) changedUser(ctx context.Context, w store.UserWrite, organisations ...string) error {
	if err := t.bump(ctx, organisations...); err != nil {
		return err
	}
	return t.endUser(ctx, w)
}

// DeleteUser implements store.Users.
func (s *Store) DeleteUser(ctx context.Context, w store.UserWrite) error {
	return s.update(ctx, "deleting a user", func(ctx context.Context, t *tx) error {
		id, now := w.User.ID, w.Now.UnixMilli()
		if _, err := exec(ctx, t, moveGroupsOf, now, id); err != nil {
			return err
		}
		if _, err := exec(ctx, t, queueUser, id); err != nil {
			return err
		}
		var organisation string
		if err := row(ctx, t, lockUser, []any{id}, []any{&organisation}); err != nil {
			return missing(err)
		}
		if err := t.bump(ctx, organisation); err != nil {
			return err
		}
		if err := t.endFor(ctx, w.Write, id, w.Ends, true); err != nil {
			return err
		}
		n, err := exec(ctx, t, deleteUser, id, ms(w.Was))
		if err != nil {
			return err
		}
		if n == 0 {
			return impersonation.ErrChanged
		}
		if _, err := exec(ctx, t, insertGone, id, now); err != nil {
			return err
		}
		_, err = exec(ctx, t, revokeUserConsents, now, id)
		return err
	})
}

// ByIdentity implements directory.Directory.
func (s *Store) ByIdentity(ctx context.Context, p oauth.Party) (directory.User, error) {
	return s.find(ctx, selectUserByIdentity, p.Issuer, p.Subject)
}

// endUser ends what w says of its user, and writes its entries.
func (t *tx) endUser(ctx context.Context, w store.UserWrite) error {
	if w.EndConsents {
		if _, err := exec(ctx, t, revokeUserConsents, w.Now.UnixMilli(), w.User.ID); err != nil {
			return err
		}
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
		if _, err := exec(ctx, t, queueUser, w.UserID); err != nil {
			return err
		}
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
