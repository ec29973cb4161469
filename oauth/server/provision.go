package server

import (
	"errors"
	"net/http"
	"time"

	"github.com/understudy-id/understudy/oauth/scim"
)

// provisionGuesses is under what wrong tokens of SCIM are counted at an address; no client_id has a line break (RFC 6749 App. A.1).
const provisionGuesses = "\nscim"

// newProvisioning makes the door for those who provision users. It is there without a source too: then no token counts.
func (s *Server) newProvisioning() (*scim.Handler, error) {
	return scim.New(scim.Config{
		Issuer: s.issuer, Store: s.store, Registry: s.registry, Refused: s.service.RefusedSource, RequestID: requestID, Logger: s.log, Now: s.now,
		Failed: func(r *http.Request) time.Duration {
			var wire *wireError
			if errors.As(s.guesses.failed(network(s.proxies.address(r)), provisionGuesses, s.clock()), &wire) {
				return wire.RetryAfter
			}
			return 0
		},
		Wait: func(r *http.Request) time.Duration {
			return s.guesses.wait(network(s.proxies.address(r)), provisionGuesses, s.clock())
		},
	})
}
