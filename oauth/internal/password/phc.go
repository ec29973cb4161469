package password

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What Hash uses: the first choice of OWASP's password storage guide. 19 MiB a hash keeps the default pool under 40 MiB,
// and about 20 ms a hash is slow for who guesses and not felt by who signs in.
const (
	memoryKiB = 19 * 1024
	passes    = 2
	lanes     = 1
	saltSize  = 16
	keySize   = 32
)

// The most that a stored string may ask for: room to raise the costs above, and far from what would stall a server if a
// row came from a hostile import.
const (
	maxMemoryKiB = 64 * 1024
	maxPasses    = 8
	maxLanes     = 4
	maxBytes     = 64 // of salt and of key
)

// ErrPHC means that a stored string is not one that this package understands: the row is damaged or foreign.
var ErrPHC = errors.New("password: not an argon2id string within bounds")

// digest is one argon2id hash with its costs: what a PHC string says.
type digest struct {
	memory    uint32 // KiB
	passes    uint32
	lanes     uint8
	salt, key []byte
}

// newDigest hashes password under a fresh salt.
func newDigest(password string) digest {
	d := digest{memory: memoryKiB, passes: passes, lanes: lanes, salt: make([]byte, saltSize), key: make([]byte, keySize)}
	rand.Read(d.salt) // never fails (crypto/rand)
	d.key = d.derive(password)
	return d
}

// dummy costs as much to match as what newDigest makes, and no caller takes its answer for a yes.
func dummy() digest {
	return digest{memory: memoryKiB, passes: passes, lanes: lanes, salt: make([]byte, saltSize), key: make([]byte, keySize)}
}

func (d digest) derive(password string) []byte {
	return argon2.IDKey([]byte(password), d.salt, d.passes, d.memory, d.lanes, uint32(len(d.key)))
}

func (d digest) matches(password string) bool {
	return subtle.ConstantTimeCompare(d.derive(password), d.key) == 1
}

// String is the PHC form: $argon2id$v=19$m=19456,t=2,p=1$salt$key, both as base64 without padding.
func (d digest) String() string {
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.memory, d.passes, d.lanes,
		enc.EncodeToString(d.salt), enc.EncodeToString(d.key))
}

// parse reads the PHC form. It takes only the one spelling that String gives, so that Sscanf's laxness does not matter.
func parse(phc string) (digest, error) {
	parts := strings.Split(phc, "$")
	if len(parts) != 6 {
		return digest{}, ErrPHC
	}
	var d digest
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &d.memory, &d.passes, &d.lanes); err != nil {
		return digest{}, ErrPHC
	}
	var errSalt, errKey error
	d.salt, errSalt = base64.RawStdEncoding.DecodeString(parts[4])
	d.key, errKey = base64.RawStdEncoding.DecodeString(parts[5])
	if errSalt != nil || errKey != nil || !d.bounded() || d.String() != phc {
		return digest{}, ErrPHC
	}
	return d, nil
}

// bounded refuses costs below what argon2 can compute (RFC 9106 §3.1: 8 KiB a lane) and above what we would pay.
func (d digest) bounded() bool {
	within := func(n, low, high int) bool { return low <= n && n <= high }
	return within(int(d.lanes), 1, maxLanes) &&
		within(int(d.passes), 1, maxPasses) &&
		within(int(d.memory), 8*int(d.lanes), maxMemoryKiB) &&
		within(len(d.salt), 8, maxBytes) &&
		within(len(d.key), 16, maxBytes)
}
