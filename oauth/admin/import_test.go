package admin_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	ourtotp "github.com/understudy-id/understudy/oauth/internal/totp"
)

// seed32 is the secret of RFC 6238 appendix B in base32.
const seed32 = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

func TestImportTOTP(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann, john := b.user("ann@acme.test", "admin"), b.user("john@acme.test")
	b.client("app")
	sid := b.session(ann, john, "app")
	if err := b.ImportTOTP(t.Context(), ann.ID, seed32); err != nil {
		t.Fatal(err)
	}
	c, err := b.st.Credentials(t.Context(), ann.ID)
	if err != nil {
		t.Fatal(err)
	}
	box, _ := seal.New(make([]byte, 32))
	if plain, err := box.Open(ourtotp.Purpose(ann.ID), c.TOTP); err != nil || string(plain) != seed32 {
		t.Errorf("got secret %q, %v, want %q", plain, err, seed32)
	}
	if e := b.last(audit.KindTOTPEnrolled); e.Fields["action"] != "imported" {
		t.Errorf("got action %q, want imported", e.Fields["action"])
	}
	if got := b.endReason(sid); got != "" {
		t.Errorf("a first second factor: got end %q, want the session alive", got)
	}
	if err := b.ImportTOTP(t.Context(), ann.ID, seed32); err != nil {
		t.Fatal(err)
	}
	if b.endReason(sid) == "" {
		t.Error("replacing a second factor left the session alive")
	}
}

func TestImportTOTPRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ann := b.user("ann@acme.test")
	before := len(b.entries())
	for _, wrong := range []oauth.Secret{"", "not base32", oauth.Secret(strings.ToLower(seed32)), oauth.Secret(seed32[:24]), seed32 + "="} {
		b.wantInvalid(b.ImportTOTP(t.Context(), ann.ID, wrong), "secret", before)
	}
	if err := b.ImportTOTP(t.Context(), "nobody", seed32); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody: got %v, want ErrNotFound", err)
	}
	b.SealingKey = nil
	b.wantInvalid(b.ImportTOTP(t.Context(), ann.ID, seed32), "SealingKey", before)
}
