package impersonation_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// FuzzTicket redeems what nobody issued, by each of the doors: it opens nothing, and is refused on record rather than failing.
func FuzzTicket(f *testing.F) {
	st, err := sqlite.Open(context.Background(), sqlite.Config{Path: filepath.Join(f.TempDir(), "test.db"), Migrate: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { st.Close() })
	rules, err := policy.New(policy.Default(), policy.Options{})
	if err != nil {
		f.Fatal(err)
	}
	service, err := impersonation.New(impersonation.Config{
		Issuer: issuer, Store: st, Decider: rules, Now: time.Now, Logger: slog.New(slog.NewTextHandler(new(bytes.Buffer), nil)),
		Lifetimes: impersonation.Lifetimes{Ticket: time.Minute, Idle: 10 * time.Minute, LoginIdle: time.Hour, ReturnExtra: 5 * time.Minute, DoubleClick: time.Minute},
	})
	if err != nil {
		f.Fatal(err)
	}
	secret := string(oauth.NewSecret())
	for _, seed := range [][3]string{{secret, verifier, "ann"}, {secret[:42], "", ""}, {secret + "=", verifier, "client:app"}, {"", verifier, "john"}, {"\x00", "\xff", "a\x00b"}} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, ticket, verifier, user string) {
		if len(user) > 300 {
			return // no verified token says so
		}
		actor := impersonation.ActorProof{User: user, Login: "lgn_1", JTI: "tok_1", Scope: []string{oauth.ScopeImpersonate}}
		for _, r := range []impersonation.StartRequest{
			{Ticket: oauth.Secret(ticket), CodeVerifier: verifier},
			{UserID: "x" + user, Reason: ticket, TicketNumber: verifier},
			{Subject: impersonation.SubjectProof{User: "x" + user}},
		} {
			r.Client, r.Actor, r.RequestID = "app", actor, "req_1"
			started, err := service.Start(t.Context(), r)
			var refusal *impersonation.Refusal
			if started != nil || !errors.As(err, &refusal) {
				t.Fatalf("got %v, %v; want a refusal", started, err)
			}
		}
	})
}
