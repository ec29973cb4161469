package conformance

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Target is a server, and what the suite needs in order to test it. All that it names must exist before: the suite registers nothing. The
// accounts and clients should be there for the test alone.
type Target struct {
	// Name is for the report; "" is the issuer.
	Name string `yaml:"name"`
	// Issuer is the issuer identifier, below which the metadata is found (RFC 8414 §3, OpenID Connect Discovery §4).
	Issuer string `yaml:"issuer"`
	// Clients may sign people in and exchange.
	Clients Clients `yaml:"clients"`
	// Accounts are the people.
	Accounts Accounts `yaml:"accounts"`
	// Start is how an impersonation begins.
	Start Start `yaml:"start"`
	// Agents act as themselves for Accounts.Subject, who let each of them. Nobody else did.
	Agents []Agent `yaml:"agents"`
	// Resource is the API that tokens are asked for, "" for the server's own choice (RFC 8707).
	Resource string `yaml:"resource"`
	// OtherResource is another API that Clients.App may ask tokens for.
	OtherResource string `yaml:"other_resource"`
	// Scope is what an actor signs in with, SubjectScope what a start asks for. Scopes are separated by single spaces.
	Scope        string `yaml:"scope"`
	SubjectScope string `yaml:"subject_scope"`
	// WriteScope are scopes of Resource that let a token change something: who may but look has none of them.
	WriteScope string `yaml:"write_scope"`
	// Without are features that the server does not have though its metadata or this Target might say so.
	Without []Feature `yaml:"without"`
	// Lifetimes are of what the server issues, as far as they are known.
	Lifetimes Lifetimes `yaml:"lifetimes"`
	// Elapse lets time pass for the server, where a Go test has the server's clock in its hand: the suite then does not wait. It may be nil.
	Elapse func(time.Duration) `yaml:"-"`
}

// Lifetimes are how long what the server issues works. Zero is unknown: what waits for the end of it is left out. The suite waits for that long and 2 seconds.
type Lifetimes struct {
	Code        time.Duration `yaml:"code"`
	Ticket      time.Duration `yaml:"ticket"`
	AccessToken time.Duration `yaml:"access_token"` // of a sign-in
}

// Clients are the registered clients.
type Clients struct {
	// App is the client that signs the actor in and starts. It must be confidential.
	App Client `yaml:"app"`
	// Other is another client with the same rights. Without one nothing is tried that a client must not do with another's tokens.
	Other *Client `yaml:"other"`
	// NoExchange may sign people in and not exchange.
	NoExchange *Client `yaml:"no_exchange"`
	// Public has no secret (RFC 6749 §2.1).
	Public *Client `yaml:"public"`
	// Key authenticates by private_key_jwt (RFC 7523), and may do what App may. Its secret is one that it has from before, or "".
	Key *Client `yaml:"key"`
	// Bound gets no token without a proof (RFC 9449 §5.2, dpop_bound_access_tokens), and may do what App may.
	Bound *Client `yaml:"bound"`
}

// Client is one client.
type Client struct {
	ID string `yaml:"id"`
	// Secret is what it authenticates with; "" for a public client.
	Secret string `yaml:"secret"`
	// Auth is client_secret_basic ("" is that), client_secret_post, private_key_jwt or none.
	Auth string `yaml:"auth"`
	// PrivateKey is what it signs with where Auth is private_key_jwt: PKCS #8 in PEM, of P-256, P-384, P-521, RSA or Ed25519. KeyID is the kid by which the server knows
	// the public half; "" sends none.
	PrivateKey string `yaml:"private_key"`
	KeyID      string `yaml:"key_id"`
	// RedirectURI is one that is registered. Nothing needs to listen there: answers are taken from the Location header.
	RedirectURI string `yaml:"redirect_uri"`
}

