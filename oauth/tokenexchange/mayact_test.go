package tokenexchange_test

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/ory/fosite"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokenexchange"
)

// TestMayAct: a subject's own token is for whom it names and for nobody else. Every member that is given must match, and what is
// missing or empty matches nobody.
//
// Covers RFC8693-4.4-02, RFC8693-4.4-03, RFC8693-4.4-04, RFC8693-4.4-05, RFC8693-4.4-09, RFC8693-1.1-02.
func TestMayAct(t *testing.T) {
	t.Parallel()
	may := func(issuer, subject, client string) *tokenexchange.MayAct {
		return &tokenexchange.MayAct{Party: oauth.Party{Issuer: issuer, Subject: subject}, Client: client}
	}
	for name, c := range map[string]struct {
		may    *tokenexchange.MayAct
		actor  string // "": the client itself
		client string
		want   string // who acts, "" for a refusal
	}{
		"a person":                        {may(issuer, "ann", ""), "admin", "app", "ann"},
		"a person at this client":         {may(issuer, "ann", "app"), "admin", "app", "ann"},
		"a person at another client":      {may(issuer, "ann", "other"), "admin", "app", ""},
		"another person":                  {may(issuer, "bea", ""), "admin", "app", ""},
		"the same sub of another issuer":  {may("https://else.example", "ann", ""), "admin", "app", ""},
		"a longer sub":                    {may(issuer, "anna", ""), "admin", "app", ""},
		"the client itself":               {may(issuer, "client:app", "app"), "", "app", "client:app"},
		"the client, and a person's":      {may(issuer, "client:app", "app"), "admin", "app", ""},
		"a person, and nobody sent":       {may(issuer, "ann", ""), "", "app", ""},
		"another client":                  {may(issuer, "client:else", ""), "", "app", ""},
		"nobody":                          {nil, "admin", "app", ""},
		"nobody, and nobody sent":         {nil, "", "app", ""},
		"an empty may_act":                {may("", "", ""), "admin", "app", ""},
		"an empty may_act, a client none": {may("", "", ""), "", "other", ""},
		"no sub":                          {may(issuer, "", ""), "admin", "app", ""},
		"no iss":                          {may("", "ann", ""), "admin", "app", ""},
		"a public client itself":          {may(issuer, "client:public", ""), "", "public", ""},
	} {
		for _, subjectType := range []oauth.TokenType{oauth.TokenTypeAccessToken, oauth.TokenTypeJWT} {
			t.Run(name+" "+string(subjectType), func(t *testing.T) {
				t.Parallel()
				f := good()
				f.inputs["own"] = tokenexchange.Input{Subject: oauth.Party{Issuer: issuer, Subject: "john"}, Client: c.client, ID: "tok_2", MayAct: c.may}
				form := url.Values{
					"client_id": {c.client}, "grant_type": {oauth.GrantTypeTokenExchange}, "subject_token": {"own"}, "subject_token_type": {string(subjectType)},
				}
				if c.actor != "" {
					form.Set("actor_token", c.actor)
					form.Set("actor_token_type", string(oauth.TokenTypeAccessToken))
				}
				_, err := exchange(provider(t, f), form)
				if c.want != "" {
					if err != nil || len(f.plans) != 1 || f.plans[0].Actor.Subject != (oauth.Party{Issuer: issuer, Subject: c.want}) {
						t.Fatalf("got %v and %+v; want %s to act", err, f.plans, c.want)
					}
					return
				}
				var rfc *fosite.RFC6749Error
				if !errors.As(err, &rfc) || rfc.CodeField != http.StatusBadRequest || len(f.plans) != 0 {
					t.Errorf("got %v and %d commits; want a refusal", err, len(f.plans))
				}
			})
		}
	}
}
