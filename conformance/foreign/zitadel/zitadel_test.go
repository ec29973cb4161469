package zitadel_test

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/conformance/internal/findings"
)

// store is the example's, but for what its clients cannot be told.
type store struct{ *storage.Storage }

func (s store) GetClientByClientID(ctx context.Context, id string) (op.Client, error) {
	c, err := s.Storage.GetClientByClientID(ctx, id)
	if err != nil {
		return nil, err
	}
	return client{c}, nil
}

type client struct{ op.Client }

// AccessTokenType is one of which anybody can read who acts.
func (client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeJWT }

// GrantTypes are without the exchange for the client that must not have it.
func (c client) GrantTypes() []oidc.GrantType {
	if c.GetID() == plain.ID {
		return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
	}
	return c.Client.GrantTypes()
}

var (
	app    = conformance.Client{ID: "app", Secret: "A secret of The app", RedirectURI: "https://app.example/app"}
	other  = conformance.Client{ID: "other", Secret: "A secret of The other", RedirectURI: "https://app.example/other"}
	plain  = conformance.Client{ID: "plain", Secret: "A secret of The plain one", RedirectURI: "https://app.example/plain"}
	public = conformance.Client{ID: "public", RedirectURI: "http://localhost/public"}

	ann  = conformance.Account{Subject: "ann", Login: "ann@acme.test", Password: "The password of ann"}
	bea  = conformance.Account{Subject: "bea", Login: "bea@acme.test", Password: "The password of bea"}
	john = conformance.Account{Subject: "john", Login: "john@acme.test", Password: "The password of john"}
	eve  = conformance.Account{Subject: "eve", Login: "eve@acme.test", Password: "The password of eve"}
	pat  = conformance.Account{Subject: "pat", Login: "pat@acme.test", Password: "The password of pat"}
)

// start serves the example, with ann, bea and pat as its administrators.
func start(t *testing.T) (issuer string) {
	t.Helper()
	users := make(map[string]storage.User)
	for _, a := range []conformance.Account{ann, bea, john, eve, pat} {
		users[a.Subject] = storage.User{ID: a.Subject, Username: a.Login, Password: a.Password, FirstName: "Test", LastName: a.Subject, Email: a.Login,
			EmailVerified: true, IsAdmin: a == ann || a == bea || a == pat}
	}
	text, err := json.Marshal(users)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "users.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	people, err := storage.StoreFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	clients := map[string]*storage.Client{public.ID: storage.NativeClient(public.ID, public.RedirectURI)}
	for _, c := range []conformance.Client{app, other, plain} {
		clients[c.ID] = storage.WebClient(c.ID, c.Secret, c.RedirectURI)
	}
	srv := httptest.NewUnstartedServer(nil)
	issuer = "http://" + srv.Listener.Addr().String()
	srv.Config.Handler = exampleop.SetupServer(issuer, store{storage.NewStorageWithClients(people, clients)}, slog.New(slog.DiscardHandler), false)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it panics where a test says so
	srv.Start()
	t.Cleanup(srv.Close)
	return issuer
}

// TestSuite: the user's own token of an administrator, with a scope that names a user, is exchanged for a token about that user (the example's
// ValidateTokenExchangeRequest). Without requested_token_type the example gives a refresh token, and without audience a token that introspection calls inactive.
func TestSuite(t *testing.T) {
	t.Parallel()
	findings.Check(t, conformance.Target{
		Name: "zitadel/oidc's example", Issuer: start(t), Scope: "openid profile",
		Clients:  conformance.Clients{App: app, Other: &other, NoExchange: &plain, Public: &public},
		Accounts: conformance.Accounts{Actor: ann, OtherActor: &bea, Subject: john, Ordinary: &eve, Protected: &pat},
		Start: conformance.Start{
			By: conformance.StartByRequest, SubjectParam: "scope", SubjectValue: "openid " + storage.CustomScopeImpersonatePrefix + "{subject}",
			Parameters: map[string]string{"audience": app.ID, "requested_token_type": string(oidc.AccessTokenType)},
		},
	}, "code/once-in-parallel", "refresh/once-in-parallel", // two steps
		"exchange/subject-token-tampered", "exchange/errors-tell-nothing") // of what is no JWT the example decrypts what comes, without any check: one in some is of nobody's
}
