package tokens

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// parts is a JWS in compact form (RFC 7515 §7.1) whose every part is spelled in the one way that it can be.
type parts struct {
	header, input      string // as sent; input is what is signed
	payload, signature []byte
}

func split(token string) (parts, error) { return splitUpTo(MaxLength, token) }

func splitUpTo(most int, token string) (parts, error) {
	if len(token) > most {
		return parts{}, fmt.Errorf("%w: longer than %d bytes", ErrMalformed, most)
	}
	input, signature, ok := cutLast(token, '.')
	header, payload, ok2 := strings.Cut(input, ".")
	if !ok || !ok2 {
		return parts{}, fmt.Errorf("%w: not three parts", ErrMalformed)
	}
	p := parts{header: header, input: input}
	var err error
	if p.payload, err = decode(payload); err != nil {
		return parts{}, err
	}
	p.signature, err = decode(signature)
	return p, err
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// decode reads base64url in its one spelling: no padding, no trailing bits, and no CR or LF, which DecodeString skips
// even when it is strict.
func decode(part string) ([]byte, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		return nil, fmt.Errorf("%w: not base64url", ErrMalformed)
	}
	return raw, nil
}
