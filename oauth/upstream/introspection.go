package upstream

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// Introspection is where an issuer tells whether a token of its own is still good (RFC 7662), and as whom we ask: by client_secret_basic.
type Introspection struct {
	Endpoint, ClientID string
	ClientSecret       oauth.Secret
}

func (f *faults) introspection(i Introspection, loopback bool) {
	if i == (Introspection{}) {
		return
	}
	f.add(i.ClientID == "" || i.ClientSecret == "", "introspection must have an endpoint, client_id and client_secret")
	err := checkURL(i.Endpoint, loopback)
	f.add(err != nil, "introspection: endpoint %w", err)
}

// Active asks the issuer whether a token is still good, of which Actor told who. It fails with ErrUnavailable or ErrDocument, and then
// nobody knows. Nothing is cached.
func (t *Trust) Active(ctx context.Context, token oauth.Secret, who oauth.Party) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWithin)
	defer cancel()
	body, err := t.introspect(ctx, token)
	if err != nil {
		return false, err
	}
	o, err := parseObject("the introspection answer", body)
	if err != nil {
		return false, err
	}
	var active bool
	issuer, subject := who.Issuer, who.Subject // both are optional (RFC 7662 §2.2)
	o.bool("active", &active)
	o.text("iss", &issuer)
	o.text("sub", &subject)
	if !o.has("active") {
		o.refuse("active", "is missing")
	}
	if o.err != nil {
		return false, o.err
	}
	return active && who == oauth.Party{Issuer: issuer, Subject: subject}, nil
}

func (t *Trust) introspect(ctx context.Context, token oauth.Secret) ([]byte, error) {
	const what = "the introspection endpoint"
	c := t.rule.Introspection
	form := url.Values{"token": {string(token)}, "token_type_hint": {"access_token"}}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("%w: %s must be a URL", ErrDocument, what)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(c.ClientID), url.QueryEscape(string(c.ClientSecret))) // RFC 6749 §2.3.1
	body, _, err := t.issuer.send(r, what, maxDocument)
	return body, err
}
