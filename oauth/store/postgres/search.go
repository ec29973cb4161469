package postgres

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// searchUsers finds by strpos and not by LIKE: nothing in what somebody types has a meaning there. One statement for each
// half of the scope, so that each has its index.
var (
	searchUsers = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE ` + searchRest
	searchOwn   = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.organisation = $6 AND ` + searchRest
)

const searchRest = `(u.name, u.id) > ($1, $2) AND ($3 = '' OR strpos(u.search_key, $3) > 0 OR u.id = $4) ORDER BY u.name, u.id LIMIT $5`

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

func (s *Store) find(ctx context.Context, query, key string) (u directory.User, err error) {
	err = s.single(ctx, "reading a user", func(ctx context.Context, q querier) error {
		return row(ctx, q, query, []any{key}, userDest(&u))
	})
	if errors.Is(err, store.ErrNotFound) {
		err = directory.ErrNotFound
	}
	return u, err
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
	err = s.list(ctx, "searching users", query, args, func(r pgx.Rows) error {
		var u directory.User
		err := r.Scan(userDest(&u)...)
		page = append(page, u)
		return err
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
