package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// metadata is what the server says of itself (RFC 8414 §2, OpenID Connect Discovery §3).
type metadata struct {
	Issuer         string   `json:"issuer"`
	Authorization  string   `json:"authorization_endpoint"`
	Token          string   `json:"token_endpoint"`
	Introspection  string   `json:"introspection_endpoint"`
	Revocation     string   `json:"revocation_endpoint"`
	Userinfo       string   `json:"userinfo_endpoint"`
	JWKS           string   `json:"jwks_uri"`
	PAR            string   `json:"pushed_authorization_request_endpoint"`
	EndSession     string   `json:"end_session_endpoint"`
	IDTokenAlgs    []string `json:"id_token_signing_alg_values_supported"`
	GrantTypes     []string `json:"grant_types_supported"`
	AuthMethods    []string `json:"token_endpoint_auth_methods_supported"`
	PKCE           []string `json:"code_challenge_methods_supported"`
	DPoPAlgs       []string `json:"dpop_signing_alg_values_supported"`
	IssuerInAnswer bool     `json:"authorization_response_iss_parameter_supported"`

	all map[string]any // as it came
}

// wellKnown are the places of the two documents of an issuer: RFC 8414 §3 puts the name between host and path, OpenID Connect behind the path.
func wellKnown(issuer string) (oauth, openid string) {
	u, err := url.Parse(issuer)
	if err != nil {
		return "", ""
	}
	at := strings.TrimSuffix(u.Path, "/")
	v := *u
	v.Path = "/.well-known/oauth-authorization-server" + at
	oauth = v.String()
	v.Path = at + "/.well-known/openid-configuration"
	return oauth, v.String()
}

// discover reads the metadata: one of the two documents is enough.
func (r *run) discover(ctx context.Context) (*metadata, error) {
	oauth, openid := wellKnown(r.target.Issuer)
	var first error
	for _, at := range []string{openid, oauth} {
		m, err := r.document(ctx, at)
		if err == nil {
			return m, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, first
}

func (r *run) document(ctx context.Context, at string) (*metadata, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "understudy-conformance (discovery)")
	r.requests++
	resp, err := r.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", at, cause(err))
	}
	a, err := read(resp)
	switch {
	case err != nil:
		return nil, fmt.Errorf("GET %s: %w", at, cause(err))
	case a.status != http.StatusOK:
		return nil, fmt.Errorf("GET %s: the answer is %d, want 200", at, a.status)
	case a.members == nil:
		return nil, fmt.Errorf("GET %s: the answer is no JSON object", at)
	}
	m := &metadata{all: a.members}
	if err := json.Unmarshal([]byte(a.body), m); err != nil {
		return nil, fmt.Errorf("GET %s: %w", at, err)
	}
	if m.Token == "" {
		return nil, fmt.Errorf("GET %s: there is no token_endpoint", at)
	}
	return m, nil
}
