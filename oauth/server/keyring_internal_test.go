package server

import (
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// TestKeyring: while nothing changes the set is one object, which remembers tokens; and a server that has looked a moment ago looks
// again before it refuses a token by a key that it does not know.
func TestKeyring(t *testing.T) {
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
	servers := make([]*Server, 2)
	for i := range servers {
		servers[i], err = New(t.Context(), Config{
			PublicURL: "http://localhost:8080", Store: st, Registry: policy.Default(), Box: box, SigningAlgorithm: tokens.RS256, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	one, two := servers[0], servers[1]
	set := one.keys()
	if one.lookForKeys(); one.keys() != set {
		t.Error("a look that found nothing new made another set, which remembers no token")
	}

	rows, err := st.SigningKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := store.KeyRevocation{Write: impersonation.Write{Now: one.clock()}, ID: rows[0].ID}
	if _, err := st.RevokeSigningKey(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	one.lookForKeys() // and makes the next
	now := one.clock().Truncate(time.Second)
	token, err := one.keys().Sign(tokens.Claims{
		Issuer: one.issuer, Subject: "ann", Audience: "urn:x", ClientID: "app", ID: "tok_1", Session: "lgn_1", IssuedAt: now, Expires: now.Add(time.Minute),
	})
	if err != nil || one.keys() == set {
		t.Fatalf("the server has no new key: %v", err)
	}
	h := *two.ring.held.Load()
	h.looked = time.Now().Add(-keysAgain)
	two.ring.held.Store(&h)
	if _, err := two.verify(token); err != nil {
		t.Errorf("the other server refuses a token by the new key: %v", err)
	}
}
