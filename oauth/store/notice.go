package store

import (
	"context"
	"time"
)

// Notices keeps what clients are still to be told (OpenID Connect Back-Channel Logout 1.0). Whatever ends a session of impersonation
// or a login writes them, in its own transaction: the end of a session one for the session's client, the end of a login one for each client
// that has a grant of it with a token and not revoked, also where the token has expired since, for the client's own session goes on. A
// client without Settings.BackchannelLogoutURI gets none. One that is removed with its sessions is told of their end all the same.
type Notices interface {
	// LeaseNotices gives up to limit notices that are due at now, at most one a client, and makes each due again at until: so no
	// other caller has it meanwhile, and it is not lost with the one who has. Clients in busy are left out. What is due longest
	// comes first.
	LeaseNotices(ctx context.Context, now, until time.Time, busy []string, limit int) ([]Notice, error)
	// DelayNotice makes a notice due at next. No error if it is gone.
	DelayNotice(ctx context.Context, id int64, next time.Time) error
	// DropNotice deletes a notice. No error if it is gone.
	DropNotice(ctx context.Context, id int64) error
	// DropOldNotices deletes the notices of client that were written at or before before, and tells how many.
	DropOldNotices(ctx context.Context, client string, before time.Time) (int64, error)
}

// Notice is the end of something that a client is to be told.
type Notice struct {
	ID       int64
	Client   string
	Settings Settings // the client's, as it is registered now: it may have no BackchannelLogoutURI any more
	Session  string   // what ended, the sid claim: Session.ID or Login.ID of package impersonation
	Created  time.Time
}
