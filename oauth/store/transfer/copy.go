package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
)

// batch is how many rows share a transaction: enough that its commit costs nothing beside them, and few to do again.
const batch = 5000

// fill copies what the target lacks. Rows come in the order of their keys and in whole batches, so what is there is the
// beginning of the source, also after a run that was killed.
func (r *run) fill(ctx context.Context) error {
	return r.eachTable(ctx, Writing, func(t table) error {
		have, err := r.target.count(ctx, t)
		if err != nil {
			return err
		}
		r.progress(t, have)
		if err := r.fillTable(ctx, t); err != nil {
			return err
		}
		if t.counter == "" {
			return nil
		}
		n, err := r.source.counted(ctx, t)
		if err != nil {
			return err
		}
		return r.target.setCounter(ctx, t, n)
	})
}

func (r *run) fillTable(ctx context.Context, t table) error {
	after, err := r.target.last(ctx, t)
	if err != nil {
		return err
	}
	rows, err := r.source.rows(ctx, t, after)
	if err != nil {
		return err
	}
	defer rows.Close()
	for {
		n, err := r.fillBatch(ctx, t, rows)
		if err != nil || n < batch {
			return err
		}
	}
}

// fillBatch copies the next rows in one transaction, as they are read: none of them is kept.
func (r *run) fillBatch(ctx context.Context, t table, rows *sourceRows) (int64, error) {
	tx, err := r.target.conn.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing after a commit
	left := batch
	var unread error // what pgx would put into words of Postgres
	n, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, t.names(), pgx.CopyFromFunc(func() ([]any, error) {
		if left == 0 {
			return nil, nil
		}
		left--
		row, err := rows.next()
		unread = err
		return row, err
	}))
	if unread != nil {
		return 0, unread
	}
	if err != nil {
		return 0, err
	}
	if err := tx.Commit(ctx); err != nil {
		return 0, err
	}
	r.progress(t, n)
	return n, nil
}

var (
	errMissing = errors.New("is missing in the copy")
	errExtra   = errors.New("is in the copy and not in the source")
	errDiffers = errors.New("differs in the copy")
)

// compare reads both sides to their ends.
func (r *run) compare(ctx context.Context) error {
	m, _ := store.MarkOf(r.source.marker)
	found := &ProblemsError{what: "differences between source and copy", Changed: true, Moved: m.State == store.Moved && r.target.marker == ""}
	if r.source.name != r.target.name || r.source.minimum != r.target.minimum {
		found.add(&Problem{"installation", "1", "", errDiffers})
	}
	err := r.eachTable(ctx, Comparing, func(t table) error {
		from, err := r.source.rows(ctx, t, nil)
		if err != nil {
			return err
		}
		defer from.Close()
		into, err := r.target.rows(ctx, t)
		if err != nil {
			return err
		}
		defer into.Close()
		return r.compareTable(t, from, into, found)
	})
	return errors.Join(err, found.orNil())
}

// compareTable walks along both sides, each in the order of its keys.
func (r *run) compareTable(t table, from *sourceRows, into *targetRows, found *ProblemsError) error {
	a, err := from.next()
	b, err2 := into.next()
	for err == nil && err2 == nil && (a != nil || b != nil) {
		n := t.which(a, b)
		switch {
		case n < 0:
			found.add(&Problem{t.name, keyText(t.keyOf(a)), "", errMissing})
		case n > 0:
			found.add(&Problem{t.name, keyText(t.keyOf(b)), "", errExtra})
		default:
			t.differences(a, b, found)
		}
		if n <= 0 {
			r.progress(t, 1)
			a, err = from.next()
		}
		if n >= 0 {
			b, err2 = into.next()
		}
	}
	return errors.Join(err, err2)
}

// which is negative if a comes first, positive if b does, 0 if they are the same row. A side that is over is nil.
func (t table) which(a, b []any) int {
	switch {
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return order(t.keyOf(a), t.keyOf(b))
}

func (t table) differences(a, b []any, found *ProblemsError) {
	for i, c := range t.columns {
		if !same(a[i], b[i]) {
			found.add(&Problem{t.name, keyText(t.keyOf(a)), c.name, errDiffers})
		}
	}
	if p := new(Problem); errors.As(t.proves(b), &p) {
		found.add(p)
	}
}

// eachTable runs one step over all tables.
func (r *run) eachTable(ctx context.Context, step Step, f func(table) error) error {
	r.now = Progress{Step: step, Total: r.result.Total()}
	for _, t := range tables {
		r.progress(t, 0)
		if err := f(t); err != nil {
			return fmt.Errorf("%s %s: %w", step, t.name, err)
		}
	}
	return ctx.Err()
}
