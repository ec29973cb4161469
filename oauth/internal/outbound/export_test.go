package outbound

import "net/netip"

// Allows tells what c would do with an address.
func Allows(c Config, address string) bool { return c.allows(netip.MustParseAddr(address)) }
