package store

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Asking keeps the tokens of other issuers that are asked about while a session by them lives (RFC 7662). What ends the session forgets
// its token, in the same write.
type Asking interface {
	// LeaseAsked gives up to limit living sessions with a token of issuer that is to be asked about at now, and makes each due again at until:
	// so no other caller has it meanwhile, and it is not lost with the one who has. What is due longest comes first.
	LeaseAsked(ctx context.Context, issuer string, now, until time.Time, limit int) ([]Asked, error)
	// Heard notes that the issuer said of the token of a session at at that it is good, and when to ask again. Session.Heard never goes
	// back. No error if the session has ended.
	Heard(ctx context.Context, session string, at, next time.Time) error
}

// Asked is a living session whose issuer is to be asked.
type Asked struct {
	Session string
	Actor   oauth.Party // who the token names
	Token   []byte      // as impersonation.StartWrite.ForeignToken had it: sealed
}
