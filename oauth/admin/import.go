package admin

import (
	"context"
	"encoding/base32"
	"fmt"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/store"
)

// minTOTPSecret is the shortest secret that RFC 4226 §4 allows, 128 bits, in bytes.
const minTOTPSecret = 16

// ImportTOTP gives a user the second factor (RFC 6238) that their authenticator app has already, as when users move here from
// another system: EnrolTOTP with a secret from outside. secret is base32 without padding, at least 128 bits (RFC 4226 §4).
// It returns an *InvalidError for any other, and what EnrolTOTP does.
func (a *Admin) ImportTOTP(ctx context.Context, userID string, secret oauth.Secret) error {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(string(secret))
	if err != nil || len(raw) < minTOTPSecret {
		return invalid("secret", "must be base32 without padding, of at least %d bytes", minTOTPSecret)
	}
	box, err := a.box(ctx)
	if err != nil {
		return err
	}
	u, err := a.Store.Get(ctx, userID)
	if err != nil {
		return fmt.Errorf("user %q: %w", userID, err)
	}
	sealed := box.Seal(totp.Purpose(u.ID), []byte(secret))
	return a.setCredentials(ctx, u, audit.KindTOTPEnrolled, "imported", store.CredentialsWrite{TOTP: &sealed}, u.SecondFactor)
}
