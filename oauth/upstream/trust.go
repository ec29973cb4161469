package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// TrustConfig is the rule by which access tokens of an issuer tell who acts.
type TrustConfig struct {
	// Issuer is whose tokens they are; its URL is what iss must be, byte by byte.
	Issuer IssuerConfig
	// Audience is the one value that must be in aud; must be set. Give a name of ours alone: whoever is sent a token for a shared one could
	// present it here.
	Audience string
	// Clients has, by client_id of ours, the clients of that issuer whose tokens count for it; must be set. A client of theirs counts for one
	// of ours alone.
	Clients map[string][]string
	// ClientClaim is the claim that names the client; "" is azp and client_id, whichever there are. IDClaim is the one that names the token; "" is jti.
	ClientClaim, IDClaim string
	// MaxAge is how long ago a token may have been issued, whole seconds up to tokens.MaxForeignAge, which 0 is too.
	MaxAge time.Duration
	// Algorithms are those that the issuer may sign with; nil is tokens.Algorithms().
	Algorithms []string
	// ACR are the values of acr that stand for a second factor; nil: none does.
	ACR []string
	// Impersonate is what a token must say to start anything; zero: none does.
	Impersonate Mark
	// Introspection is where to ask whether a token is still good; zero for nowhere.
	Introspection Introspection
}

// Mark is what a token must say: the scope Scope, which is none of OpenID Connect's; or Value in Claim, a string at the top or an array
// of them.
type Mark struct{ Scope, Claim, Value string }

// common are the scopes that an issuer gives to any app for anybody (OpenID Connect Core §3.1.2.1, §5.4, §11).
var common = []string{"openid", "profile", "email", "address", "phone", "offline_access"}

func (f *faults) mark(m Mark) {
	f.add(m.Scope != "" && (m.Claim != "" || m.Value != ""), "impersonate must be a scope, or a claim and its value, but not both")
	f.add((m.Claim == "") != (m.Value == ""), "impersonate must have a value with its claim")
	f.add(m.Scope != "" && !oauth.ValidScopeToken(m.Scope), "impersonate must be one scope token (RFC 6749 section 3.3)")
	f.add(slices.Contains(common, m.Scope), "impersonate must be a scope that is for this alone: those of OpenID Connect may be in anybody's token")
}

func (m Mark) on(f tokens.Foreign) bool {
	if m.Scope != "" {
		return slices.Contains(f.Scope, m.Scope)
	}
	return m.Claim != "" && f.Says(m.Claim, m.Value)
}

// Trust reads tokens of an issuer by its rule. NewTrust makes one. It is safe for concurrent use.
type Trust struct {
	issuer *Issuer
	rule   TrustConfig
	now    func() time.Time
}

// NewTrust fetches nothing. It fails where c breaks rules, with an error for each, joined.
func NewTrust(c TrustConfig) (*Trust, error) {
	c.MaxAge = cmp.Or(c.MaxAge, tokens.MaxForeignAge)
	if c.Algorithms == nil {
		c.Algorithms = tokens.Algorithms()
	}
	issuer, err := NewIssuer(c.Issuer)
	if err := errors.Join(err, c.check()); err != nil {
		return nil, err
	}
	return &Trust{issuer: issuer, rule: c, now: issuer.now}, nil
}

func (c TrustConfig) check() error {
	var f faults
	f.add(c.Audience == "", "audience must be set")
	f.add(c.MaxAge < 0 || c.MaxAge > tokens.MaxForeignAge || c.MaxAge%time.Second != 0, "max_age must be whole seconds up to %s", tokens.MaxForeignAge)
	f.algorithms(c.Algorithms)
	f.add(slices.Contains(c.ACR, ""), "acr must have no empty value")
	f.clients(c.Clients)
	f.mark(c.Impersonate)
	f.introspection(c.Introspection, c.Issuer.Loopback)
	return f.join()
}

// clients keeps each client of theirs to one of ours: else a token that was sent to one of ours would count at another.
func (f *faults) clients(byOurs map[string][]string) {
	seen := make(map[string]bool)
	alone, twice := false, false
	for ours, theirs := range byOurs {
		alone = alone || ours == "" || len(theirs) == 0
		for _, id := range theirs {
			twice = twice || id == "" || seen[id]
			seen[id] = true
		}
	}
	f.add(len(byOurs) == 0, "clients must be set")
	f.add(alone, "clients must have, by each client_id, the clients that count for it")
	f.add(twice, "clients must have no client of the issuer twice, and none that is empty")
}

// Issuer is the issuer identifier.
func (t *Trust) Issuer() string { return t.issuer.URL() }

// Counts reports whether any token of the issuer may count for client.
func (t *Trust) Counts(client string) bool { return len(t.rule.Clients[client]) > 0 }

// Introspects reports whether Active can be asked.
func (t *Trust) Introspects() bool { return t.rule.Introspection != Introspection{} }

// Actor is who a token of a trusted issuer says that acts.
type Actor struct {
	tokens.Foreign
	// Impersonates: the token says what its issuer's rule wants to start anything.
	Impersonates bool
	// SecondFactor: its acr is one that stands for a second factor.
	SecondFactor bool
}

// Actor reads a token that client presents, as tokens.VerifyForeign does and with its errors. It fails with tokens.ErrClaims, and fetches
// nothing, where no token of the issuer counts for client; and with ErrUnavailable or ErrDocument where the issuer's keys cannot be had.
func (t *Trust) Actor(ctx context.Context, client, token string) (Actor, error) {
	issuer, kid, err := tokens.ForeignIssuer(token)
	switch {
	case err != nil:
		return Actor{}, err
	case issuer != t.Issuer():
		return Actor{}, fmt.Errorf("%w: iss must be the issuer", tokens.ErrClaims)
	case !t.Counts(client):
		return Actor{}, fmt.Errorf("%w: no token of the issuer counts for this client", tokens.ErrClaims)
	}
	keys, err := t.issuer.Keys(ctx, kid)
	if err != nil {
		return Actor{}, fmt.Errorf("getting the issuer's keys: %w", err)
	}
	r := t.rule
	f, err := tokens.VerifyForeign(token, tokens.ExpectForeign{
		Issuer: t.Issuer(), Audience: r.Audience, Clients: r.Clients[client], ClientClaim: r.ClientClaim, IDClaim: r.IDClaim,
		Algorithms: r.Algorithms, Keys: keys, MaxAge: r.MaxAge, Now: t.now(),
	})
	if err != nil {
		return Actor{}, err
	}
	return Actor{f, r.Impersonate.on(f), f.ACR != "" && slices.Contains(r.ACR, f.ACR)}, nil
}
