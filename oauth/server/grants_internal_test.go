package server

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// TestGrantHandlers: these are all that can make a token at the token endpoint. Who adds one adds it to TestChangesAtEveryDoor and
// TestEveryGrantAsks, which show that it gives no token with act unless the policy was asked.
func TestGrantHandlers(t *testing.T) {
	t.Parallel()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "test.db"), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	box, err := seal.New(make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), Config{
		PublicURL: "http://localhost:8080", Store: st, Registry: policy.Default(), Box: box, SigningAlgorithm: tokens.RS256, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range s.provider.Config.GetTokenEndpointHandlers(t.Context()) {
		got = append(got, fmt.Sprintf("%T", h))
	}
	want := []string{
		"*oauth2.AuthorizeExplicitGrantHandler", "*openid.OpenIDConnectExplicitHandler", "*pkce.Handler", // code
		"server.refreshTokens", "server.clientCredentials", "*tokenexchange.Handler",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
