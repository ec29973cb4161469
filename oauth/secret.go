package oauth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"log/slog"
)

// SecretLength is the length of every Secret that NewSecret makes: 32 random bytes as base64url, no padding.
const SecretLength = 43

// Secret is a bearer string: ticket, return token, code, client secret, login cookie. Printing or logging one
// gives "[redacted]"; convert with string(s) at the one place that sends it.
type Secret string

// NewSecret returns a fresh secret of 256 random bits, SecretLength characters of base64url.
func NewSecret() Secret {
	var b [32]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return Secret(base64.RawURLEncoding.EncodeToString(b[:]))
}

// Hash is what a store keeps of a secret. SHA-256 is enough since a Secret has 256 bits of its own;
// a password is not a Secret.
func (s Secret) Hash() Hash { return sha256.Sum256([]byte(s)) }

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText hides the secret: nothing that marshals a struct may send one by accident.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Hash is the SHA-256 of a Secret. The zero value matches nothing.
type Hash [sha256.Size]byte

// IsZero reports whether h is unset.
func (h Hash) IsZero() bool { return h == Hash{} }

// NewID returns a fresh identifier: prefix, an underscore, and 26 characters of lower-case base32 (130 random bits).
// It is unguessable but no secret: it appears in tokens, logs and the audit trail.
func NewID(prefix string) string {
	var random [26]byte
	rand.Read(random[:]) // never fails (crypto/rand)
	for i, b := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyz234567"[b%32]
	}
	var room [64]byte
	return string(append(append(append(room[:0], prefix...), '_'), random[:]...))
}
