package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	loginColumns = `id, user_id, auth_time, acr, amr, created_at, last_used_at, expires_at, ended_at, upstream, upstream_sid`

	selectLogin         = `SELECT ` + loginColumns + ` FROM login WHERE id = ?`
	selectLoginByCookie = `SELECT ` + loginColumns + ` FROM login WHERE cookie = ?`

	insertLogin = `INSERT INTO login (cookie, ` + loginColumns + `, upstream_hint) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	selectProof = `SELECT password, totp, enabled FROM app_user WHERE id = ?`

	touchLogin  = `UPDATE login SET last_used_at = ?2 WHERE id = ?1 AND ended_at IS NULL AND coalesce(last_used_at, 0) < ?2`
	markSignIn  = `UPDATE app_user SET last_sign_in_at = ? WHERE id = ?`
	endLogin    = `UPDATE login SET ended_at = ? WHERE id = ? AND ended_at IS NULL`
	revokeLogin = `UPDATE oauth_grant SET revoked_at = ? WHERE login = ? AND revoked_at IS NULL`
)

// login finds one; sql.ErrNoRows.
func (c *conn) login(ctx context.Context, query string, key any) (*impersonation.Login, error) {
	l := new(impersonation.Login)
	return l, c.row(ctx, query, []any{key}, loginDest(l))
}

func loginDest(l *impersonation.Login) []any {
	return []any{&l.ID, &l.User, at{&l.AuthTime}, &l.ACR, items{&l.AMR}, at{&l.Created}, at{&l.LastUsed}, at{&l.Expires}, at{&l.Ended},
		&l.Upstream, &l.UpstreamSession}
}

func (s *Store) findLogin(ctx context.Context, query string, key any) (out impersonation.Login, err error) {
	err = s.look(ctx, "reading a login", func(ctx context.Context, c *conn) error {
		l, err := c.login(ctx, query, key)
		if err == nil {
			out = *l
		}
		return err
	})
	return out, err
}

// LoginByCookie implements store.Logins.
func (s *Store) LoginByCookie(ctx context.Context, cookie oauth.Hash) (impersonation.Login, error) {
	return s.findLogin(ctx, selectLoginByCookie, cookie[:])
}

// Login implements store.Logins.
func (s *Store) Login(ctx context.Context, id string) (impersonation.Login, error) {
	return s.findLogin(ctx, selectLogin, id)
}

// CreateLogin implements store.Logins.
func (s *Store) CreateLogin(ctx context.Context, w store.LoginWrite) error {
	return s.update(ctx, "creating a login", func(ctx context.Context, c *conn) error {
		if w.Replaces != "" {
			if _, err := c.endLogin(ctx, replaced(w)); err != nil {
				return err
			}
		}
		if err := c.proved(ctx, w); err != nil {
			return err
		}
		if err := c.notOver(ctx, w); err != nil {
			return err
		}
		l := w.Login
		if _, err := c.exec(ctx, insertLogin, w.Cookie[:], l.ID, l.User, ms(l.AuthTime), l.ACR, list(l.AMR), ms(l.Created), ms(l.LastUsed),
			ms(l.Expires), ms(l.Ended), l.Upstream, l.UpstreamSession, blobOrNull(w.Hint)); err != nil {
			return exists(err)
		}
		if _, err := c.exec(ctx, markSignIn, ms(l.AuthTime), l.User); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// proved answers impersonation.ErrChanged unless the user is enabled and what they showed to know is what is kept.
func (c *conn) proved(ctx context.Context, w store.LoginWrite) error {
	var kept store.Credentials
	var enabled bool
	err := c.row(ctx, selectProof, []any{w.Login.User}, []any{&kept.Password, &kept.TOTP, &enabled})
	if err != nil {
		return missing(err)
	}
	if !enabled || !w.Proved.IsZero() && w.Proved != kept.Hash() {
		return impersonation.ErrChanged
	}
	return nil
}

// replaced is the end of the login that w takes the place of. Who ended it is who signs in, as the entry of w names them.
func replaced(w store.LoginWrite) impersonation.EndWrite {
	e := impersonation.EndWrite{Write: impersonation.Write{RequestID: w.RequestID, Now: w.Now}, Scope: impersonation.ScopeLogin, ID: w.Replaces,
		Reason: impersonation.EndSignedOut, By: oauth.Party{Subject: w.Login.User}}
	if len(w.Entries) > 0 {
		e.By, e.Issuer = w.Entries[0].Actor, w.Entries[0].Actor.Issuer
	}
	return e
}

// TouchLogin implements store.Logins.
func (s *Store) TouchLogin(ctx context.Context, id string, now time.Time) error {
	l, err := s.Login(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil || !moved(l.LastUsed, now) {
		return err
	}
	return s.update(ctx, "touching a login", func(ctx context.Context, c *conn) error {
		_, err := c.exec(ctx, touchLogin, id, now.UnixMilli())
		return err
	})
}

// moved tells whether a touch is worth a write: limits of idleness are minutes, so a second more or less is nothing.
func moved(last, now time.Time) bool { return now.Sub(last) >= time.Second }

// EndLogin implements store.Logins.
func (s *Store) EndLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	w.Scope = impersonation.ScopeLogin
	return s.ending(ctx, "ending a login", func(ctx context.Context, c *conn) ([]impersonation.Ended, error) {
		ended, err := c.endLogin(ctx, w)
		if err != nil {
			return nil, err
		}
		return ended, c.record(ctx, w.Entries, w.Events)
	})
}

// endLogin ends a login and all that stands on it.
func (c *conn) endLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	for _, q := range []string{noticeLogin, endLogin, revokeLogin} {
		if _, err := c.exec(ctx, q, w.Now.UnixMilli(), w.ID); err != nil {
			return nil, err
		}
	}
	return c.end(ctx, w)
}
