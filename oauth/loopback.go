package oauth

import (
	"net/netip"
	"strings"
)

// Loopback reports whether host, of a URL without port and brackets, can only be this machine: an address of the loopback
// network, localhost, or a name below it, none of which ever leave the machine (RFC 6761 §6.3). Only there is http allowed.
func Loopback(host string) bool {
	if a, err := netip.ParseAddr(host); err == nil {
		return a.IsLoopback()
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") && host != ".localhost"
}
