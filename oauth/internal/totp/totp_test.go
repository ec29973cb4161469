package totp_test

import (
	"bytes"
	"encoding/base32"
	"errors"
	"image/png"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/internal/totp"
)

// rfcSecret is the key of RFC 6238 appendix B for SHA-1.
var rfcSecret = base32.StdEncoding.EncodeToString([]byte("12345678901234567890"))

// The codes of RFC 6238 appendix B: theirs have eight digits, ours are the last six.
func TestVerifyRFC6238(t *testing.T) {
	t.Parallel()
	vectors := map[int64]string{
		59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130",
	}
	for at, code := range vectors {
		step, ok := totp.Verify(rfcSecret, code, time.Unix(at, 0))
		if !ok || step != at/30 {
			t.Errorf("%s at %d: got step %d, %v, want %d", code, at, step, ok, at/30)
		}
	}
}

func TestVerifyWindow(t *testing.T) {
	t.Parallel()
	const step = 1111111109 / 30 // its code is 081804
	for off, want := range map[int64]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		now := time.Unix((step+off)*30, 0)
		got, ok := totp.Verify(rfcSecret, "081804", now)
		if ok != want || ok && got != step {
			t.Errorf("%d steps off: got step %d, %v, want %d, %v", off, got, ok, int64(step), want)
		}
	}
}

func TestVerifyCodes(t *testing.T) {
	t.Parallel()
	now := time.Unix(1111111109, 0)
	tests := []struct {
		name, secret, code string
		want               bool
	}{
		{"as apps show it", rfcSecret, "081 804", true},
		{"without its zero", rfcSecret, "81804", false},
		{"eight digits", rfcSecret, "07081804", false},
		{"letters", rfcSecret, "O81804", false},
		{"wide digits", rfcSecret, "０８１８０４", false},
		{"empty", rfcSecret, "", false},
		{"secret that is no base32", "!", "081804", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, got := totp.Verify(tt.secret, tt.code, now); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	secret, raw, err := totp.New("Acme & Söhne", "ann@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := base32.StdEncoding.DecodeString(secret); err != nil || len(raw) != 20 {
		t.Errorf("secret has %d bytes (%v), want 20", len(raw), err)
	}
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := u.Scheme+"://"+u.Host+u.Path, "otpauth://totp/Acme & Söhne:ann@acme.test"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if strings.Contains(u.RawQuery, "+") {
		t.Errorf("a space as plus: %q", u.RawQuery)
	}
	want := url.Values{"secret": {secret}, "issuer": {"Acme & Söhne"}, "period": {"30"}, "algorithm": {"SHA1"}, "digits": {"6"}}
	if diff := cmp.Diff(want, u.Query()); diff != "" {
		t.Errorf("parameters (-want +got):\n%s", diff)
	}
	if again, _, _ := totp.New("Acme", "ann@acme.test"); again == secret {
		t.Error("the same secret twice")
	}
}

func TestNewRefusesNames(t *testing.T) {
	t.Parallel()
	for _, names := range [][2]string{{"", "ann"}, {"Acme", ""}, {"Acme:", "ann"}, {"Acme", "a:b"}} {
		if secret, _, err := totp.New(names[0], names[1]); !errors.Is(err, totp.ErrName) || secret != "" {
			t.Errorf("%q: got %v, want ErrName", names, err)
		}
	}
}

func TestPNG(t *testing.T) {
	t.Parallel()
	_, raw, err := totp.New("Acme", "ann@acme.test")
	if err != nil {
		t.Fatal(err)
	}
	data, err := totp.PNG(raw, 256)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil || img.Bounds().Dx() != 256 || img.Bounds().Dy() != 256 {
		t.Errorf("got %v, %v, want 256 by 256", img.Bounds(), err)
	}
	if _, err := totp.PNG(raw, 10); err == nil {
		t.Error("ten pixels: no error")
	}
	if _, err := totp.PNG("otpauth://%zz?secret=ABC", 256); err == nil || strings.Contains(err.Error(), "ABC") {
		t.Errorf("a broken URL: got %v, want an error without the secret", err)
	}
}
