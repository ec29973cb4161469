package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// A search finds by instr: nothing in what somebody types has a meaning there. Two statements find the ids of a page, and which
// is the faster depends on how many match, which nobody knows beforehand.
//
// walkUsers goes through the names in their order until the page is full: what many match fills it soon.
//
// matchUsers goes by the pieces of the text, in the order of the first bytes of the names: what few match is all there is.
const (
	walkUsers = `SELECT u.name, u.id FROM (SELECT w.name, w.id, w.search_key FROM app_user w WHERE ` + walkRest
	walkOwn   = `SELECT u.name, u.id FROM (SELECT w.name, w.id, w.search_key FROM app_user w WHERE w.organisation = ?7 AND ` + walkRest

	walkRest = `(w.name, w.id) > (?1, ?2) ORDER BY w.name, w.id LIMIT ?5) u
		WHERE ?3 = '' OR instr(u.search_key, ?3) > 0 OR u.id = ?4 ORDER BY u.name, u.id LIMIT ?6`

	countUsers = `SELECT count(*) FROM (SELECT 1 FROM app_user w WHERE (w.name, w.id) > (?1, ?2) ORDER BY w.name, w.id LIMIT ?3)`
	countOwn   = `SELECT count(*) FROM (SELECT 1 FROM app_user w WHERE w.organisation = ?4 AND (w.name, w.id) > (?1, ?2) ORDER BY w.name, w.id LIMIT ?3)`

	// matchUsers gives who has the id, and then up to ?5 matches behind the cursor, by their numbers, which are as in migration 0002.
	matchUsers = `SELECT -1, s.name, s.id FROM user_search s WHERE s.id = ?4 AND (s.name, s.id) > (?1, ?2) AND (?7 OR s.organisation = ?8)
		UNION ALL SELECT n, name, id FROM (SELECT s.n, s.name, s.id FROM user_gram g CROSS JOIN user_search s ON s.n = g.rowid
			WHERE g.user_gram MATCH '(' || ?6 || ')' || CASE WHEN ?7 THEN '' ELSE (SELECT ' AND "' || char(o, o, o) || '"' FROM (SELECT ` + organisationOf + ` AS o)) END
			AND g.rowid >= (` + firstOf + `)
			AND instr(s.search_key, ?3) > 0 AND (s.name, s.id) > (?1, ?2) AND (?7 OR s.organisation = ?8) ORDER BY g.rowid LIMIT ?5)`

	// firstOf is the number with which a name begins, as in migration 0002.
	firstOf = `('0x' || substr(hex(?1) || '0000000000', 1, 10)) ->> '$' << 23`

	// organisationOf is the character for the organisation, as in migration 0002.
	organisationOf = `983040 + (length(?8) + 3 * coalesce(unicode(?8), 0) + 101 * coalesce(unicode(substr(?8, 3)), 0)
		+ 1009 * coalesce(unicode(substr(?8, -1)), 0) + 10007 * coalesce(unicode(substr(?8, -2)), 0)) % 65521`

	selectTerms = `SELECT term FROM user_gram_term WHERE term >= ?1 AND term <= ?1 || char(1114111, 1114111)`

	selectPage = `SELECT ` + userColumns + ` FROM app_user WHERE id IN (SELECT value FROM json_each(?)) ORDER BY name, id`
)

// effort is how much a search does of what may not be needed.
type effort struct {
	walked  int // names walked through before anything else, in about a millisecond
	matched int // matches read to be put in order
}

var usual = effort{walked: 1000, matched: 1000}

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

func (s *Store) find(ctx context.Context, query string, key ...any) (directory.User, error) {
	var found directory.User
	err := s.view(ctx, "reading a user", func(ctx context.Context, c *conn) error {
		u, err := c.user(ctx, query, key...)
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
	return s.search(ctx, q, usual)
}

func (s *Store) search(ctx context.Context, q directory.Query, e effort) (page []directory.User, next string, err error) {
	after, err := cursorAfter(q.After)
	if err != nil {
		return nil, "", failed("searching users", err)
	}
	if !storable(q.Text, q.Organisation, after.Name, after.ID) {
		return nil, "", nil
	}
	limit := pageSize(q.Limit, 200)
	err = s.list(ctx, "searching users", func(ctx context.Context, c *conn) error {
		found, err := search{c, q, folded(q.Text), e}.first(ctx, after, limit+1) // one more tells whether there is a next page
		if err == nil {
			page, err = c.usersAt(ctx, found)
		}
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

// storable reports that a column could hold the texts; what none could hold is nowhere to be found.
func storable(texts ...string) bool {
	return !slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsRune(s, 0) || !utf8.ValidString(s) })
}

// place is where a user comes in the order of a search.
type place struct{ Name, ID string }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.ID, q.ID))
}

func (c *conn) usersAt(ctx context.Context, places []place) (page []directory.User, err error) {
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	err = c.each(ctx, selectPage, []any{list(ids)}, func(r *sql.Rows) error {
		var u directory.User
		err := r.Scan(userDest(&u)...)
		page = append(page, u)
		return err
	})
	return page, err
}

