package admin_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/password"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	ourtotp "github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const phrase = "correct horse battery"

func TestSetPassword(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann, john := b.user("ann@acme.test", "admin"), b.user("john@acme.test")
	b.client("app")
	sid, l := b.session(ann, john, "app"), b.login(ann)
	if err := b.SetPassword(t.Context(), ann.ID, phrase); err != nil {
		t.Fatal(err)
	}
	c, err := b.st.Credentials(t.Context(), ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := password.New(0, 0).Verify(t.Context(), c.Password, phrase); !ok || err != nil {
		t.Errorf("verify: got %v, %v, want true", ok, err)
	}
	b.last(audit.KindUserPassword)
	if got := b.endReason(sid); got != impersonation.EndSignedOut {
		t.Errorf("impersonation as actor: got end %q, want %q", got, impersonation.EndSignedOut)
	}
	if got, err := b.st.Login(t.Context(), l.ID); err != nil || got.Ended.IsZero() {
		t.Errorf("got login %+v, %v, want it ended", got, err)
	}
	before := len(b.entries())
	b.wantInvalid(b.SetPassword(t.Context(), ann.ID, "short"), "password", before)
	if strings.Contains(b.log.String(), phrase) {
		t.Error("the log has the password")
	}
}

func TestTOTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann, john := b.user("ann@acme.test", "admin"), b.user("john@acme.test")
	b.client("app")
	sid := b.session(ann, john, "app")
	secret, link, err := b.EnrolTOTP(t.Context(), ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(link, "otpauth://totp/") || !strings.Contains(link, string(secret)) {
		t.Errorf("got link %q, want an otpauth URL with the secret", link)
	}
	if got := b.endReason(sid); got != "" {
		t.Errorf("first enrolment: got end %q, want the session alive", got)
	}
	c, err := b.st.Credentials(t.Context(), ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	box, _ := seal.New(make([]byte, 32))
	plain, err := box.Open(ourtotp.Purpose(ann.ID), c.TOTP)
	if err != nil {
		t.Fatalf("opening the sealed secret: %v", err)
	}
	now := time.Now()
	code, err := totp.GenerateCode(string(secret), now)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := ourtotp.Verify(string(plain), code, now); !ok {
		t.Error("an authenticator's code does not fit the stored secret")
	}
	b.removeTOTP(ann.ID, sid)
}

func TestEnrolTOTPRefusesKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann := b.user("ann@acme.test")
	box, _ := seal.New(make([]byte, 32))
	key, err := tokens.Generate(tokens.ES256)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := key.Seal(box)
	if err != nil {
		t.Fatal(err)
	}
	k := store.SigningKey{ID: key.ID, Algorithm: key.Algorithm, Sealed: sealed, Created: time.Now()}
	w := store.KeyRotation{Write: impersonation.Write{Now: time.Now(), RequestID: oauth.NewID("req")}, Key: k}
	if err := b.st.RotateSigningKey(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	before := len(b.entries())
	b.SealingKey = sealing(bytes.Repeat([]byte{1}, 32))
	if _, _, err := b.EnrolTOTP(t.Context(), ann.ID); !errors.Is(err, tokens.ErrKey) {
		t.Errorf("another key than the server's: got %v, want %v", err, tokens.ErrKey)
	}
	b.SealingKey = sealing(make([]byte, 16))
	_, _, err = b.EnrolTOTP(t.Context(), ann.ID)
	b.wantInvalid(err, "SealingKey", before)
	b.SealingKey = nil
	_, _, err = b.EnrolTOTP(t.Context(), ann.ID)
	b.wantInvalid(err, "SealingKey", before)
	b.SealingKey = sealing(make([]byte, 32))
	if _, _, err := b.EnrolTOTP(t.Context(), ann.ID); err != nil {
		t.Errorf("the server's key: got %v", err)
	}
}

// A lock-out ends with a new password and with Enable, which has an entry of its own for it.
func TestLockOutEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann := b.user("ann@acme.test")
	key := store.AttemptKey("ann@acme.test")
	ends := map[audit.Kind]func() error{
		audit.KindUserPassword: func() error { return b.SetPassword(t.Context(), ann.ID, phrase) },
		audit.KindUserEnable:   func() error { _, err := b.Enable(t.Context(), ann.ID); return err },
	}
	for kind, end := range ends {
		if a, err := b.st.Failed(t.Context(), key, time.Now(), time.Hour, 1, time.Hour); err != nil || a.Locked.IsZero() {
			t.Fatalf("got %+v, %v, want a lock-out", a, err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if a, err := b.st.Attempt(t.Context(), key, time.Now()); err != nil || a != (store.Attempt{}) {
			t.Errorf("%s: got %+v, %v, want nothing left of the lock-out", kind, a, err)
		}
		b.last(kind)
	}
	before := len(b.entries())
	if _, err := b.Enable(t.Context(), ann.ID); err != nil || len(b.entries()) != before {
		t.Errorf("nothing to end: got %v and %d entries, want %d", err, len(b.entries()), before)
	}
}

func (b *bundle) removeTOTP(userID, sid string) {
	b.t.Helper()
	for _, want := range []bool{true, false} { // the second has nothing to remove and must be quiet
		if was, err := b.RemoveTOTP(b.t.Context(), userID); err != nil || was != want {
			b.t.Fatalf("got %v, %v, want %v", was, err, want)
		}
	}
	if e := b.last(audit.KindTOTPEnrolled); e.Fields["action"] != "removed" {
		b.t.Errorf("got action %q, want removed", e.Fields["action"])
	}
	if got := b.endReason(sid); got != impersonation.EndSignedOut {
		b.t.Errorf("removed: got end %q, want %q", got, impersonation.EndSignedOut)
	}
	n := 0
	for _, e := range b.entries() {
		if e.Kind == audit.KindTOTPEnrolled {
			n++
		}
	}
	if n != 2 {
		b.t.Errorf("got %d entries about the second factor, want one for each act", n)
	}
}
