package page

import (
	"context"
	"encoding/base64"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/internal/seal"
)

// SealCursors gives d for the search page, with cursors that open only under the key of box. A cursor names the last user that was read,
// and that may be one whom the page left out: it must tell whoever follows the link nothing.
func SealCursors(d directory.Directory, box seal.Bound) directory.Directory {
	return sealedCursors{d, box}
}

type sealedCursors struct {
	directory.Directory
	box seal.Bound
}

// Search gives cursors that open here alone, and ErrCursor for any other.
func (d sealedCursors) Search(ctx context.Context, q directory.Query) ([]directory.User, string, error) {
	if q.After != "" {
		sealed, err := base64.RawURLEncoding.DecodeString(q.After)
		if err != nil {
			return nil, "", ErrCursor
		}
		after, err := d.box.Open(sealed)
		if err != nil {
			return nil, "", ErrCursor
		}
		q.After = string(after)
	}
	users, next, err := d.Directory.Search(ctx, q)
	if next != "" {
		next = base64.RawURLEncoding.EncodeToString(d.box.Seal([]byte(next)))
	}
	return users, next, err
}
