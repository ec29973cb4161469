package outbound_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/outbound"
)

// counting is a server on loopback that counts what connects to it.
func counting(t *testing.T, handler http.Handler) (s *httptest.Server, connections *atomic.Int64) {
	t.Helper()
	connections = new(atomic.Int64)
	s = httptest.NewUnstartedServer(handler)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s, connections
}

// TestLoopback: this machine's own services are reached by no spelling, and nothing connects.
//
// Covers RFC8725-3.10-02.
func TestLoopback(t *testing.T) {
	t.Parallel()
	s, connections := counting(t, http.NotFoundHandler())
	_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	for _, host := range []string{"127.0.0.1", "localhost", "127.1.2.3", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"} {
		_, err := outbound.New(outbound.Config{}).Post("http://"+host+":"+port+"/", "", nil)
		if !errors.Is(err, outbound.ErrAddress) {
			t.Errorf("%s: got %v, want ErrAddress", host, err)
		}
	}
	if n := connections.Load(); n != 0 {
		t.Errorf("got %d connections, want none", n)
	}
	for name, c := range map[string]outbound.Config{
		"loopback": {Loopback: true},
		"network":  {Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	} {
		if _, err := outbound.New(c).Get(s.URL); err != nil {
			t.Errorf("%s is allowed: %v", name, err)
		}
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("got %d connections, want 2", n)
	}
}

// TestAddresses: of each kind of address one that is refused, and the ones beside it that are not.
//
// Covers RFC8725-3.10-02.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, refused, allowed string }{
		{"private 10/8", "10.0.0.1 10.255.255.255", "9.255.255.255 11.0.0.0"},
		{"private 172.16/12", "172.16.0.1 172.31.255.255", "172.15.255.255 172.32.0.0"},
		{"private 192.168/16", "192.168.0.1 192.168.255.255", "192.167.255.255 192.169.0.0"},
		{"link-local, a cloud's metadata", "169.254.169.254 fe80::1 fe80::1%eth0", "169.253.0.1 169.255.0.1"},
		{"carrier's NAT", "100.64.0.1 100.100.100.200 100.127.255.255", "100.63.255.255 100.128.0.0"},
		{"unspecified", "0.0.0.0 ::", ""},
		{"this network", "0.1.2.3", "1.0.0.0"},
		{"multicast", "224.0.0.1 239.255.255.250 ff02::1 ff0e::1", ""},
		{"broadcast and reserved", "255.255.255.255 240.0.0.1", ""},
		{"documentation, benchmarks", "192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 2001:db8::1 3fff::1", "198.17.255.255 198.20.0.0"},
		{"assignments", "192.0.0.170 192.88.99.1 2001:1::1", "192.0.1.1"},
		{"unique local", "fc00::1 fd00:ec2::254", "2a00:1450:4001:800::200e"},
		{"site-local", "fec0::1", ""},
		{"an IPv4 address within", "::ffff:10.0.0.1 ::ffff:169.254.169.254 ::10.0.0.1 64:ff9b::10.0.0.1 64:ff9b:1::1 2002:a00:1::1 2001:0:a00:1::1", "::ffff:8.8.8.8"},
		{"discarded", "100::1", ""},
	} {
		for _, a := range strings.Fields(c.refused) {
			if outbound.Allows(outbound.Config{Loopback: true}, a) {
				t.Errorf("%s: %s is allowed", c.what, a)
			}
			network := outbound.Config{Allow: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(a).Unmap().WithZone(""), 8)}}
			if !outbound.Allows(network, a) {
				t.Errorf("%s: %s is refused though its network is allowed", c.what, a)
			}
		}
		for _, a := range strings.Fields(c.allowed) {
			if !outbound.Allows(outbound.Config{}, a) {
				t.Errorf("%s: %s is refused", c.what, a)
			}
		}
	}
}

// TestNoRedirect: where an answer points is not asked, and the answer is what it is.
func TestNoRedirect(t *testing.T) {
	t.Parallel()
	other, connections := counting(t, http.NotFoundHandler())
	s, _ := counting(t, http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	r, err := outbound.New(outbound.Config{Loopback: true}).Post(s.URL, "text/plain", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusTemporaryRedirect || connections.Load() != 0 {
		t.Errorf("got %d and %d connections; want 307 and none", r.StatusCode, connections.Load())
	}
}

// TestNoProxy: a proxy in the environment is not asked. It would connect for us to where we must not.
func TestNoProxy(t *testing.T) {
	t.Parallel()
	if outbound.New(outbound.Config{}).Transport.(*http.Transport).Proxy != nil {
		t.Error("the transport asks for a proxy")
	}
}

// TestHeaders: an answer without end does not fill the memory.
func TestHeaders(t *testing.T) {
	t.Parallel()
	s, _ := counting(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 64<<10)) }))
	if _, err := outbound.New(outbound.Config{Loopback: true}).Get(s.URL); err == nil {
		t.Error("64 KiB of headers were read")
	}
}
