package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	loginColumns = `l.id, l.user_id, l.auth_time, l.acr, l.amr, l.created_at, l.last_used_at, l.expires_at, l.ended_at, l.upstream, l.upstream_sid`

	selectLogin         = `SELECT ` + loginColumns + ` FROM login l WHERE l.id = $1`
	selectLoginByCookie = `SELECT ` + loginColumns + ` FROM login l WHERE l.cookie = $1`

	insertLogin = `INSERT INTO login (cookie, id, user_id, auth_time, acr, amr, created_at, last_used_at, expires_at, ended_at, upstream, upstream_sid,
			upstream_hint) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

	// selectProof locks as lockUser does.
	selectProof = `SELECT password, totp, enabled FROM app_user WHERE id = $1 FOR NO KEY UPDATE`

	touchLogin  = `UPDATE login SET last_used_at = $2 WHERE id = $1 AND ended_at IS NULL AND coalesce(last_used_at, 0) < $2`
	markSignIn  = `UPDATE app_user SET last_sign_in_at = $1 WHERE id = $2`
	endLogin    = `UPDATE login SET ended_at = $1 WHERE id = $2 AND ended_at IS NULL`
	revokeLogin = `UPDATE oauth_grant SET revoked_at = $1 WHERE id = ANY (ARRAY(
		SELECT id FROM oauth_grant WHERE login = $2 AND revoked_at IS NULL ORDER BY id FOR NO KEY UPDATE))`

	// lockLogin makes what a client gets by the login at the same moment wait, or is one of those who wait.
	lockLogin = `SELECT 1 FROM login WHERE id = $1 FOR NO KEY UPDATE`
)

func loginDest(l *impersonation.Login) []any {
	return []any{text(&l.ID), text(&l.User), at{&l.AuthTime}, text(&l.ACR), items{&l.AMR}, at{&l.Created}, at{&l.LastUsed}, at{&l.Expires}, at{&l.Ended},
		text(&l.Upstream), text(&l.UpstreamSession)}
}

func (s *Store) findLogin(ctx context.Context, query string, key any) (out impersonation.Login, err error) {
	err = s.single(ctx, "reading a login", func(ctx context.Context, q querier) error {
		return row(ctx, q, query, []any{key}, loginDest(&out))
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
	return s.update(ctx, "creating a login", func(ctx context.Context, t *tx) error {
		if err := t.proved(ctx, w); err != nil {
			return err
		}
		if err := t.notOver(ctx, w); err != nil {
			return err
		}
		if w.Replaces != "" {
			if _, err := t.endLogin(ctx, replaced(w)); err != nil {
				return err
			}
		}
		l := w.Login
		if _, err := exec(ctx, t, insertLogin, w.Cookie[:], l.ID, l.User, ms(l.AuthTime), l.ACR, list(l.AMR), ms(l.Created), ms(l.LastUsed),
			ms(l.Expires), ms(l.Ended), l.Upstream, l.UpstreamSession, w.Hint); err != nil {
			return exists(err)
		}
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, markSignIn, ms(l.AuthTime), l.User)
		return err
	})
}

// proved answers impersonation.ErrChanged unless the user is enabled and what they showed to know is what is kept.
func (t *tx) proved(ctx context.Context, w store.LoginWrite) error {
	var kept store.Credentials
	var enabled bool
	err := row(ctx, t, selectProof, []any{w.Login.User}, []any{&kept.Password, &kept.TOTP, &enabled})
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
	return s.single(ctx, "touching a login", func(ctx context.Context, q querier) error {
		_, err := exec(ctx, q, touchLogin, id, now.UnixMilli())
		return err
	})
}

// moved tells whether a touch is worth a write: limits of idleness are minutes, so a second more or less is nothing.
func moved(last, now time.Time) bool { return now.Sub(last) >= time.Second }

// EndLogin implements store.Logins.
func (s *Store) EndLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	w.Scope = impersonation.ScopeLogin
	return s.ending(ctx, "ending a login", func(ctx context.Context, t *tx) ([]impersonation.Ended, error) {
		ended, err := t.endLogin(ctx, w)
		t.record(w.Entries, w.Events)
		return ended, err
	})
}

// endLogin ends a login and all that stands on it.
func (t *tx) endLogin(ctx context.Context, w impersonation.EndWrite) ([]impersonation.Ended, error) {
	if _, err := exec(ctx, t, lockLogin, w.ID); err != nil {
		return nil, err
	}
	for _, q := range []string{noticeLogin, endLogin, revokeLogin} {
		if _, err := exec(ctx, t, q, w.Now.UnixMilli(), w.ID); err != nil {
			return nil, err
		}
	}
	return t.end(ctx, w)
}
