package ssf

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"strings"
)

// IDs names SETs: the jti of one says to its issuer alone which event it tells, and to whom, so that what a receiver acknowledges need not
// be looked up. Every server with the same Tag gives the same name to the same SET.
type IDs struct {
	// Tag is a keyed hash that nobody else can make. Must be set.
	Tag func(data []byte) [sha256.Size]byte
}

const idPrefix = "set_"

var idText = base32.StdEncoding.WithPadding(base32.NoPadding)

// ID is the jti of the SET that tells audience of the event at position: "set_" and 26 characters. How many events there were before does
// not show in it.
func (n IDs) ID(audience string, position int64) string {
	tag := n.tag(audience, position)
	raw := binary.BigEndian.AppendUint64(tag[:8:8], uint64(position)^n.mask(tag))
	return idPrefix + strings.ToLower(idText.EncodeToString(raw))
}

// Position reads what ID gave, and reports whether it gave it for audience.
func (n IDs) Position(audience, id string) (int64, bool) {
	text, ok := strings.CutPrefix(id, idPrefix)
	raw, err := idText.DecodeString(strings.ToUpper(text))
	if !ok || err != nil || len(raw) != 16 {
		return 0, false
	}
	position := int64(binary.BigEndian.Uint64(raw[8:]) ^ n.mask([8]byte(raw[:8])))
	return position, n.ID(audience, position) == id
}

func (n IDs) tag(audience string, position int64) [8]byte {
	sum := n.Tag(binary.BigEndian.AppendUint64([]byte("ssf jti:"+audience+":"), uint64(position)))
	return [8]byte(sum[:8])
}

func (n IDs) mask(tag [8]byte) uint64 {
	sum := n.Tag(append([]byte("ssf mask:"), tag[:]...))
	return binary.BigEndian.Uint64(sum[:8])
}
