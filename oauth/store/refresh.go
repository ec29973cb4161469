package store

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// Token is what a code gave.
type Token struct {
	JTI             string
	Issued, Expires time.Time
	Key             string // Grant.Key
	// Refresh and RefreshExpires are zero where no refresh token is given, see Grant.
	Refresh        oauth.Hash
	RefreshExpires time.Time
}

// RefreshWrite spends a refresh token.
type RefreshWrite struct {
	impersonation.Write
	Refresh oauth.Hash
	// Next is the grant that follows: of the same family, client, user and login.
	Next Grant
}
