package tokens

import (
	"crypto"
	"crypto/ecdsa"
	"encoding/json"
	"hash/maphash"
)

// Private lets a test sign what Sign would not, with a key for ES256.
func (k Key) Private() *ecdsa.PrivateKey { return k.held().signer.(*ecdsa.PrivateKey) }

// Signer lets it do so with any.
func (k Key) Signer() crypto.Signer { return k.held().signer }

// ParseObject lets a test compare what the strict reader reads with what others do.
func ParseObject(b []byte) (map[string]any, error) {
	members, err := parseObject(b)
	if err != nil {
		return nil, err
	}
	return node{kind: '{', members: members}.value().(map[string]any), nil
}

// value is n as encoding/json would give it.
func (n node) value() (v any) {
	switch n.kind {
	case '{':
		object := make(map[string]any)
		for _, m := range n.members {
			object[m.name] = m.value()
		}
		return object
	case '[':
		array := make([]any, 0)
		for _, item := range n.items {
			array = append(array, item.value())
		}
		return array
	case '"':
		return n.text
	}
	if err := json.Unmarshal([]byte(n.text), &v); err != nil {
		panic(err)
	}
	return v
}

// ParseJWS lets a test see what the header's reader takes, whoever signed.
func ParseJWS(token string) (payload []byte, err error) {
	j, err := parseAnyJWS(token)
	return j.payload, err
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
