package tokens

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// sameURL reports whether two http or https URLs are one after normalisation, query and fragment aside (RFC 9449 §4.3 (9)). What is no
// URL is the same as nothing.
func sameURL(a, b string) bool {
	x, okX := normalURL(a)
	y, okY := normalURL(b)
	return okX && okY && x == y
}

// normalURL is the syntax-based and scheme-based normalisation of RFC 3986 §6.2.2 and §6.2.3.
func normalURL(raw string) (string, bool) {
	raw, ok := normalEscapes(raw)
	if !ok {
		return "", false
	}
	u, err := url.Parse(raw)
	if err != nil || u.User != nil || u.Hostname() == "" {
		return "", false
	}
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" {
		return "", false
	}
	if u.Port() != "" {
		port = u.Port()
	}
	path := u.ResolveReference(u).EscapedPath() // without dot segments, RFC 3986 §5.2.4
	if path == "" {
		path = "/"
	}
	return u.Scheme + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port) + path, true
}

// normalEscapes decodes the escapes of what needs none and writes the others in capitals (RFC 3986 §6.2.2.1, §6.2.2.2). It reports
// false on what no URI has, which net/url would let pass.
func normalEscapes(s string) (string, bool) {
	var b strings.Builder
	for ; s != ""; s = s[1:] {
		switch c := s[0]; {
		case c == '%':
			if len(s) < 3 {
				return "", false
			}
			octet, err := strconv.ParseUint(s[1:3], 16, 8)
			if err != nil {
				return "", false
			}
			if unreserved(byte(octet)) {
				b.WriteByte(byte(octet))
			} else {
				b.WriteString(strings.ToUpper(s[:3]))
			}
			s = s[2:]
		case unreserved(c) || strings.IndexByte(":/?#[]@!$&'()*+,;=", c) >= 0:
			b.WriteByte(c)
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unreserved is RFC 3986 §2.3.
func unreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}
