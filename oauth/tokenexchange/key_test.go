package tokenexchange_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// TestKey: the handler holds an actor token and a subject token to the key that the provider says was proven, and calls the answer what its key makes it.
func TestKey(t *testing.T) {
	t.Parallel()
	const mine, another = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
	for name, c := range map[string]struct {
		actor, subject, proven string
		code                   string // "" where the exchange goes on
	}{
		"bearer":                     {},
		"bearer actor, proof":        {proven: mine},
		"bound actor":                {actor: mine, proven: mine},
		"bound actor, no proof":      {actor: mine, code: "invalid_dpop_proof"},
		"bound actor, another key":   {actor: mine, proven: another, code: "invalid_request"},
		"bound subject, no proof":    {subject: mine, code: "invalid_dpop_proof"},
		"bound subject":              {subject: mine, proven: mine},
		"bound subject, another key": {subject: mine, proven: another, code: "invalid_request"},
		"both":                       {actor: mine, subject: mine, proven: mine},
		"each its own, the actor's":  {actor: another, subject: mine, proven: another, code: "invalid_request"},
		"each its own, subject's":    {actor: another, subject: mine, proven: mine, code: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := good()
			actor, subject := f.inputs["admin"], f.inputs["ticket"]
			actor.Key, subject.Key = c.actor, c.subject
			f.inputs["admin"], f.inputs["ticket"] = actor, subject
			resp, err := exchangeIn(tokenexchange.WithKey(context.Background(), c.proven), provider(t, f), startForm())
			if c.code != "" {
				var rfc *fosite.RFC6749Error
				if !errors.As(err, &rfc) || rfc.ErrorField != c.code || rfc.CodeField != 400 || len(f.plans) != 0 {
					t.Errorf("got %v and %d commits; want 400 %s and none", err, len(f.plans), c.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := "Bearer"
			if c.proven != "" {
				want = "DPoP"
			}
			if f.plans[0].Key != c.proven || resp.GetTokenType() != want {
				t.Errorf("plan.Key = %q, token_type = %q; want %q, %s", f.plans[0].Key, resp.GetTokenType(), c.proven, want)
			}
		})
	}
}
