package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// userColumns end with the groups, in the order in which they were given, and the identities, each as issuer, space, subject.
	userColumns = `id, email, name, organisation, roles, attributes, enabled, protected, totp IS NOT NULL, created_at, updated_at, last_sign_in_at, source, user_name, external_id, disabled_by,
		(SELECT json_group_array(name) FROM (SELECT g.name FROM user_group g WHERE g.user_id = app_user.id ORDER BY g.position)),
		(SELECT json_group_array(name) FROM (SELECT i.issuer || ' ' || i.subject AS name FROM user_identity i WHERE i.user_id = app_user.id ORDER BY i.issuer))`

	selectUser   = `SELECT ` + userColumns + ` FROM app_user WHERE id = ?`
	selectPeople = `SELECT ` + userColumns + `, coalesce((SELECT v.n FROM authz_version v WHERE v.organisation = app_user.organisation), 0)
		FROM app_user WHERE id IN (?, ?)`
	selectUserByEmail    = `SELECT ` + userColumns + ` FROM app_user WHERE email_key = ?`
	selectUserByIdentity = `SELECT ` + userColumns + ` FROM app_user WHERE id = (SELECT user_id FROM user_identity WHERE issuer = ? AND subject = ?)`

	insertUser = `INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected,
		created_at, updated_at, last_sign_in_at, source, user_name, user_name_key, external_id, disabled_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	updateUser = `UPDATE app_user SET email = ?2, email_key = ?3, name = ?4, search_key = ?5, organisation = ?6, roles = ?7, attributes = ?8,
		enabled = ?9, protected = ?10, updated_at = ?11, source = ?13, user_name = ?14, user_name_key = ?15, external_id = ?16, disabled_by = ?17
		WHERE id = ?1 AND (?12 IS NULL OR updated_at = ?12)`

	deleteUser = `DELETE FROM app_user WHERE id = ? AND (?2 IS NULL OR updated_at = ?2)`
	insertGone = `INSERT INTO user_gone (id, gone_at) VALUES (?, ?)`
	countGone  = `SELECT count(*) FROM user_gone WHERE id = ?`

	revokeUserConsents = `UPDATE consent SET revoked_at = ?1 WHERE id IN (SELECT id FROM consent WHERE subject = ?2 AND revoked_at IS NULL
		UNION ALL SELECT id FROM consent WHERE actor = ?2 AND revoked_at IS NULL)`

	selectOrganisation = `SELECT organisation FROM app_user WHERE id = ?`
	// selectOrganisations goes by the versions, of which each organisation has one since its first user.
	selectOrganisations = `SELECT v.organisation FROM authz_version v WHERE v.organisation <> ''
		AND EXISTS (SELECT 1 FROM app_user u WHERE u.organisation = v.organisation) ORDER BY v.organisation`

	deleteGroups = `DELETE FROM user_group WHERE user_id = ?`
	insertGroup  = `INSERT INTO user_group (user_id, name, position) VALUES (?, ?, ?) ON CONFLICT DO NOTHING`

	deleteIdentities = `DELETE FROM user_identity WHERE user_id = ?`
	insertIdentity   = `INSERT INTO user_identity (issuer, subject, user_id) VALUES (?, ?, ?)`

	selectCredentials = `SELECT password, totp FROM app_user WHERE id = ?`
	updatePassword    = `UPDATE app_user SET password = ? WHERE id = ?`
	updateTOTP        = `UPDATE app_user SET totp = ? WHERE id = ?`
	updateFirstTOTP   = `UPDATE app_user SET totp = ? WHERE id = ? AND totp IS NULL
		AND EXISTS (SELECT 1 FROM login l WHERE l.id = ? AND l.user_id = app_user.id AND l.ended_at IS NULL)`

	endUserLogins   = `UPDATE login SET ended_at = ? WHERE user_id = ? AND ended_at IS NULL`
	revokeUserGrant = `UPDATE oauth_grant SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL`
)

// folded is text as it is compared: without case, in every script that has one.
func folded(s string) string { return strings.ToLower(s) }

// user finds one; sql.ErrNoRows.
func (c *conn) user(ctx context.Context, query string, key ...any) (*directory.User, error) {
	u := new(directory.User)
	return u, c.row(ctx, query, key, userDest(u))
}

func userDest(u *directory.User) []any {
	return []any{&u.ID, &u.Email, &u.Name, &u.Organisation, items{&u.Roles}, pairs{&u.Attributes}, &u.Enabled, &u.Protected, &u.SecondFactor,
		at{&u.Created}, at{&u.Updated}, at{&u.LastSignIn}, &u.Source, &u.UserName, &u.ExternalID, &u.DisabledBy, items{&u.Groups}, identities{&u.Identities}}
}

// people reads two users as a decision sees them, each nil if there is no such user, and the authz_version of each of their
// organisations, "" included.
func (c *conn) people(ctx context.Context, a, b string) (pa, pb *policy.Person, authz []impersonation.Version, err error) {
	err = c.each(ctx, selectPeople, []any{a, b}, func(r *sql.Rows) error {
		u, v := new(directory.User), impersonation.Version{}
		if err := r.Scan(append(userDest(u), &v.N)...); err != nil {
			return err
		}
		if v.Organisation = u.Organisation; !slices.Contains(authz, v) {
			authz = append(authz, v)
		}
		if u.ID == a {
			pa = person(u)
		}
		if u.ID == b {
			pb = person(u)
		}
		return nil
	})
	return pa, pb, authz, err
}

func person(u *directory.User) *policy.Person {
	p := &policy.Person{Name: u.Name, Email: u.Email, Organisation: u.Organisation, Groups: u.Groups, Roles: u.Roles, Attributes: u.Attributes,
		Enabled: u.Enabled, Protected: u.Protected, SecondFactor: u.SecondFactor, Identities: u.Identities}
	p.Subject = u.ID
	return p
}

// CreateUser implements store.Users.
func (s *Store) CreateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("creating a user", err)
	}
	return s.update(ctx, "creating a user", func(ctx context.Context, c *conn) error {
		if err := c.insertUser(ctx, w.User); err != nil {
			return err
		}
		return c.changedUser(ctx, w, w.User.Organisation)
	})
}

// insertUser adds u with their groups and identities.
func (c *conn) insertUser(ctx context.Context, u directory.User) error {
	var gone int64
	if err := c.row(ctx, countGone, []any{u.ID}, []any{&gone}); err != nil {
		return err
	}
	if gone > 0 {
		return store.ErrExists
	}
	if _, err := c.exec(ctx, insertUser, u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles),
		mapping(u.Attributes), u.Enabled, u.Protected, ms(u.Created), ms(u.Updated), ms(u.LastSignIn),
		u.Source, u.UserName, orNull(folded(u.UserName)), u.ExternalID, u.DisabledBy); err != nil {
		return exists(err)
	}
	return c.insertLists(ctx, u)
}

func (c *conn) insertLists(ctx context.Context, u directory.User) error {
	for i, g := range u.Groups {
		if _, err := c.exec(ctx, insertGroup, u.ID, g, i); err != nil {
			return err
		}
	}
	for _, p := range u.Identities {
		if _, err := c.exec(ctx, insertIdentity, p.Issuer, p.Subject, u.ID); err != nil {
			return exists(err)
		}
	}
	return nil
}

// UpdateUser implements store.Users.
func (s *Store) UpdateUser(ctx context.Context, w store.UserWrite) error {
	if err := store.CheckUser(w.User); err != nil {
		return failed("changing a user", err)
	}
	return s.updateMaybe(ctx, len(w.Ends) > 0 || w.EndLogins || w.EndConsents, "changing a user", func(ctx context.Context, c *conn) error {
		before, err := c.updateUser(ctx, w)
		if err != nil {
			return err
		}
		return c.changedUser(ctx, w, before, w.User.Organisation)
	})
}

// updateUser replaces a user with their groups and identities, and gives the organisation that they were of.
func (c *conn) updateUser(ctx context.Context, w store.UserWrite) (before string, err error) {
	u := w.User
	if err := c.row(ctx, selectOrganisation, []any{u.ID}, []any{&before}); err != nil {
		return "", missing(err)
	}
	n, err := c.exec(ctx, updateUser, u.ID, u.Email, orNull(folded(u.Email)), u.Name, searchKey(u), u.Organisation, list(u.Roles),
		mapping(u.Attributes), u.Enabled, u.Protected, ms(u.Updated), ms(w.Was), u.Source, u.UserName, orNull(folded(u.UserName)), u.ExternalID, u.DisabledBy)
	if err != nil {
		return "", exists(err)
	}
	if n == 0 {
		return "", impersonation.ErrChanged
	}
	for _, q := range []string{deleteGroups, deleteIdentities} {
		if _, err := c.exec(ctx, q, u.ID); err != nil {
			return "", err
		}
	}
	return before, c.insertLists(ctx, u)
}

// changedUser does what every change of a user brings with it.
func (c *conn) changedUser(ctx context.Context, w store.UserWrite, organisations ...string) error {
	if err := c.bumpAll(ctx, organisations); err != nil {
		return err
	}
	return c.endUser(ctx, w)
}

// DeleteUser implements store.Users.
func (s *Store) DeleteUser(ctx context.Context, w store.UserWrite) error {
	return s.updateMaybe(ctx, true, "deleting a user", func(ctx context.Context, c *conn) error {
		id, now := w.User.ID, w.Now.UnixMilli()
		var organisation string
		if err := c.row(ctx, selectOrganisation, []any{id}, []any{&organisation}); err != nil {
			return missing(err)
		}
		if err := c.endFor(ctx, w.Write, id, w.Ends, true); err != nil {
			return err
		}
		if _, err := c.exec(ctx, moveGroupsOf, now, id); err != nil {
			return err
		}
		n, err := c.exec(ctx, deleteUser, id, ms(w.Was))
		if err != nil {
			return err
		}
		if n == 0 {
			return impersonation.ErrChanged
		}
		if _, err := c.exec(ctx, insertGone, id, now); err != nil {
			return err
		}
		if _, err := c.exec(ctx, revokeUserConsents, now, id); err != nil {
			return err
		}
		return c.bump(ctx, organisation)
	})
}

// ByIdentity implements directory.Directory.
func (s *Store) ByIdentity(ctx context.Context, p oauth.Party) (directory.User, error) {
	return s.find(ctx, selectUserByIdentity, p.Issuer, p.Subject)
}

// endUser ends what w says of its user, and writes its entries.
func (c *conn) endUser(ctx context.Context, w store.UserWrite) error {
	if w.EndConsents {
		if _, err := c.exec(ctx, revokeUserConsents, w.Now.UnixMilli(), w.User.ID); err != nil {
			return err
		}
	}
	return c.endFor(ctx, w.Write, w.User.ID, w.Ends, w.EndLogins)
}

// endFor ends what a change of user names, and writes the change's entries.
func (c *conn) endFor(ctx context.Context, w impersonation.Write, userID string, ends []impersonation.EndWrite, logins bool) error {
	if logins {
		for _, q := range []string{noticeUser, endUserLogins, revokeUserGrant} {
			if _, err := c.exec(ctx, q, w.Now.UnixMilli(), userID); err != nil {
				return err
			}
		}
	}
	for _, e := range ends {
		e.Write = impersonation.Write{RequestID: w.RequestID, Now: w.Now}
		if _, err := c.end(ctx, e); err != nil {
			return err
		}
	}
	return c.record(ctx, w.Entries, w.Events)
}

// Credentials implements store.Users.
func (s *Store) Credentials(ctx context.Context, userID string) (out store.Credentials, err error) {
	err = s.look(ctx, "reading credentials", func(ctx context.Context, c *conn) error {
		return c.row(ctx, selectCredentials, []any{userID}, []any{&out.Password, &out.TOTP})
	})
	return out, err
}

// SetCredentials implements store.Users.
func (s *Store) SetCredentials(ctx context.Context, w store.CredentialsWrite) error {
	return s.updateMaybe(ctx, len(w.Ends) > 0 || w.EndLogins, "setting credentials", func(ctx context.Context, c *conn) error {
		var organisation string
		if err := c.row(ctx, selectOrganisation, []any{w.UserID}, []any{&organisation}); err != nil {
			return missing(err)
		}
		if err := c.setCredentials(ctx, w); err != nil {
			return err
		}
		if err := c.bump(ctx, organisation); err != nil {
			return err
		}
		return c.endFor(ctx, w.Write, w.UserID, w.Ends, w.EndLogins)
	})
}

func (c *conn) setCredentials(ctx context.Context, w store.CredentialsWrite) error {
	if w.Password != nil {
		if _, err := c.exec(ctx, updatePassword, *w.Password, w.UserID); err != nil {
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
	n, err := c.exec(ctx, query, args...)
	if err == nil && n == 0 {
		return impersonation.ErrChanged
	}
	return err
}

// Organisations implements store.Users.
func (s *Store) Organisations(ctx context.Context) (out []string, err error) {
	err = s.list(ctx, "listing organisations", func(ctx context.Context, c *conn) error {
		return c.each(ctx, selectOrganisations, nil, func(r *sql.Rows) error {
			var name string
			err := r.Scan(&name)
			out = append(out, name)
			return err
		})
	})
	return out, err
}

// exists turns a broken uniqueness into its answer.
func exists(err error) error {
	if taken(err) {
		return store.ErrExists
	}
	return err
}

// missing turns a missing row into its answer.
func missing(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return store.ErrNotFound
	}
	return err
}
