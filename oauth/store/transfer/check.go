package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/internal/seal"
	"github.com/understudy-id/understudy/oauth/internal/totp"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	selectSealedKeys = `SELECT id, algorithm, sealed FROM signing_key WHERE revoked_at IS NULL` // one may be revoked since it does not open
	selectSealedTOTP = `SELECT id, totp FROM app_user WHERE totp IS NOT NULL`
)

// opens checks that key opens all that is sealed: signing keys and second factors. Copied under another key, every token
// would be lost and nobody with a second factor could sign in. The error is a tokens.ErrKey.
func (s *source) opens(ctx context.Context, key []byte) error {
	box, err := seal.New(key)
	if err != nil {
		return fmt.Errorf("%w: %w", tokens.ErrKey, err)
	}
	if err := s.each(ctx, selectSealedKeys, func(scan func(...any) error) error {
		var id, algorithm string
		var sealed []byte
		if err := scan(&id, &algorithm, &sealed); err != nil {
			return err
		}
		_, err := tokens.OpenKey(box, id, algorithm, sealed)
		return err
	}); err != nil {
		return fmt.Errorf("opening the signing keys: %w", err)
	}
	if err := s.each(ctx, selectSealedTOTP, func(scan func(...any) error) error {
		var id string
		var sealed []byte
		if err := scan(&id, &sealed); err != nil {
			return err
		}
		if _, err := box.Open(totp.Purpose(id), sealed); err != nil {
			return fmt.Errorf("user %s: %w: %w", id, tokens.ErrKey, err)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("opening the second factors: %w", err)
	}
	return nil
}

func (s *source) each(ctx context.Context, query string, f func(scan func(...any) error) error) error {
	rows, err := s.db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// indexLimit is how many bytes of a row the columns of one index may have. Postgres takes 2,704 with what it adds itself, and
// more if they can be compressed, which nobody should rely on.
const indexLimit = 2600

// check reads the whole source and finds what Postgres would refuse, before anything is changed.
func (r *run) check(ctx context.Context) error {
	found := &ProblemsError{what: "values that cannot be copied"}
	err := r.eachTable(ctx, Checking, func(t table) error {
		indexes, err := r.target.indexes(ctx, t)
		if err != nil {
			return err
		}
		rows, err := r.source.rows(ctx, t, nil)
		if err != nil {
			return err
		}
		defer rows.Close()
		for {
			row, err := rows.next()
			if err == nil && row == nil {
				return nil
			}
			if err == nil {
				err = t.fits(row, indexes)
			}
			if p := new(Problem); errors.As(err, &p) {
				found.add(p)
			} else if err != nil {
				return err
			}
			r.progress(t, 1)
		}
	})
	return errors.Join(err, found.orNil())
}

// fits judges a row as a whole. The error is a *Problem.
func (t table) fits(row []any, indexes [][]string) error {
	for _, index := range indexes {
		sum, longest, column := 0, 0, ""
		for _, name := range index {
			n := size(row[t.index(name)])
			if sum += n; n > longest {
				longest, column = n, name
			}
		}
		if sum > indexLimit {
			return &Problem{t.name, keyText(t.keyOf(row)), column, errTooLong}
		}
	}
	return t.proves(row)
}

func size(v any) int {
	switch v := v.(type) {
	case string:
		return len(v)
	case []byte:
		return len(v)
	}
	return 0
}

// proves holds a row of the trail to its canonical bytes, which every proof stands on.
func (t table) proves(row []any) error {
	if t.name != "audit_entry" {
		return nil
	}
	is := func(name string) any { return row[t.index(name)] }
	canonical, _ := is("canonical").([]byte)
	opening, _ := is("opening").([]byte) // nil where there is none
	e, err := audit.Open(canonical, opening)
	if err != nil || e.ID != is("id") || e.Time.UnixMilli() != is("time_at") || string(e.Kind) != is("kind") || e.Actor.Subject != is("actor") ||
		e.Subject.Subject != is("subject") || e.Client != is("client") || e.Session != is("session") {
		return &Problem{t.name, keyText(t.keyOf(row)), "canonical", errTampered}
	}
	return nil
}
