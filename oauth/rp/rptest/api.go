package rptest

import (
	"net/http"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// BearerConfig configures an API for which the tokens of this issuer are: of the client ClientID, for the audience Resource. It takes no
// token that is bound to a key. Change what the test is about, and give it to rp.NewBearer.
func (i *Issuer) BearerConfig() rp.BearerConfig {
	return rp.BearerConfig{
		Issuer: i.URL, Audience: Resource, ClientID: ClientID, ClientSecret: clientSecret, Client: &http.Client{Transport: wire{i}}, Now: i.Now,
	}
}

// Token is an access token of subject's own with scope, for BearerConfig: subject signed in with a password just now, and it counts for 10 minutes. It
// goes behind "Bearer " in the Authorization header. It panics if subject has no Subject.
func (i *Issuer) Token(subject rp.Person, scope ...string) string {
	if subject.Subject == "" {
		panic("rptest: a token needs a Subject")
	}
	return i.hand(func() *grant { return &grant{person: subject, scope: oauth.JoinScope(scope)} })
}

// ImpersonationToken is an access token of subject in the hands of actor, who impersonates them from now on: it counts for 30 minutes, or until End. It
// has scope, and with oauth.ModeWrite the scope that means full access; the real issuer leaves out of it what the mode and the people do not allow. It
// panics where Impersonate does.
func (i *Issuer) ImpersonationToken(actor, subject rp.Person, mode oauth.Mode, scope ...string) string {
	if actor.Subject == "" || subject.Subject == "" || actor.Subject == subject.Subject || !mode.Valid() {
		panic("rptest: an impersonation needs two persons with a Subject, and a mode")
	}
	if mode == oauth.ModeWrite {
		scope = append(slices.Clone(scope), oauth.ScopeImpersonationWrite)
	}
	return i.hand(func() *grant {
		return &grant{person: subject, scope: oauth.JoinScope(scope), session: i.open(actor, subject, mode)}
	})
}

// hand gives the token of what is granted.
func (i *Issuer) hand(granted func() *grant) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.give(granted())["access_token"].(string)
}
