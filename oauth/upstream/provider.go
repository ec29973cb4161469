package upstream

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// validName is what may stand in a path, and in upper case in the name of a variable of the environment.
var validName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Config is a provider to sign in through, and what it knows us as.
type Config struct {
	// Name stands in our paths and in the log: 1 to 32 of a-z, 0-9 and -, of which - is not the first; must be set.
	Name string
	// Label is what people read; "" is Name.
	Label string
	// Issuer is where it is and how it may be reached.
	Issuer IssuerConfig
	// ClientID is ours at the provider; must be set.
	ClientID string
	// ClientSecret goes with it, by client_secret_basic or client_secret_post, as the provider's metadata says; "" is a public client.
	ClientSecret oauth.Secret
	// RedirectURI is where the provider sends people back to; must be set, and be that of no other provider: it tells them apart (RFC 9700 §4.4.2).
	RedirectURI string
	// PostLogoutURI is where the provider sends people back to that have signed out there; "" leaves them there.
	PostLogoutURI string
	// Scopes are what to ask for; none is email and profile. openid is always among them.
	Scopes []string
	// Algorithms are those that the provider may sign with, some of tokens.Algorithms(); none is all of them.
	Algorithms []string
	// GroupsClaim, RolesClaim and OrganisationClaim name the claims to read, in the ID token or in userinfo; "" reads none. Where there is none of
	// exactly that name, its dots lead through at most four objects to it, as in realm_access.roles.
	GroupsClaim, RolesClaim, OrganisationClaim string
}

// Provider is an issuer that people sign in through. New makes one. It is safe for concurrent use.
type Provider struct {
	c      Config
	issuer *Issuer
}

// New fetches nothing: a provider that is down stops no start. It fails where c breaks rules, with an error for each, joined.
func New(c Config) (*Provider, error) {
	if c.Label == "" {
		c.Label = c.Name
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"email", "profile"}
	}
	if !slices.Contains(c.Scopes, "openid") {
		c.Scopes = append([]string{"openid"}, c.Scopes...)
	}
	if len(c.Algorithms) == 0 {
		c.Algorithms = tokens.Algorithms()
	}
	issuer, err := NewIssuer(c.Issuer)
	if err := errors.Join(err, c.check()); err != nil {
		return nil, err
	}
	return &Provider{c, issuer}, nil
}

func (c Config) check() error {
	var f faults
	f.add(!validName.MatchString(c.Name), "name must be 1 to 32 of a-z, 0-9 and -, and not begin with -")
	f.add(c.ClientID == "", "client_id must be set")
	f.add(slices.ContainsFunc(c.Scopes, func(s string) bool { scope, err := oauth.ParseScope(s); return err != nil || len(scope) != 1 }),
		"scopes must each be one scope (RFC 6749 §3.3)")
	f.algorithms(c.Algorithms)
	err := checkURL(c.RedirectURI, true)
	f.add(err != nil, "the redirect URI %w", err)
	err = checkURL(c.PostLogoutURI, true)
	f.add(err != nil && c.PostLogoutURI != "", "the URI after a sign-out %w", err)
	return f.join()
}

// Name is the provider's name, Label what people read.
func (p *Provider) Name() string { return p.c.Name }

// Label is what people read.
func (p *Provider) Label() string { return p.c.Label }

// Issuer is who the provider is: its documents and keys.
func (p *Provider) Issuer() *Issuer { return p.issuer }

// AuthRequest is one request to sign somebody in. Keep it, bound to their browser, until the answer comes, and redeem that answer with it, once.
type AuthRequest struct {
	// State, Nonce and Verifier are secrets of this request (RFC 6749 §10.12, OpenID Connect Core §3.1.2.1, RFC 7636 §4.1); must be set.
	State, Nonce, Verifier string
	// MaxAge is how long ago the person may have signed in there, in whole seconds; negative asks nothing, zero for a fresh sign-in.
	MaxAge time.Duration
	// Asked is when AuthURL was called, from which MaxAge counts back; zero counts from when the answer came, which refuses who takes long.
	Asked time.Time
	// ACRValues, Prompt and LoginHint are parameters of OpenID Connect Core §3.1.2.1; empty asks nothing.
	ACRValues         []string
	Prompt, LoginHint string
}

// AuthURL gives where to send the person's browser: the code flow with PKCE (S256), the answer in the query. It fails with ErrUnavailable or ErrDocument.
func (p *Provider) AuthURL(ctx context.Context, r AuthRequest) (string, error) {
	if r.State == "" || r.Nonce == "" || r.Verifier == "" {
		return "", errors.New("upstream: state, nonce and verifier must be set")
	}
	m, err := p.issuer.Metadata(ctx)
	if err != nil {
		return "", err
	}
	if m.AuthorizationEndpoint == "" {
		return "", fmt.Errorf("%w: authorization_endpoint is missing", ErrDocument)
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(r.Verifier)}
	for _, param := range []struct{ name, value string }{
		{"response_mode", "query"}, {"nonce", r.Nonce}, {"max_age", r.maxAge()}, {"acr_values", strings.Join(r.ACRValues, " ")},
		{"prompt", r.Prompt}, {"login_hint", r.LoginHint},
	} {
		if param.value != "" {
			options = append(options, oauth2.SetAuthURLParam(param.name, param.value))
		}
	}
	return p.oauth2(m).AuthCodeURL(r.State, options...), nil
}

func (r AuthRequest) maxAge() string {
	if r.MaxAge < 0 {
		return ""
	}
	return strconv.Itoa(int(r.MaxAge / time.Second))
}

// oauth2 is the client that the provider knows.
func (p *Provider) oauth2(m Metadata) *oauth2.Config {
	style := oauth2.AuthStyleInHeader
	if p.c.ClientSecret == "" || !slices.Contains(m.TokenAuthMethods, "client_secret_basic") {
		style = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: p.c.ClientID, ClientSecret: string(p.c.ClientSecret), RedirectURL: p.c.RedirectURI, Scopes: p.c.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, AuthStyle: style},
	}
}
