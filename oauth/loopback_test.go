package oauth_test

import (
	"testing"

	"github.com/understudy-id/understudy/oauth"
)

func TestLoopback(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{
		"localhost": true, "app.localhost": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true,
		"": false, ".localhost": false, "mylocalhost": false, "localhost.acme.test": false, "0.0.0.0": false, "::": false, "10.0.0.1": false,
	} {
		if got := oauth.Loopback(host); got != want {
			t.Errorf("%q: got %v, want %v", host, got, want)
		}
	}
}