// Agent is a client that acts as itself, such as a service or an AI agent, for people who let it (RFC 8693 §4.4).
type Agent struct {
	// Client is the client, at which people can sign in too.
	Client Client `yaml:"client"`
	// Subject is its sub, in tokens of its own and in act.
	Subject string `yaml:"sub"`
	// Scope is what it asks for in a token of its own (RFC 6749 §4.4).
	Scope string `yaml:"scope"`
	// Kind is what act says of its kind, as sub_profile; "" where it says nothing.
	Kind string `yaml:"kind"`
}

// Accounts are people who can sign in.
type Accounts struct {
	// Actor may impersonate Subject.
	Actor Account `yaml:"actor"`
	// OtherActor may do so too.
	OtherActor *Account `yaml:"other_actor"`
	// Subject is an ordinary user.
	Subject Account `yaml:"subject"`
	// Protected is somebody whom Actor must not impersonate, such as an administrator.
	Protected *Account `yaml:"protected"`
	// Ordinary is a user who may impersonate nobody, other than Subject.
	Ordinary *Account `yaml:"ordinary"`
	// Disabled is somebody whose account is switched off. They never sign in.
	Disabled *Account `yaml:"disabled"`
	// Limited may impersonate Subject, and nobody of another organisation; Outside is such a one, whom Actor may impersonate.
	Limited *Account `yaml:"limited"`
	Outside *Account `yaml:"outside"`
	// SecondFactor signs in by a password and a code.
	SecondFactor *Account `yaml:"second_factor"`
}

// Account is one person.
type Account struct {
	// Subject is their sub in tokens.
	Subject string `yaml:"sub"`
	// Login is what they type into the first field of the sign-in form, Password into the second. Both may be "" for who never signs in.
	Login    string `yaml:"login"`
	Password string `yaml:"password"`
	// TOTP is the secret of their second factor in base32 (RFC 6238: SHA-1, six digits, 30 seconds); "" where none is asked for.
	TOTP string `yaml:"totp"`
}

// The ways to start.
const (
	StartByTicket  = "ticket"            // a page of the server gives a ticket
	StartByUserID  = "user_id"           // the subject_token is the user's id, with a type of its own
	StartByRequest = "requested_subject" // the actor's token is the subject_token, and a parameter names the user
	StartByToken   = "subject_token"     // the subject's own access token is the subject_token: they sign in, too
)

// Start is how an impersonation begins.
type Start struct {
	By string `yaml:"by"` // StartByTicket, StartByUserID, StartByRequest or StartByToken
	// Page is the address of the page that gives tickets; relative to the issuer.
	Page string `yaml:"page"`
	// Query is what is added to the query of the page, Fields are what is filled into its form. In both {subject}, {login}, {mode} and {reason} stand for those of
	// the case.
	Query  map[string]string `yaml:"query"`
	Fields map[string]string `yaml:"fields"`
	// TicketParam is the parameter of the redirect that holds the ticket; "" is ticket.
	TicketParam string `yaml:"ticket_param"`
	// SubjectTokenType is the type of the subject_token, a URI.
	SubjectTokenType string `yaml:"subject_token_type"`
	// ReturnTokenType is the type by which the return token is exchanged, a URI; "" where there is none.
	ReturnTokenType string `yaml:"return_token_type"`
	// ReturnTokenMember is the member of the answer that holds the return token.
	ReturnTokenMember string `yaml:"return_token_member"`
	// SubjectParam names the user where the start is by StartByRequest; "" is requested_subject. SubjectValue is what it says, "" is {subject}: a server
	// that reads the user out of a scope has SubjectParam scope and a SubjectValue such as "openid impersonate:{subject}".
	SubjectParam string `yaml:"subject_param"`
	SubjectValue string `yaml:"subject_value"`
	// Parameters are sent besides with each start, such as a reason.
	Parameters map[string]string `yaml:"parameters"`
	// FreshActor tells that each start takes an actor_token of its own, of a sign-in that is 5 minutes old at most.
	FreshActor bool `yaml:"fresh_actor"`
	// ReadMode and WriteMode are what {mode} stands for to look only and with full access; "" where there is but one.
	ReadMode  string `yaml:"read_mode"`
	WriteMode string `yaml:"write_mode"`
}

