package postgres

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// A search finds by strpos: nothing in what somebody types has a meaning there. Two statements find the ids of a page, and which
// is the faster depends on how many match, which nobody knows beforehand.
//
// walkUsers goes through the names in their order until the page is full: what many match fills it soon.
//
// matchUsers goes by the pieces of the text, from one first letter of the names to the next: what few match is all there is.
var (
	walkUsers = `SELECT u.name, u.id FROM (SELECT w.name, w.id, w.search_key FROM app_user w WHERE ` + walkRest
	walkOwn   = `SELECT u.name, u.id FROM (SELECT w.name, w.id, w.search_key FROM app_user w WHERE w.organisation = $7 AND ` + walkRest

	countUsers = `SELECT count(*) FROM (SELECT FROM app_user w WHERE (w.name, w.id) > ($1, $2) ORDER BY w.name, w.id LIMIT $3) w`
	countOwn   = `SELECT count(*) FROM (SELECT FROM app_user w WHERE w.organisation = $4 AND (w.name, w.id) > ($1, $2) ORDER BY w.name, w.id LIMIT $3) w`

	selectPage = `SELECT ` + userColumns("u") + ` FROM app_user u WHERE u.id = ANY ($1) ORDER BY u.name, u.id`
)

const (
	walkRest = `(w.name, w.id) > ($1, $2) ORDER BY w.name, w.id LIMIT $5) u
		WHERE $3 = '' OR strpos(u.search_key, $3) > 0 OR u.id = $4 ORDER BY u.name, u.id LIMIT $6`

	// matchUsers gives up to $5 matches behind the cursor, by the first letter of their names, which is all the order they have;
	// and who has the id. The letters come one by one, while there is need: each is the first behind all names of the one before.
	// The condition on the organisation is such that its index is not taken: its own piece tells it.
	matchUsers = `WITH RECURSIVE letter(c) AS (
			(SELECT ` + letterOf + ` FROM app_user u WHERE u.name >= $1 ORDER BY u.name LIMIT 1)
			UNION ALL SELECT (SELECT ` + letterOf + ` FROM app_user u WHERE u.name > letter.c || chr(1114111) AND ` + letterOf + ` > letter.c
				ORDER BY u.name LIMIT 1) FROM letter WHERE letter.c IS NOT NULL)
		(SELECT letter.c, m.name, m.id FROM letter
			CROSS JOIN LATERAL (SELECT string_agg('''' || replace(replace(letter.c || g, '\', '\\'), '''', '''''') || e, ' & ')::tsquery AS query
				FROM unnest($6::text[], $7::text[]) AS p(g, e)) p
			CROSS JOIN LATERAL (SELECT u.name, u.id FROM app_user u WHERE user_grams(u.name, u.organisation, u.search_key) @@ p.query AND strpos(u.search_key, $3) > 0
				AND (u.name, u.id) > ($1, $2) AND ($8 OR u.organisation = $9) LIMIT $5) m
			WHERE letter.c IS NOT NULL LIMIT $5)
		UNION ALL SELECT '', u.name, u.id FROM app_user u WHERE u.id = $4 AND (u.name, u.id) > ($1, $2) AND ($8 OR u.organisation = $9)`

	letterOf = `left(u.name || chr(1), 1)`
)

// effort is how much a search does of what may not be needed.
type effort struct {
	walked  int // names walked through before anything else, in under a millisecond
	matched int // matches read to be put in order: each is somewhere else on the disk
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

func (s *Store) find(ctx context.Context, query string, key ...any) (u directory.User, err error) {
	err = s.single(ctx, "reading a user", func(ctx context.Context, q querier) error {
		return row(ctx, q, query, key, userDest(&u))
	})
	if errors.Is(err, store.ErrNotFound) {
		err = directory.ErrNotFound
	}
	return u, err
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
	err = s.single(ctx, "searching users", func(ctx context.Context, _ querier) error {
		snapshot := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly} // what was found is still there to be read
		return pgx.BeginTxFunc(ctx, s.pool, snapshot, func(tx pgx.Tx) error {
			found, err := search{tx, q, folded(q.Text), e}.first(ctx, after, limit+1) // one more tells whether there is a next page
			if err == nil {
				page, err = usersAt(ctx, tx, found)
			}
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

// place is where a user comes in the order of a search.
type place struct{ Name, ID string }

func (p place) compare(q place) int {
	return cmp.Or(cmp.Compare(p.Name, q.Name), cmp.Compare(p.ID, q.ID))
}

func usersAt(ctx context.Context, q querier, places []place) (page []directory.User, err error) {
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	err = each(ctx, q, selectPage, []any{ids}, func(r pgx.Rows) error {
		var u directory.User
		err := r.Scan(userDest(&u)...)
		page = append(page, u)
		return err
	})
	return page, err
}

// search is one search, within a transaction.
type search struct {
	tx   pgx.Tx
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
	found, from, all, err := s.match(ctx, after)
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
	err = each(ctx, s.tx, query, args, func(r pgx.Rows) error {
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
	err := row(ctx, s.tx, query, args, []any{&n})
	return n < s.walked, err
}

// match finds, in order, all matches behind after whose names begin with the letters before from; all of them, if all.
func (s search) match(ctx context.Context, after place) (found []place, from place, all bool, err error) {
	pieces, ends := s.pieces()
	args := []any{after.Name, after.ID, s.text, s.q.Text, s.matched, pieces, ends, s.q.AnyOrganisation, s.q.Organisation}
	read := 0
	err = each(ctx, s.tx, matchUsers, args, func(r pgx.Rows) error {
		var p place
		var letter string
		err := r.Scan(&letter, &p.Name, &p.ID)
		if letter != "" {
			from, read = place{Name: letter}, read+1
		}
		found = append(found, p)
		return err
	})
	slices.SortFunc(found, place.compare)
	found = slices.Compact(found)
	if read < s.matched {
		return found, from, true, err
	}
	if from.Name == noLetter {
		from.Name = ""
	}
	n, _ := slices.BinarySearchFunc(found, from, place.compare)
	if from.compare(after) < 0 {
		from = after
	}
	return found[:n], from, false, err
}

// noLetter stands for the first letter of a name that has none.
const noLetter = "\x01"

// pieces are what user_grams makes of the text, each with what ends it as a lexeme of a tsquery: a text that is shorter than a
// piece is the beginning of one.
func (s search) pieces() (pieces, ends []string) {
	for _, p := range cut(s.text) {
		pieces, ends = append(pieces, p), append(ends, "'")
	}
	if len(pieces) == 0 {
		pieces, ends = []string{s.text}, []string{"':*"}
	}
	if !s.q.AnyOrganisation {
		name := []rune(s.q.Organisation)
		pieces, ends = append(pieces, "\x02"+string(name[:min(len(name), 255)])), append(ends, "'")
	}
	return pieces, ends
}

// cut gives the pieces of three characters that make up text, one behind the other; none of a text that is shorter. A long text has
// more than enough of them.
func cut(text string) (pieces []string) {
	runes := []rune(text)
	for i := 0; i+3 <= len(runes) && i < 30; i += 3 {
		pieces = append(pieces, string(runes[i:i+3]))
	}
	if n := len(runes); n > 3 && n%3 > 0 && n < 30 {
		pieces = append(pieces, string(runes[n-3:]))
	}
	return pieces
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
