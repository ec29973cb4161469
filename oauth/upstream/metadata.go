package upstream

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Metadata is what we read of an issuer's discovery document (OpenID Connect Discovery §3). Each URL is absolute and https, or http on
// this machine where the configuration allows that; "" where the document has none. It is shared: nobody may change its slices.
type Metadata struct {
	// Issuer is the issuer identifier that was asked for.
	Issuer string

	AuthorizationEndpoint, TokenEndpoint, UserinfoEndpoint, EndSessionEndpoint, IntrospectionEndpoint string

	// JWKSURI is where the keys are; never "".
	JWKSURI string
	// TokenAuthMethods are how clients may authenticate at the token endpoint; client_secret_basic alone where the document says nothing.
	TokenAuthMethods []string
	// ACRValues are those that the issuer knows; none where it does not tell.
	ACRValues []string
	// IssParameter: answers to the redirect URI carry iss (RFC 9207 §3).
	IssParameter bool
	// BackchannelLogout: the issuer sends logout tokens (OpenID Connect Back-Channel Logout §2.1); BackchannelLogoutSession: with sid.
	BackchannelLogout, BackchannelLogoutSession bool
}

// Metadata gives the issuer's discovery document. It fails with ErrUnavailable or ErrDocument, and is cached like Keys.
func (i *Issuer) Metadata(ctx context.Context) (Metadata, error) { return i.metadata.get(ctx) }

func (i *Issuer) fetchMetadata(ctx context.Context) (Metadata, time.Duration, error) {
	const path = "/.well-known/openid-configuration"
	body, age, err := i.fetch(ctx, "the discovery document", strings.TrimSuffix(i.url, "/")+path, "", maxDocument)
	if err != nil {
		return Metadata{}, 0, err
	}
	m, err := parseMetadata(body, i.url, i.loopback)
	return m, age, err
}

// parseMetadata reads the document of issuer, which must name itself byte by byte: it could be another's that is served there.
func parseMetadata(body []byte, issuer string, loopback bool) (Metadata, error) {
	d, err := parseObject("the discovery document", body)
	if err != nil {
		return Metadata{}, err
	}
	m := Metadata{TokenAuthMethods: []string{"client_secret_basic"}}
	d.url("authorization_endpoint", &m.AuthorizationEndpoint, loopback)
	d.url("token_endpoint", &m.TokenEndpoint, loopback)
	d.url("userinfo_endpoint", &m.UserinfoEndpoint, loopback)
	d.url("end_session_endpoint", &m.EndSessionEndpoint, loopback)
	d.url("introspection_endpoint", &m.IntrospectionEndpoint, loopback)
	d.url("jwks_uri", &m.JWKSURI, loopback)
	d.text("issuer", &m.Issuer)
	d.texts("token_endpoint_auth_methods_supported", &m.TokenAuthMethods)
	d.texts("acr_values_supported", &m.ACRValues)
	d.bool("authorization_response_iss_parameter_supported", &m.IssParameter)
	d.bool("backchannel_logout_supported", &m.BackchannelLogout)
	d.bool("backchannel_logout_session_supported", &m.BackchannelLogoutSession)
	switch {
	case d.err != nil:
		return Metadata{}, d.err
	case m.Issuer != issuer:
		return Metadata{}, fmt.Errorf("%w: issuer must be the one that is configured, byte by byte", ErrDocument)
	case m.JWKSURI == "":
		return Metadata{}, fmt.Errorf("%w: jwks_uri is missing", ErrDocument)
	}
	return m, nil
}