// Check reports everything that is missing or wrong, each with its field as a target file spells it.
func (t *Target) Check() error {
	var errs []error
	wrong := func(field, rule string) { errs = append(errs, fmt.Errorf("%s: %s", field, rule)) }
	if u, err := url.Parse(t.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		wrong("issuer", "must be a URL with https or http, and without user, query and fragment")
	}
	t.Clients.App.check("clients.app", true, wrong)
	for field, c := range map[string]*Client{"clients.other": t.Clients.Other, "clients.no_exchange": t.Clients.NoExchange} {
		if c != nil {
			c.check(field, true, wrong)
		}
	}
	if c := t.Clients.Bound; c != nil {
		c.check("clients.bound", true, wrong)
	}
	if c := t.Clients.Key; c != nil {
		c.check("clients.key", true, wrong)
		if c.Auth != "private_key_jwt" {
			wrong("clients.key.auth", "must be private_key_jwt")
		}
	}
	if c := t.Clients.Public; c != nil {
		c.check("clients.public", false, wrong)
	}
	t.Accounts.Actor.check("accounts.actor", true, wrong)
	t.Accounts.Subject.check("accounts.subject", t.Start.By == StartByToken, wrong)
	for field, a := range map[string]*Account{"accounts.other_actor": t.Accounts.OtherActor, "accounts.ordinary": t.Accounts.Ordinary, "accounts.limited": t.Accounts.Limited} {
		if a != nil {
			a.check(field, true, wrong)
		}
	}
	for field, a := range map[string]*Account{"accounts.protected": t.Accounts.Protected, "accounts.disabled": t.Accounts.Disabled, "accounts.outside": t.Accounts.Outside} {
		if a != nil {
			a.check(field, false, wrong)
		}
	}
	if a := t.Accounts.SecondFactor; a != nil {
		a.check("accounts.second_factor", true, wrong)
		if a.TOTP == "" {
			wrong("accounts.second_factor.totp", "must be set")
		}
	}
	if (t.Accounts.Limited == nil) != (t.Accounts.Outside == nil) {
		wrong("accounts", "limited and outside belong together")
	}
	t.Start.check(wrong)
	for i, g := range t.Agents {
		field := fmt.Sprintf("agents[%d]", i)
		g.Client.check(field+".client", true, wrong)
		if g.Subject == "" {
			wrong(field+".sub", "must be set")
		}
	}
	if len(t.Agents) > 0 && t.Accounts.Subject.Login == "" {
		wrong("accounts.subject", "must have login and password where there are agents")
	}
	for _, f := range t.Without {
		if !slices.Contains(features(), f) {
			wrong("without", fmt.Sprintf("%q is no feature", f))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(errs...)
}

func (c *Client) check(field string, confidential bool, wrong func(field, rule string)) {
	if c.ID == "" {
		wrong(field+".id", "must be set")
	}
	if c.Auth == "private_key_jwt" {
		if _, err := c.key(); err != nil {
			wrong(field+".private_key", err.Error())
		}
	} else if confidential != (c.Secret != "") {
		wrong(field+".secret", map[bool]string{true: "must be set", false: "must not be set: this client is public"}[confidential])
	}
	switch c.Auth {
	case "", "client_secret_basic", "client_secret_post", "private_key_jwt", "none":
	default:
		wrong(field+".auth", "must be client_secret_basic, client_secret_post, private_key_jwt or none")
	}
	if u, err := url.Parse(c.RedirectURI); err != nil || u.Scheme == "" {
		wrong(field+".redirect_uri", "must be an absolute URI that is registered")
	}
}

func (a *Account) check(field string, signsIn bool, wrong func(field, rule string)) {
	if a.Subject == "" {
		wrong(field+".sub", "must be set")
	}
	if signsIn && (a.Login == "" || a.Password == "") {
		wrong(field, "must have login and password")
	}
	if a.TOTP != "" {
		if _, err := totpKey(a.TOTP); err != nil {
			wrong(field+".totp", "must be base32")
		}
	}
}

func (s *Start) check(wrong func(field, rule string)) {
	switch s.By {
	case StartByTicket:
		if s.Page == "" {
			wrong("start.page", "must be set for a start by ticket")
		}
		fallthrough
	case StartByUserID:
		if s.SubjectTokenType == "" {
			wrong("start.subject_token_type", "must be set")
		}
	case StartByRequest, StartByToken:
	default:
		wrong("start.by", "must be ticket, user_id, requested_subject or subject_token")
	}
	if (s.ReturnTokenType == "") != (s.ReturnTokenMember == "") {
		wrong("start", "return_token_type and return_token_member belong together")
	}
	if (s.ReadMode == "") != (s.WriteMode == "") {
		wrong("start", "read_mode and write_mode belong together")
	}
}

// redirectsTo reports whether a redirect URI of a client is at a host: where it is the server's own, what leads there may be an answer for the client. Elsewhere it is one
// that the server itself waits for, where people sign in at another.
func (t *Target) redirectsTo(host string) bool {
	for _, c := range []*Client{&t.Clients.App, t.Clients.Other, t.Clients.NoExchange, t.Clients.Public, t.Clients.Key, t.Clients.Bound} {
		if c == nil {
			continue
		}
		if u, err := url.Parse(c.RedirectURI); err == nil && u.Host == host {
			return true
		}
	}
	return false
}

// has gives what the target has, as metadata and t tell it.
func (t *Target) has(m *metadata) map[Feature]bool {
	has := map[Feature]bool{
		FeatureTicket:        t.Start.By == StartByTicket,
		FeatureReturnToken:   t.Start.ReturnTokenType != "",
		FeatureIntrospection: m.Introspection != "",
		FeatureRevocation:    m.Revocation != "",
		FeatureUserinfo:      m.Userinfo != "",
		FeatureJWT:           m.JWKS != "",
		FeatureRefresh:       slices.Contains(m.GrantTypes, "refresh_token"),
		FeaturePAR:           m.PAR != "",
		FeatureDPoP:          len(m.DPoPAlgs) > 0,
		FeatureIssuer:        m.IssuerInAnswer,
		FeatureOtherClient:   t.Clients.Other != nil,
		FeatureNoExchange:    t.Clients.NoExchange != nil,
		FeaturePublic:        t.Clients.Public != nil,
		FeatureOtherActor:    t.Accounts.OtherActor != nil,
		FeatureProtected:     t.Accounts.Protected != nil,
		FeatureOrdinary:      t.Accounts.Ordinary != nil,
		FeatureModes:         t.Start.ReadMode != "",
		FeatureOpenID:        len(m.IDTokenAlgs) > 0 && slices.Contains(strings.Fields(t.Scope), "openid"),
		FeatureSignOut:       m.EndSession != "",
		FeatureKeyClient:     t.Clients.Key != nil,
		FeatureBoundClient:   t.Clients.Bound != nil,
		FeatureOtherResource: t.OtherResource != "",
		FeatureSubjectLogin:  t.Accounts.Subject.Login != "",
		FeatureDisabled:      t.Accounts.Disabled != nil,
		FeatureOrganisations: t.Accounts.Limited != nil,
		FeatureCodeLifetime:  t.Lifetimes.Code > 0,
		FeatureTicketTime:    t.Lifetimes.Ticket > 0,
		FeatureTokenLifetime: t.Lifetimes.AccessToken > 0,
		FeatureSecondFactor:  t.Accounts.SecondFactor != nil,
		FeatureAgents:        len(t.Agents) > 0,
		FeatureClientGrant:   slices.Contains(m.GrantTypes, "client_credentials"),
	}
	for _, f := range t.Without {
		has[f] = false
	}
	return has
}

func features() (all []Feature) {
	for f := range (&Target{}).has(&metadata{}) {
		all = append(all, f)
	}
	slices.Sort(all)
	return all
}
