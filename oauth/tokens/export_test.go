package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"hash/maphash"
)

// Private lets a test sign what Sign would not, with a key for ES256.
func (k Key) Private() *ecdsa.PrivateKey { return k.held().signer.(*ecdsa.PrivateKey) }

// Signer lets it do so with any.
func (k Key) Signer() crypto.Signer { return k.held().signer }

// ParseObject lets a test compare the strict reader with others.
func ParseObject(b []byte) error {
	_, err := parseObject(b)
	return err
}

// Remembered counts the tokens that verified and are remembered.
func (s *KeySet) Remembered() int { return len(s.seen.young) + len(s.seen.old) }

// Forget forgets them.
func (s *KeySet) Forget() { s.seen, s.signed = newSeen(), newSigned() }

// Signed counts the tokens that were signed and are remembered.
func (s *KeySet) Signed() int { return len(s.signed.young) + len(s.signed.old) }

// Collide gives other the hash of token, which has verified.
func (s *KeySet) Collide(token, other string) {
	s.seen.young[maphash.String(s.seen.seed, other)] = s.seen.young[maphash.String(s.seen.seed, token)]
}

// Sent is what sign does with a token.
func (s *KeySet) Sent(token string) { s.signed.add(token) }

// SignRaw signs any input.
func (k Key) SignRaw(input string) ([]byte, error) { return k.sign([]byte(input)) }
