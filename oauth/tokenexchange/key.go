package tokenexchange

import (
	"context"
	"fmt"
	"net/http"

	"github.com/ory/fosite"
)

// ErrInvalidProof is the error of RFC 9449 §5 that fosite v0.49.0 lacks.
var ErrInvalidProof = &fosite.RFC6749Error{
	ErrorField: "invalid_dpop_proof", CodeField: http.StatusBadRequest,
	DescriptionField: "DPoP: a proof is required, since the token that is exchanged is bound to a key (RFC 9449 section 5).",
}

type keyKey struct{}

// WithKey tells the handler which key the client proved to hold. A provider that takes DPoP proofs (RFC 9449) verifies the one beside the
// request, spends its jti, and gives the answer of WithKey to NewAccessRequest and NewAccessResponse. thumbprint is that of RFC 7638, 43
// characters of base64url; "" is the same as no WithKey: no proof.
func WithKey(ctx context.Context, thumbprint string) context.Context {
	return context.WithValue(ctx, keyKey{}, thumbprint)
}

func keyOf(ctx context.Context) string {
	thumbprint, _ := ctx.Value(keyKey{}).(string)
	return thumbprint
}

// checkKey wants a proof of the key that each of the two tokens is bound to. The subject's too: it was issued to this client, so that the
// client has its key, and whoever took the token alone has not. Bound to two keys they go together never.
func (p Plan) checkKey() error {
	switch {
	case p.Key == "" && (p.Subject.Key != "" || p.Actor != nil && p.Actor.Key != ""):
		return ErrProof
	case p.Actor != nil && p.Actor.Key != "" && p.Actor.Key != p.Key:
		return fmt.Errorf("%w: the actor token is bound to another key", ErrRefused)
	case p.Subject.Key != "" && p.Subject.Key != p.Key:
		return fmt.Errorf("%w: the subject token is bound to another key", ErrRefused)
	}
	return nil
}

func tokenType(key string) string {
	if key == "" {
		return "Bearer"
	}
	return "DPoP"
}
