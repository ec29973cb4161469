package config

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// TrustedIssuer is another issuer whose access tokens may say who acts: server.TrustedIssuer, with the names that its parts have here.
type TrustedIssuer struct {
	Issuer        string              `yaml:"issuer" json:"issuer" doc:"iss of its tokens, to the last slash"`
	JWKSURI       string              `yaml:"jwks_uri,omitempty" json:"jwks_uri,omitempty" doc:"where its keys are, in place of what its discovery document says"`
	AllowPrivate  []string            `yaml:"allow_private,omitempty" json:"allow_private,omitempty" doc:"networks (CIDR), not public, in which it may be"`
	Audience      string              `yaml:"audience" json:"audience" doc:"what must be in aud: a name for this alone"`
	Clients       map[string][]string `yaml:"clients" json:"clients" doc:"by client_id of ours the clients there whose tokens count for it"`
	ClientClaim   string              `yaml:"client_claim,omitempty" json:"client_claim,omitempty" doc:"the claim that names the client there; azp and client_id unless set"`
	IDClaim       string              `yaml:"id_claim,omitempty" json:"id_claim,omitempty" doc:"the claim that names the one token; jti unless set"`
	MaxAge        time.Duration       `yaml:"max_age,omitempty" json:"max_age,omitempty" doc:"how long ago a token may have been issued, at most 5m, which is the default"`
	Algorithms    []string            `yaml:"algorithms,omitempty" json:"algorithms,omitempty" doc:"what it may sign with, of ES256, EdDSA and RS256; all unless listed"`
	ACR           []string            `yaml:"acr,omitempty" json:"acr,omitempty" doc:"values of acr of which a token must have one where sign_in.second_factor is required; unless listed the sign-in here tells alone"`
	Impersonate   Mark                `yaml:"impersonate" json:"impersonate" doc:"what a token must say to start anything, a scope or a claim and its value"`
	Live          string              `yaml:"live,omitempty" json:"live,omitempty" doc:"how we would hear that an actor has left: scim, backchannel or introspection; without it a session lasts 15m at most"`
	Introspection *Introspection      `yaml:"introspection,omitempty" json:"introspection,omitempty" doc:"where it tells whether a token is still good (RFC 7662), for live: introspection"`
}

// Mark is what a token must say to start anything: a scope, or a claim and its value.
type Mark struct {
	Scope string `yaml:"scope,omitempty" json:"scope,omitempty" doc:"a scope that is for this alone, none of OpenID Connect"`
	Claim string `yaml:"claim,omitempty" json:"claim,omitempty" doc:"a claim at the top, a text or a list of texts"`
	Value string `yaml:"value,omitempty" json:"value,omitempty" doc:"what must be in claim"`
}

// Introspection is where an issuer tells whether its tokens are still good. The secret stands in a file alone, so that the rest of the
// rule may be shown.
type Introspection struct {
	Endpoint         string `yaml:"endpoint" json:"endpoint" doc:"URL"`
	ClientID         string `yaml:"client_id" json:"client_id" doc:"who we are there"`
	ClientSecretFile string `yaml:"client_secret_file" json:"client_secret_file" doc:"a file that holds our secret there"`

	secret oauth.Secret
}

// trustSecrets reads the files that the rules name.
func (l *Loaded) trustSecrets() error {
	for i, t := range l.TrustedIssuers {
		if t.Introspection == nil {
			continue
		}
		data, err := os.ReadFile(t.Introspection.ClientSecretFile)
		if err != nil {
			return &Problem{Where: l.From(fmt.Sprintf("trusted_issuers[%d].introspection.client_secret_file", i)), What: fmt.Sprintf("trusted_issuers[%d].introspection.client_secret_file: %v", i, err)}
		}
		t.Introspection.secret = oauth.Secret(strings.TrimSpace(string(data)))
	}
	return nil
}

// Trusted are the rules of a configuration that Check found nothing in. Issuers on this machine are for a server on this machine.
func (c *Config) Trusted() []server.TrustedIssuer {
	var out []server.TrustedIssuer
	for _, t := range c.TrustedIssuers {
		out = append(out, t.rule(c.Loopback()))
	}
	return out
}

func (t TrustedIssuer) rule(loopback bool) server.TrustedIssuer {
	r := server.TrustedIssuer{Live: impersonation.Liveness(t.Live), TrustConfig: upstream.TrustConfig{
		Issuer:   upstream.IssuerConfig{URL: t.Issuer, JWKSURI: t.JWKSURI, AllowPrivate: prefixes(t.AllowPrivate), Loopback: loopback},
		Audience: t.Audience, Clients: t.Clients, ClientClaim: t.ClientClaim, IDClaim: t.IDClaim, MaxAge: t.MaxAge, Algorithms: t.Algorithms, ACR: t.ACR,
		Impersonate: upstream.Mark(t.Impersonate),
	}}
	if i := t.Introspection; i != nil {
		r.Introspection = upstream.Introspection{Endpoint: i.Endpoint, ClientID: i.ClientID, ClientSecret: i.secret}
	}
	return r
}

func (c *checker) trusted() {
	seen := make(map[string]bool)
	for i, t := range c.l.TrustedIssuers {
		path := fmt.Sprintf("trusted_issuers[%d]", i)
		c.addFaults(path, t.rule(c.l.Loopback()).Check(c.l.PublicURL))
		if live := impersonation.Liveness(t.Live); live == impersonation.LiveLogout && c.l.upstreamOf(t.Issuer) == "" {
			c.addItem(path, "live: backchannel goes with an upstream of the same issuer", "its logout tokens arrive at /sign-in/backchannel/ and the name of that")
		}
		if seen[t.Issuer] {
			c.addItem(path, "issuer is there twice", "one rule says all of an issuer")
		}
		seen[t.Issuer] = true
		c.allowPrivate(path, t.AllowPrivate)
	}
}

// allowPrivate judges the networks of an item of a list.
func (c *checker) allowPrivate(path string, texts []string) {
	networks := prefixes(texts)
	if len(networks) != len(texts) {
		c.addItem(path, "allow_private has what is not a network", "such as 10.1.0.0/16 or fd00:1::/32")
	}
	if slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Bits() == 0 }) {
		c.addItem(path, "allow_private has everything: its documents could name any service beside this server", "name the provider's own network")
	}
}

// upstreamOf is the name of the upstream of issuer, "" if there is none.
func (c *Config) upstreamOf(issuer string) string {
	for _, u := range c.Upstreams {
		if u.Issuer == issuer {
			return u.Name
		}
	}
	return ""
}

// lasting says of each trusted issuer how long sessions by its tokens may last, a sentence each.
func (c *Config) lasting() (out []string) {
	for _, t := range c.TrustedIssuers {
		but := ""
		switch impersonation.Liveness(t.Live) {
		case impersonation.LiveSCIM:
			but = ", but for whom a SCIM source with that --issuer keeps, while it has a token"
		case impersonation.LiveLogout:
			but = ", but for who signed in through the upstream " + c.upstreamOf(t.Issuer)
		case impersonation.LiveIntrospection:
			out = append(out, fmt.Sprintf("sessions by tokens of %s last no longer than the token, and end when %s has not called it good for %s", t.Issuer, t.Issuer, impersonation.MaxSilence))
			continue
		}
		out = append(out, fmt.Sprintf("sessions by tokens of %s last %s at most, and no longer than the token%s", t.Issuer, impersonation.MaxUnheard, but))
	}
	return out
}
