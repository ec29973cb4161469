// Package outbound makes requests to URLs that others have given, such as a client's back-channel logout URI, without letting them
// reach what only this machine or its network can (server-side request forgery, RFC 8725 §3.10). Start with [New]. It looks at the
// address that a name has come to when the connection is made, so that a name which changes its mind in between gains nothing.
//
// It does not judge URLs: whether http will do is the caller's to say.
package outbound

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// ErrAddress: the host has an address that is not for the public. Nothing was sent.
var ErrAddress = errors.New("outbound: a private address")

// Config is what New needs. The zero value reaches public addresses alone.
type Config struct {
	// Allow are networks that may be reached though they are not public.
	Allow []netip.Prefix
	// Loopback allows this machine's own addresses.
	Loopback bool
}

// maxHeader is how many bytes of headers an answer may have: what we read of it is its status.
const maxHeader = 16 << 10

// New returns a client that connects to public addresses, and to those that c allows. It follows no redirect but answers it, uses
// no proxy, and keeps no cookies. The caller bounds each request by its context, and how much it reads of an answer.
func New(c Config) *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second, Control: c.control}
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // one in the environment would connect for us, unseen
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConns: 16, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: maxHeader,
		},
	}
}

// control refuses before the connection is made. address is that of the socket: names are resolved by now.
func (c Config) control(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q is none", ErrAddress, address)
	}
	if !c.allows(to.Addr()) {
		return fmt.Errorf("%w: %s", ErrAddress, to.Addr())
	}
	return nil
}

func (c Config) allows(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() && c.Loopback {
		return true
	}
	return within(a, c.Allow) || public(a)
}

// public reports whether a is an address that anybody on the internet can reach.
func public(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsPrivate() && !within(a, special)
}

func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// special are what netip takes for global and is not (RFC 6890 and the IANA registries of special-purpose addresses), and the IPv6
// networks that carry an IPv4 address, behind which any other may stand.
var special = func() (out []netip.Prefix) {
	for _, n := range []string{
		"0.0.0.0/8",       // this network
		"100.64.0.0/10",   // behind a carrier's NAT; clouds keep services there
		"192.0.0.0/24",    // protocol assignments
		"192.0.2.0/24",    // documentation, as the next ones
		"198.51.100.0/24", //
		"203.0.113.0/24",  //
		"192.88.99.0/24",  // 6to4 relays
		"198.18.0.0/15",   // benchmarks
		"240.0.0.0/4",     // reserved, and broadcast
		"::/96",           // IPv4-compatible
		"64:ff9b::/96",    // NAT64
		"64:ff9b:1::/48",  // local NAT64
		"100::/64",        // discarded
		"2001::/23",       // protocol assignments, Teredo among them
		"2001:db8::/32",   // documentation
		"2002::/16",       // 6to4
		"3fff::/20",       // documentation
		"fec0::/10",       // site-local, of old
	} {
		out = append(out, netip.MustParsePrefix(n))
	}
	return out
}()
