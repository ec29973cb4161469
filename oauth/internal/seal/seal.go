// Package seal keeps secrets at rest and in cookies: AES-256-GCM under a key that the operator holds. Start with [New],
// then [Box.Seal] and [Box.Open], which take the purpose of the secret, so that what was sealed for one place opens in
// no other. The package does not make, find or derive keys, and hides neither the length of a secret nor its age.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the length in bytes of a key.
const KeySize = 32

// Overhead is by how many bytes a sealed secret is longer than the secret: version, nonce and tag.
const Overhead = 1 + 12 + 16

// version names the format: this byte, then 12 bytes of nonce, ciphertext, 16 bytes of tag.
const version = 1

// ErrOpen is all that Open says: sealed was cut, changed, sealed for another purpose or under another key. Which of
// these it was helps nobody but an attacker.
var ErrOpen = errors.New("seal: cannot open")

// Box seals and opens. It is safe for concurrent use.
type Box struct {
	aeads []cipher.AEAD // the first seals, all open
	tag   []byte        // of the current key, for Tag
}

// New returns a Box that seals under current and opens what current or one of older sealed: to rotate, put the new key
// in front, seal everything anew, then drop the old one. Each key is KeySize random bytes; any other length is an error.
// One key may seal 2^32 times, since nonces are random (NIST SP 800-38D §8.3).
func New(current []byte, older ...[]byte) (*Box, error) {
	b := new(Box)
	for i, key := range append([][]byte{current}, older...) {
		if len(key) != KeySize {
			return nil, fmt.Errorf("seal: key %d has %d bytes, want %d", i, len(key), KeySize)
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("seal: key %d: %w", i, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("seal: key %d: %w", i, err)
		}
		b.aeads = append(b.aeads, aead)
	}
	tag, err := hkdf.Key(sha256.New, current, nil, "understudy seal: tag", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("seal: deriving the key of tags: %w", err)
	}
	b.tag = tag
	return b, nil
}

// Tag is a keyed hash of data (HMAC-SHA-256): the same from every process with the same current key, and from nobody
// without it, so that nothing can be guessed from it.
func (b *Box) Tag(data []byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, b.tag)
	h.Write(data)
	return [sha256.Size]byte(h.Sum(nil))
}

// Seal encrypts plain, which may be empty. The answer is Overhead bytes longer and differs each time. purpose is a fixed
// text with whatever else must match at Open, such as a row's id; it is authenticated, not stored.
func (b *Box) Seal(purpose string, plain []byte) []byte { return b.For(purpose).Seal(plain) }

// Open decrypts what Seal gave for the same purpose. The only error is ErrOpen.
func (b *Box) Open(purpose string, sealed []byte) ([]byte, error) { return b.For(purpose).Open(sealed) }

// Bound is a Box for one purpose, for who opens many secrets of the same one. It is safe for concurrent use.
type Bound struct {
	aeads []cipher.AEAD
	// associated ties the version to the ciphertext too: a later format can never be passed off as this one.
	associated []byte
}

// For binds the Box to a purpose.
func (b *Box) For(purpose string) Bound {
	return Bound{b.aeads, append([]byte{version}, purpose...)}
}

// Seal is Box.Seal for the purpose.
func (b Bound) Seal(plain []byte) []byte {
	out := make([]byte, 1, len(plain)+Overhead)
	out[0] = version
	return b.aeads[0].Seal(out, nil, plain, b.associated)
}

// Open is Box.Open for the purpose.
func (b Bound) Open(sealed []byte) ([]byte, error) { return b.Append(nil, sealed) }

// Append is Open that appends to dst, which may not overlap sealed, and answers the longer slice.
func (b Bound) Append(dst, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead || sealed[0] != version {
		return nil, ErrOpen
	}
	for _, aead := range b.aeads {
		if plain, err := aead.Open(dst, nil, sealed[1:], b.associated); err == nil {
			return plain, nil
		}
	}
	return nil, ErrOpen
}
