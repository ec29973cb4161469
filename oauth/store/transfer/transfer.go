package transfer

import (
	"context"
	"errors"
	"fmt"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// Config says what is copied where.
type Config struct {
	// From is the path of the SQLite file. Must be set.
	From string
	// To is the migrated Postgres database, as the owner of its tables. Must be set; Migrate must not.
	To postgres.Config
	// SealingKey is what opens the signing keys and second factors of the source: 32 bytes, from now on the key of the
	// target's servers. Must be set for Copy.
	SealingKey []byte
	// Progress, if not nil, is called now and then, always from the same goroutine.
	Progress func(Progress)
}

// Step is a part of the work that reads all rows once.
type Step string

// The steps, in their order.
const (
	Checking  Step = "checking"
	Writing   Step = "copying"
	Comparing Step = "comparing"
)

// Progress is how far a step is. Done and Total are rows of all tables.
type Progress struct {
	Step        Step
	Table       string
	Done, Total int64
}

// Rows is how many rows a table has.
type Rows struct {
	Table string
	Rows  int64
}

// Result is what was copied or compared.
type Result struct {
	// Copy is the ID of the copy, "cpy_" and 26 characters; "" where a Verify found no mark.
	Copy string
	// Tables are all tables, in the order in which they are copied.
	Tables []Rows
	// Already reports that an earlier run had done everything: this one did nothing.
	Already bool
}

// Total is how many rows there are in all tables together.
func (r Result) Total() (n int64) {
	for _, t := range r.Tables {
		n += t.Rows
	}
	return n
}

// run is one run of the command: both sides, and how far it is.
type run struct {
	Config
	source *source
	target *target
	result Result
	now    Progress
	told   int64
}

// Copy moves the installation. When it answers nil the target is the installation, equal row for row, and the source says that
// it has moved. It may be stopped at any moment, by ctx, a kill or a lost connection, and goes on when it is called again with
// the same two sides.
//
// Nothing is changed on either side when it returns a *ProblemsError that is not Changed, ErrSource, ErrTarget, ErrOwner, ErrBusy,
// tokens.ErrKey, or sqlite.ErrLocked because the source is being served. After every other error both sides may be marked, and
// nobody serves either until the copy is finished or the source is reopened.
func Copy(ctx context.Context, c Config) (_ Result, err error) {
	r, err := open(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	n, err := plan(r.source.marker, r.target.marker, r.source.name == r.target.name, oauth.NewID("cpy"))
	if err != nil {
		return Result{}, err
	}
	if r.result.Copy, r.result.Already = n.id, n.done; n.done {
		return r.result, nil
	}
	if err := r.source.opens(ctx, c.SealingKey); err != nil {
		return Result{}, err
	}
	if n.fresh {
		if err := r.begin(ctx, n); err != nil {
			return Result{}, err
		}
	}
	return r.result, r.goOn(ctx, n.id)
}

// begin checks all, then marks both sides. A source that is marked alone is as good as one that is not: the next run begins anew.
func (r *run) begin(ctx context.Context, n next) error {
	if err := r.target.claim(ctx, n.id, r.source.name, nil); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	err := r.target.claim(ctx, n.id, r.source.name, func() error { return r.source.freeze(ctx, store.Mark{State: store.Copying, Copy: n.id}) })
	if err != nil {
		return fmt.Errorf("marking the target: %w", err)
	}
	r.target.name = r.source.name
	return r.countRows(ctx) // a command line may have written until the mark
}

// goOn does the rest. The source says that it has moved before the target is cleared: at no moment can both be served.
func (r *run) goOn(ctx context.Context, id string) error {
	if err := r.target.become(ctx, id); err != nil {
		return err
	}
	if err := r.fill(ctx); err != nil {
		return err
	}
	if err := r.target.analyse(ctx); err != nil {
		return fmt.Errorf("analysing: %w", err)
	}
	if err := r.compare(ctx); err != nil {
		return err
	}
	if err := r.source.moved(ctx, store.Mark{State: store.Moved, Copy: id}); err != nil {
		return fmt.Errorf("marking the source: %w", err)
	}
	if err := r.target.finish(ctx, id); err != nil {
		return fmt.Errorf("clearing the target's mark: %w", err)
	}
	return nil
}

// Verify compares both sides and changes neither. A copy that is served already differs: only what came before its first
// server can be held to its source. It returns a *ProblemsError, or ErrNotMarked if no copy of the file was begun.
func Verify(ctx context.Context, c Config) (_ Result, err error) {
	r, err := open(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	m, ok := store.MarkOf(r.source.marker)
	if !ok || m.State == store.Filling || r.source.name != r.target.name {
		return Result{}, fmt.Errorf("%w from this file to this database", ErrNotMarked)
	}
	r.result.Copy = m.Copy
	return r.result, r.compare(ctx)
}

func open(ctx context.Context, c Config) (r *run, err error) {
	r = &run{Config: c}
	if r.source, err = openSource(ctx, c.From); err != nil {
		return nil, err
	}
	if r.target, err = openTarget(ctx, c.To); err != nil {
		return nil, errors.Join(err, r.source.close())
	}
	if err := r.countRows(ctx); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

func (r *run) close() error { return errors.Join(r.target.close(), r.source.close()) }

func (r *run) countRows(ctx context.Context) error {
	r.result.Tables = nil
	for _, t := range tables {
		n, err := r.source.count(ctx, t)
		if err != nil {
			return fmt.Errorf("counting %s: %w", t.name, err)
		}
		r.result.Tables = append(r.result.Tables, Rows{t.name, n})
	}
	return nil
}

// progress counts n more rows and tells now and then.
func (r *run) progress(t table, n int64) {
	const often = 1000 // rows: a call every few milliseconds
	r.now.Table = t.name
	r.now.Done += n
	if r.Progress != nil && (n == 0 || r.now.Done-r.told >= often || r.now.Done < r.told) {
		r.told = r.now.Done
		r.Progress(r.now)
	}
}
