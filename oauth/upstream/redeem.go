package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"
)

// redeemWithin is how long all of Redeem may take: token endpoint, keys and userinfo. Somebody waits for it in a browser.
const redeemWithin = 3 * time.Second

// Answer is what came back to the redirect URI, each parameter as it stood in the query and at most once. That its state is the
// request's, and came with the same browser, is for the caller to have seen.
type Answer struct {
	Code, Error string
	// Iss is the iss parameter (RFC 9207), "" for none.
	Iss string
}

// Redeem turns the answer to r into who signed in: it redeems the code at the token endpoint, verifies the ID token (OpenID Connect Core
// §3.1.3.7), and asks userinfo for claims that are wanted and not in the ID token.
//
// It fails with Refused where the issuer refuses, with ErrAnswer where the answer is not the issuer's or not to r, and with
// ErrUnavailable or ErrDocument. It takes three seconds at most. Nobody may redeem one request twice.
func (p *Provider) Redeem(ctx context.Context, a Answer, r AuthRequest) (*Identity, error) {
	ctx, cancel := context.WithTimeout(ctx, redeemWithin)
	defer cancel()
	m, err := p.issuer.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.check(m); err != nil {
		return nil, err
	}
	token, err := p.exchange(ctx, m, a.Code, r.Verifier)
	if err != nil {
		return nil, err
	}
	idToken, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, fmt.Errorf("%w: id_token must be a string", ErrDocument)
	}
	claims, err := p.verifyIDToken(ctx, idToken, token.AccessToken, r)
	if err != nil {
		return nil, err
	}
	if err := p.complete(ctx, m, claims, token.AccessToken); err != nil {
		return nil, err
	}
	return p.identity(claims, idToken)
}

// check looks at iss before anything else: the code of another issuer must not be sent to this one, nor its error be believed (RFC 9207 §2.4).
func (a Answer) check(m Metadata) error {
	switch {
	case a.Iss == "" && m.IssParameter:
		return fmt.Errorf("%w: iss is missing, which this issuer announces", ErrAnswer)
	case a.Iss != "" && a.Iss != m.Issuer:
		return fmt.Errorf("%w: iss is another issuer", ErrAnswer)
	case a.Error != "":
		return refused(a.Error)
	case a.Code == "":
		return fmt.Errorf("%w: code is missing", ErrAnswer)
	}
	return nil
}

// exchange redeems the code.
func (p *Provider) exchange(ctx context.Context, m Metadata, code, verifier string) (*oauth2.Token, error) {
	if m.TokenEndpoint == "" {
		return nil, fmt.Errorf("%w: token_endpoint is missing", ErrDocument)
	}
	offers := func(method string) bool { return slices.Contains(m.TokenAuthMethods, method) }
	if p.c.ClientSecret != "" && !offers("client_secret_basic") && !offers("client_secret_post") {
		return nil, fmt.Errorf("%w: token_endpoint_auth_methods_supported must have client_secret_basic or client_secret_post", ErrDocument)
	}
	asked := context.WithValue(ctx, oauth2.HTTPClient, p.issuer.http)
	token, err := p.oauth2(m).Exchange(asked, code, oauth2.VerifierOption(verifier))
	var answered *oauth2.RetrieveError
	switch {
	case err == nil:
		return token, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: token_endpoint: it took too long", ErrUnavailable)
	case !errors.As(err, &answered):
		return nil, exchangeError(err)
	case answered.ErrorCode != "" && answered.Response.StatusCode < 500:
		return nil, refused(answered.ErrorCode)
	}
	return nil, checkStatus("token_endpoint", answered.Response.StatusCode)
}

// exchangeError tells an answer that cannot be read from none.
func exchangeError(err error) error {
	var sent *url.Error
	if errors.As(err, &sent) {
		return fmt.Errorf("%w: token_endpoint: %s", ErrUnavailable, reason(err))
	}
	return fmt.Errorf("%w: token_endpoint must answer a JSON object with access_token", ErrDocument)
}
