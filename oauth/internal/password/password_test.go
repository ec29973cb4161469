package password_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/password"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, password string
		want           error
	}{
		{"eleven characters", strings.Repeat("a", 11), password.ErrShort},
		{"twelve characters", strings.Repeat("a", 12), nil},
		{"eleven characters of two bytes", strings.Repeat("é", 11), password.ErrShort},
		{"twelve characters of four bytes", strings.Repeat("🐎", 12), nil},
		{"256 characters of four bytes", strings.Repeat("🐎", 256), nil},
		{"257 characters", strings.Repeat("a", 257), password.ErrLong},
		{"spaces within", "correct horse battery", nil},
		{"no digit, no capital", "onlylowercase", nil},
		{"not UTF-8", strings.Repeat("a", 12) + "\xff", password.ErrEncoding},
		{"the e-mail address", "ann.bell@acme.test", password.ErrEmail},
		{"the e-mail address in capitals", "ANN.BELL@ACME.TEST", password.ErrEmail},
		{"the e-mail address and a space", "ann.bell@acme.test ", password.ErrEmail},
		{"more than the e-mail address", "ann.bell@acme.test!", nil},
		{"empty", "", password.ErrShort},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := password.Check(tt.password, "ann.bell@acme.test"); !errors.Is(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}
