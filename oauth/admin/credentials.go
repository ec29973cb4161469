package admin

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// SetPassword gives a user a new password and ends their logins, grants, the sessions in which they are the actor, and a
// lock-out after too many failed sign-ins.
// It returns an *InvalidError for a password that password.Check refuses, and directory.ErrNotFound.
func (a *Admin) SetPassword(ctx context.Context, userID, pw string) error {
	u, err := a.Store.Get(ctx, userID)
	if err != nil {
		return fmt.Errorf("user %q: %w", userID, err)
	}
	if err := CheckPassword(pw, u.Email); err != nil {
		return err
	}
	hash, err := a.Passwords.Hash(ctx, pw)
	if err != nil {
		return fmt.Errorf("hashing the password: %w", err)
	}
	if err := a.setCredentials(ctx, u, audit.KindUserPassword, "set", store.CredentialsWrite{Password: &hash}, true); err != nil {
		return err
	}
	return a.forgetFailures(ctx, u)
}

// forgetFailures ends a lock-out.
func (a *Admin) forgetFailures(ctx context.Context, u directory.User) error {
	if err := a.Store.Succeeded(ctx, store.AttemptKey(u.Email)); err != nil {
		return fmt.Errorf("ending the lock-out of %s: %w", u.Email, err)
	}
	return nil
}

// unlock ends a lock-out, if there is one, with an entry of its own.
func (a *Admin) unlock(ctx context.Context, u directory.User) error {
	attempt, err := a.Store.Attempt(ctx, store.AttemptKey(u.Email), a.Now())
	if err != nil {
		return fmt.Errorf("reading failed sign-ins of %s: %w", u.Email, err)
	}
	if !a.Now().Before(attempt.Locked) {
		return nil
	}
	if err := a.setCredentials(ctx, u, audit.KindUserEnable, "unlocked", store.CredentialsWrite{}, false); err != nil {
		return err
	}
	return a.forgetFailures(ctx, u)
}

// CheckPassword returns an *InvalidError for a password that SetPassword would refuse the person with this e-mail address.
func CheckPassword(pw, email string) error {
	if err := password.Check(pw, email); err != nil {
		return invalid("password", "%s", strings.TrimPrefix(err.Error(), "password: "))
	}
	return nil
}

// setCredentials writes w for u. With sever it ends what stands on the credentials that were.
func (a *Admin) setCredentials(ctx context.Context, u directory.User, kind audit.Kind, action string, w store.CredentialsWrite, sever bool) error {
	w.UserID = u.ID
	w.Write = a.write(kind, u, func(e *audit.Entry) { e.Set("action", action) })
	if sever {
		w.EndLogins = true
		w.Ends = []impersonation.EndWrite{a.end(impersonation.ScopeActor, u.ID, impersonation.EndSignedOut)}
	}
	if err := a.Store.SetCredentials(ctx, w); err != nil {
		return fmt.Errorf("changing the credentials of %s: %w", u.Email, err)
	}
	a.log(ctx, fmt.Sprintf("%s: %s for %s", kind, action, u.Email), slog.String("user", u.ID))
	return nil
}

// EnrolTOTP gives a user a second factor (RFC 6238) in place of what they had, and returns its secret, 32 characters of
// base32, and the otpauth URL that holds it, for an authenticator app. Neither can be shown again: the store has it
// sealed. Replacing one ends what stands on the old one, as RemoveTOTP does. It returns directory.ErrNotFound,
// tokens.ErrKey for a SealingKey that is not the server's, or what Config.SealingKey does.
func (a *Admin) EnrolTOTP(ctx context.Context, userID string) (secret oauth.Secret, link string, err error) {
	box, err := a.box(ctx)
	if err != nil {
		return "", "", err
	}
	u, err := a.Store.Get(ctx, userID)
	if err != nil {
		return "", "", fmt.Errorf("user %q: %w", userID, err)
	}
	text, link, err := totp.New(totp.Issuer, u.Email)
	if err != nil {
		return "", "", invalid("email", "%v", err)
	}
	sealed := box.Seal(totp.Purpose(u.ID), []byte(text))
	w := store.CredentialsWrite{TOTP: &sealed}
	if err := a.setCredentials(ctx, u, audit.KindTOTPEnrolled, "enrolled", w, u.SecondFactor); err != nil {
		return "", "", err
	}
	return oauth.Secret(text), link, nil
}

// box is the server's own. One of another key would lock the user out unseen: the server could not open what it sealed.
func (a *Admin) box(ctx context.Context) (*seal.Box, error) {
	if a.SealingKey == nil {
		return nil, invalid("SealingKey", "must be set to seal what the store keeps")
	}
	key, err := a.SealingKey(ctx)
	if err != nil {
		return nil, err
	}
	box, err := seal.New(key)
	if err != nil {
		return nil, invalid("SealingKey", "%v", err)
	}
	sealed, err := a.Store.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading signing keys: %w", err)
	}
	for _, k := range sealed {
		if !k.Revoked.IsZero() { // perhaps because it does not open
			continue
		}
		if _, err := tokens.OpenKey(box, k.ID, k.Algorithm, k.Sealed); err != nil {
			return nil, fmt.Errorf("the sealing key is not the server's: %w", err)
		}
	}
	return box, nil
}

// RemoveTOTP takes a user's second factor away and ends their logins, grants and the sessions in which they are the
// actor. It reports whether there was one; without one nothing is written. directory.ErrNotFound.
func (a *Admin) RemoveTOTP(ctx context.Context, userID string) (bool, error) {
	u, err := a.Store.Get(ctx, userID)
	if err != nil {
		return false, fmt.Errorf("user %q: %w", userID, err)
	}
	if !u.SecondFactor {
		return false, nil
	}
	err = a.setCredentials(ctx, u, audit.KindTOTPEnrolled, "removed", store.CredentialsWrite{TOTP: new([]byte)}, true)
	return err == nil, err
}