// search is one search, within a transaction.
type search struct {
	c    *conn
	q    directory.Query
	text string // folded
	effort
}

// first finds the first matches behind after: a short walk, then what there is by the pieces, and where that is too much to be
// put in order, another walk from the letter on that has so many.
func (s search) first(ctx context.Context, after place, limit int) ([]place, error) {
	if s.text == "" {
		return s.walk(ctx, after, limit, limit)
	}
	found, err := s.walk(ctx, after, s.walked, limit)
	if err != nil || len(found) == limit {
		return found, err
	}
	if few, err := s.few(ctx, after); err != nil || few {
		return found, err
	}
	found, from, all, err := s.match(ctx, after, limit)
	if err != nil || all || len(found) >= limit {
		return found[:min(limit, len(found))], err
	}
	rest, err := s.walk(ctx, from, math.MaxInt32, limit-len(found))
	return append(found, rest...), err
}

// walk finds the first limit matches among the first n users behind after.
func (s search) walk(ctx context.Context, after place, n, limit int) (found []place, err error) {
	query, args := walkUsers, []any{after.Name, after.ID, s.text, s.q.Text, n, limit}
	if !s.q.AnyOrganisation {
		query, args = walkOwn, append(args, s.q.Organisation)
	}
	err = s.c.each(ctx, query, args, func(r *sql.Rows) error {
		var p place
		err := r.Scan(&p.Name, &p.ID)
		found = append(found, p)
		return err
	})
	return found, err
}

// few reports that the first walk went through all there are.
func (s search) few(ctx context.Context, after place) (bool, error) {
	query, args := countUsers, []any{after.Name, after.ID, s.walked}
	if !s.q.AnyOrganisation {
		query, args = countOwn, append(args, s.q.Organisation)
	}
	var n int
	err := s.c.row(ctx, query, args, []any{&n})
	return n < s.walked, err
}

// match finds, in order, all matches behind after that come before from; all of them, if all. It stops once there are limit.
func (s search) match(ctx context.Context, after place, limit int) (found []place, from place, all bool, err error) {
	pieces, err := s.pieces(ctx)
	if err != nil {
		return nil, from, false, err
	}
	args := []any{after.Name, after.ID, s.text, s.q.Text, s.matched, pieces, s.q.AnyOrganisation, s.q.Organisation}
	read, last := 0, int64(0)
	err = s.c.each(ctx, matchUsers, args, func(r *sql.Rows) error {
		var p place
		var n int64
		if err := r.Scan(&n, &p.Name, &p.ID); err != nil {
			return err
		}
		if n >= 0 {
			full := read >= limit && n>>23 != last>>23
			if last, read = n, read+1; full {
				return errEnough
			}
		}
		found = append(found, p)
		return nil
	})
	slices.SortFunc(found, place.compare)
	found = slices.Compact(found)
	if err != nil && !errors.Is(err, errEnough) || err == nil && read < s.matched {
		return found, from, true, err
	}
	from = firstWith(last)
	n, _ := slices.BinarySearchFunc(found, from, place.compare)
	if from.compare(after) < 0 {
		from = after
	}
	return found[:n], from, false, nil
}

var errEnough = errors.New("no more rows are needed")

// firstWith is where the names begin that have the first bytes of a number of user_search.
func firstWith(n int64) place {
	return place{Name: strings.TrimRight(string(binary.BigEndian.AppendUint64(nil, uint64(n)<<1)[:5]), "\x00")}
}

// pieces asks user_gram for s.text: for each of its pieces, or for any that begins with a text that is shorter than a piece.
func (s search) pieces(ctx context.Context) (string, error) {
	var pieces []string
	for _, p := range cut(s.text) {
		pieces = append(pieces, quoted(p))
	}
	if len(pieces) > 0 {
		return strings.Join(pieces, " AND "), nil
	}
	terms := []string{quoted(s.text)} // which matches nothing by itself
	err := s.c.each(ctx, selectTerms, []any{s.text}, func(r *sql.Rows) error {
		var term string
		err := r.Scan(&term)
		terms = append(terms, quoted(term))
		return err
	})
	return strings.Join(terms, " OR "), err
}

// lists is how many pieces of a text are asked for at most: each has a list to be read, and more than these leave few out that do
// not match.
const lists = 4

// cut gives pieces of three characters from all over text; none of one that is shorter.
func cut(text string) (pieces []string) {
	runes := []rune(text)
	last := len(runes) - 3
	for i := range min(last+1, lists) {
		at := i * last / max(1, min(last, lists-1))
		pieces = append(pieces, string(runes[at:at+3]))
	}
	return pieces
}

// quoted is text as a string of an FTS5 query.
func quoted(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }

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

func cursorAfter(cursor string) (place, error) {
	if cursor == "" {
		return place{}, nil // before every name: an ID is never empty
	}
	var after [2]string
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		err = json.Unmarshal(b, &after)
	}
	if err != nil {
		return place{}, fmt.Errorf("%w: a cursor that no page gave", errRefused)
	}
	return place{after[0], after[1]}, nil
}
