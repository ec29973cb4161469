package sqlite

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// searchUsers finds by instr and not by LIKE: nothing in what somebody types has a meaning there. One statement for each
// half of the scope, so that each has its index.
const (
	searchUsers = `SELECT ` + userColumns + ` FROM app_user WHERE ` + searchRest
	searchOwn   = `SELECT ` + userColumns + ` FROM app_user WHERE organisation = ?6 AND ` + searchRest

	searchRest = `(name, id) > (?1, ?2) AND (?3 = '' OR instr(search_key, ?3) > 0 OR id = ?4) ORDER BY name, id LIMIT ?5`
)

// searchKey is what a search looks through. The line break keeps a match from beginning in the name and ending in the address.
func searchKey(u directory.User) string { return folded(u.Name) + "\n" + folded(u.Email) }

// Get implements directory.Directory.
func (s *Store) Get(ctx context.Context, id string) (directory.User, error) {
	return s.find(ctx, selectUser, id)
}

// ByEmail implements directory.Directory.
func (s *Store) ByEmail(ctx context.Context, email string) (directory.User, error) {
	return s.find(ctx, selectUserByEmail, folded(email))
}

func (s *Store) find(ctx context.Context, query, key string) (directory.User, error) {
	var found directory.User
	err := s.view(ctx, "reading a user", func(ctx context.Context, c *conn) error {
		u, err := c.user(ctx, query, key)
		if err == nil {
			found = *u
		}
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		err = directory.ErrNotFound
	}
	return found, err
}

// Search implements directory.Directory.
func (s *Store) Search(ctx context.Context, q directory.Query) (page []directory.User, next string, err error) {
	after, err := cursorAfter(q.After)
	if err != nil {
		return nil, "", failed("searching users", err)
	}
	limit := pageSize(q.Limit, 200)
	args := []any{after[0], after[1], folded(q.Text), q.Text, limit + 1} // one more tells whether there is a next page
	query := searchUsers
	if !q.AnyOrganisation {
		query, args = searchOwn, append(args, q.Organisation)
	}
	err = s.list(ctx, "searching users", func(ctx context.Context, c *conn) error {
		return c.each(ctx, query, args, func(r *sql.Rows) error {
			var u directory.User
			err := r.Scan(userDest(&u)...)
			page = append(page, u)
			return err
		})
	})
	if err != nil {
		return nil, "", err
	}
	if len(page) > limit {
		page = page[:limit]
		next = cursorOf(page[limit-1])
	}
	return page, next, nil
}

// pageSize is the limit that a query asks for: 50 unless told, never above most.
func pageSize(limit, most int) int {
	if limit <= 0 {
		limit = 50
	}
	return min(limit, most)
}

func cursorOf(u directory.User) string {
	b, _ := json.Marshal([2]string{u.Name, u.ID}) // strings always marshal
	return base64.RawURLEncoding.EncodeToString(b)
}

func cursorAfter(cursor string) (after [2]string, err error) {
	if cursor == "" {
		return after, nil // before every name: an ID is never empty
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, &after)
	}
	if err != nil {
		return after, fmt.Errorf("%w: a cursor that no page gave", errRefused)
	}
	return after, nil
}
