package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"github.com/understudy-id/understudy/oauth/internal/outbound"
)

var (
	// ErrUnavailable: the issuer did not answer, or not in time, or that it cannot answer now. To ask again later may help.
	ErrUnavailable = errors.New("upstream: the issuer did not answer")
	// ErrDocument: the issuer answered with what cannot be used: malformed, too large, of the wrong type, or about another issuer.
	ErrDocument = errors.New("upstream: the issuer gave an answer that cannot be used")
)

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
