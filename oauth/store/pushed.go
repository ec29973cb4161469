package store

import (
	"context"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Pushed keeps pushed authorization requests (RFC 9126).
type Pushed interface {
	// PushRequest writes one. ErrExists if the hash is there already.
	PushRequest(ctx context.Context, p PushedRequest) error
	// PushedRequest finds by hash, used or expired too. ErrNotFound.
	PushedRequest(ctx context.Context, hash oauth.Hash) (PushedRequest, error)
	// UsePushedRequest marks it as used. ErrSpent if it was, ErrNotFound if there is none that lives at now.
	UsePushedRequest(ctx context.Context, hash oauth.Hash, now time.Time) error
	// SweepPushedRequests deletes at most limit that expired before before. A public client's requests are anybody's, so they
	// are kept no longer than they serve.
	SweepPushedRequests(ctx context.Context, before time.Time, limit int) error
}

// PushedRequest is an authorization request that a client left here before it sent the browser.
type PushedRequest struct {
	Hash   oauth.Hash // of the secret in its request_uri
	Client string     // who pushed it, and alone may use it
	// Form is the parameters as application/x-www-form-urlencoded, without credentials.
	Form    string
	Created time.Time
	Expires time.Time
	Used    time.Time // zero: not yet
}
