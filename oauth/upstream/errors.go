package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"syscall"

	"github.com/understudy-id/understudy/oauth/internal/outbound"
)

var (
	// ErrUnavailable: the issuer did not answer, or not in time, or that it cannot answer now. To ask again later may help.
	ErrUnavailable = errors.New("upstream: the issuer did not answer")
	// ErrDocument: the issuer answered with what cannot be used: malformed, too large, of the wrong type, or about another issuer.
	ErrDocument = errors.New("upstream: the issuer gave an answer that cannot be used")
	// ErrAnswer: what came is not the issuer's answer to this request: another iss, a signature that does not verify, another nonce,
	// a time that is over. Somebody may be trying.
	ErrAnswer = errors.New("upstream: not the issuer's answer to this request")
)

// Refused is the issuer's own refusal: the error of RFC 6749 §4.1.2.1 and §5.2 or OpenID Connect Core §3.1.2.6, in answer to AuthURL or to
// Redeem. Of those, access_denied and login_required come of what the person did; invalid_client says that the client_id or its
// secret is not what the issuer has.
type Refused struct {
	// Code is the error, one of those known; "" for any other.
	Code string
}

// Error names the code.
func (r *Refused) Error() string {
	return "upstream: the issuer refused: " + cmp.Or(r.Code, "an error that is none of the standard's")
}

// refused keeps of a code what can be shown.
func refused(code string) error {
	if !slices.Contains(codes, code) {
		code = ""
	}
	return &Refused{code}
}

// codes are the errors that the standards know.
var codes = []string{
	"invalid_request", "unauthorized_client", "access_denied", "unsupported_response_type", "invalid_scope", "server_error", "temporarily_unavailable",
	"invalid_client", "invalid_grant", "unsupported_grant_type", "interaction_required", "login_required", "account_selection_required",
	"consent_required", "unmet_authentication_requirements",
}

// reason tells why a request got no answer, in words of our own: the library's show addresses and names that came out of a document.
func reason(err error) string {
	var timeout interface{ Timeout() bool }
	var name *net.DNSError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.Is(err, outbound.ErrAddress):
		return "its address is not for the public, and not among the networks that are allowed"
	case errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	case errors.As(err, &certificate):
		return "its certificate does not verify"
	case errors.As(err, &name):
		return "its name was not found"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "it takes no connections"
	}
	return "the connection failed"
}
