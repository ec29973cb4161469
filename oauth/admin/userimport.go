package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// Row is one user of an import. What is nil stays as it is for a user who is there already, and is empty for a new one.
type Row struct {
	// Line is where the row begins in its file, from 1.
	Line int
	// ID finds the user; "" finds them by Email. A new user with "" gets a fresh one.
	ID string
	// Email and Name must be given for a new user; see directory.User.
	Email, Name  *string
	Organisation *string
	// Groups and Roles replace all. Roles must be registered.
	Groups, Roles *[]string
	// Attributes are set one by one, and "" removes one. Others stay.
	Attributes map[string]string
	// Identities are set one by one, each in place of what the user had at its issuer. Others stay.
	Identities []oauth.Party
	// Enabled is true for a new user who is not told to be otherwise.
	Enabled, Protected *bool
	// Unread is what is wrong with parts that could not be read. Such a row is never written; what could be read is checked with the rest.
	Unread []*RowError
}

// RowError says which rule a row of an import breaks. It holds no value of the row.
type RowError struct {
	Line   int    // Row.Line
	Column string // as the file calls it; "" for the row as a whole
	Rule   string // a phrase that follows the column
}

// Error is the line, the column and the rule.
func (e *RowError) Error() string {
	if e.Column == "" {
		return fmt.Sprintf("line %d: %s", e.Line, e.Rule)
	}
	return fmt.Sprintf("line %d: %s: %s", e.Line, e.Column, e.Rule)
}

// ImportError says what is wrong with an import: of each row all that is, each column once.
type ImportError struct {
	Rows []*RowError // the first ones, by line: at most 20
	More int         // how many there are beside
}

// Error has a line for each of Rows.
func (e *ImportError) Error() string {
	var b strings.Builder
	for i, r := range e.Rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(r.Error())
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", e.More)
	}
	return b.String()
}

const maxRowErrors = 20 // a screen, and as many of one row: what is wrong with more is wrong with all

// add takes the problems of a batch.
func (e *ImportError) add(problems []*RowError) {
	slices.SortStableFunc(problems, func(a, b *RowError) int { return cmp.Compare(a.Line, b.Line) })
	room := min(len(problems), maxRowErrors-len(e.Rows))
	e.Rows = append(e.Rows, problems[:room]...)
	e.More += len(problems) - room
}

// ImportConfig says how to import.
type ImportConfig struct {
	// Update changes users who are there already and differ. Without it such a row is an error.
	Update bool
	// DryRun checks all, and writes nothing.
	DryRun bool
	// Progress, if not nil, is told after each batch.
	Progress func(ImportProgress)
	// Column, if not nil, gives what the file calls a column, as RowError.Column has it: id, email, name, organisation, groups, roles, enabled,
	// protected; identities for the pair, identities.iss, identities.sub; attributes for all, attributes.NAME.
	Column func(string) string
}

// ImportStep is what an import is at.
type ImportStep string

// The steps.
const (
	ImportChecking  ImportStep = "checking"
	ImportImporting ImportStep = "importing"
)

// ImportProgress is how far an import is.
type ImportProgress struct {
	Step ImportStep
	Rows int // done in this step
	Of   int // all rows; zero while they are not known
}

// Imported counts rows. Of an import that stopped it counts those that are written, and no others, unless the store went away in the middle of a
// write: then nobody knows of the next 200.
type Imported struct {
	Rows, Added, Changed int
	Same                 int // as they were already, not written
	Line                 int // the last of these rows begins there; zero for none
}

// importBatch is how many rows are one write. Measured, more gain little, and whoever else writes waits for it.
const importBatch = 200

// Import adds the users of rows, and with c.Update changes those who are there already. It goes through rows twice, so that rows must
// give the same each time: first it checks all of them, and only if there is nothing wrong with any it writes, batch by batch, each
// with its entries and all or nothing. A user who is as their row says already is not written, so that an import that was
// interrupted goes on when it is run again. A change of what decides about a user ends the sessions in which they are the actor or
// the subject; to disable one, or to take an identity from them, also their logins and grants, and to disable one their consents.
//
// An error that rows gives is a *RowError, for a row of which nothing could be read, which is counted, or ends the import. Import returns an *ImportError for rows that break a
// rule. If it comes with Imported.Rows above zero somebody else wrote meanwhile what is in the way of the first row behind Imported.Line; any other
// time nothing was imported. Memory is for 48 bytes or so of each row.
func (a *Admin) Import(ctx context.Context, rows iter.Seq2[Row, error], c ImportConfig) (Imported, error) {
	i := importer{Admin: a, ImportConfig: c, request: oauth.NewID("req"), keepers: map[string]string{}}
	if i.Progress == nil {
		i.Progress = func(ImportProgress) {}
	}
	if i.Column == nil {
		i.Column = func(column string) string { return column }
	}
	planned, err := i.check(ctx, rows)
	if err != nil || c.DryRun {
		return planned, err
	}
	done, err := i.writeAll(ctx, rows, planned.Rows)
	a.log(ctx, fmt.Sprintf("imported users: %d added, %d changed", done.Added, done.Changed), slog.String("request", i.request))
	return done, err
}

// importer is one import.
type importer struct {
	*Admin
	ImportConfig
	request string            // of all its entries
	keepers map[string]string // of the groups that rows are about, "" for none: a file names few, a million times
}

// keeper is keeperOf, asked once for each group.
func (i importer) keeper(ctx context.Context, group string) (string, error) {
	if source, known := i.keepers[group]; known {
		return source, nil
	}
	source, err := i.keeperOf(ctx, group)
	if err == nil {
		i.keepers[group] = source
	}
	return source, err
}

// check goes through rows and tells what writing them would come to.
func (i importer) check(ctx context.Context, rows iter.Seq2[Row, error]) (all Imported, err error) {
	var wrong ImportError
	seen := seen{}
	err = batches(rows, func(batch []Row, problems []*RowError) error {
		plans, err := i.plan(ctx, batch)
		if err != nil {
			return err
		}
		for _, p := range plans {
			seen.claim(p)
			problems = append(problems, p.wrong.all...)
			all.count(p)
		}
		wrong.add(problems)
		i.Progress(ImportProgress{Step: ImportChecking, Rows: all.Rows})
		return nil
	})
	if err == nil && len(wrong.Rows) > 0 {
		err = &wrong
	}
	if err != nil {
		return Imported{}, err
	}
	return all, nil
}

func (i importer) writeAll(ctx context.Context, rows iter.Seq2[Row, error], of int) (done Imported, err error) {
	err = batches(rows, func(batch []Row, problems []*RowError) error {
		plans, err := i.writeBatch(ctx, batch, problems)
		if err != nil {
			return err
		}
		for _, p := range plans {
			done.count(p)
		}
		i.Progress(ImportProgress{Step: ImportImporting, Rows: done.Rows, Of: of})
		return nil
	})
	return done, err
}

// writeBatch writes a batch, and plans it anew if somebody else wrote what it touches in between. problems are those of rows that could
// not be read: the file is another than it was.
func (i importer) writeBatch(ctx context.Context, batch []Row, problems []*RowError) (plans []plan, err error) {
	for range tries {
		if plans, err = i.plan(ctx, batch); err != nil {
			return nil, err
		}
		for _, p := range plans {
			problems = append(problems, p.wrong.all...)
		}
		if len(problems) > 0 {
			wrong := new(ImportError)
			wrong.add(problems)
			return nil, wrong
		}
		if err = i.put(ctx, plans); !errors.Is(err, impersonation.ErrChanged) && !errors.Is(err, store.ErrExists) && !errors.Is(err, store.ErrNotFound) {
			break
		}
	}
	return plans, err
}

func (i importer) put(ctx context.Context, plans []plan) error {
	writes := i.writes(plans)
	if len(writes) == 0 {
		return nil
	}
	ctx, done := unhurried(ctx)
	defer done()
	if err := i.Store.PutUsers(ctx, writes); err != nil {
		return fmt.Errorf("importing users: %w", err)
	}
	return nil
}

// unhurried ends 5 s after ctx: a write that was begun is let end, since one that is cut off may have been done or not, but a store that hangs
// is not waited for.
func unhurried(ctx context.Context) (_ context.Context, done func()) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(5*time.Second, cancel) })
	return late, func() { stop(); cancel() }
}

func (n *Imported) count(p plan) {
	n.Rows, n.Line = n.Rows+1, p.row.Line
	switch {
	case p.was == nil:
		n.Added++
	case same(*p.was, p.u):
		n.Same++
	default:
		n.Changed++
	}
}

// batches calls f for importBatch rows at a time, with what is wrong with those that could not be read.
func batches(rows iter.Seq2[Row, error], f func([]Row, []*RowError) error) error {
	var batch []Row
	var unread []*RowError
	for row, err := range rows {
		if bad := new(RowError); errors.As(err, &bad) {
			unread = append(unread, bad)
		} else if err != nil {
			return err
		} else {
			batch = append(batch, row)
		}
		if len(batch)+len(unread) == importBatch {
			if err := f(batch, unread); err != nil {
				return err
			}
			batch, unread = nil, nil
		}
	}
	if len(batch)+len(unread) == 0 {
		return nil
	}
	return f(batch, unread)
}

// keys are what the rows of a batch may mean somebody by.
func keys(batch []Row) (k store.UserKeys) {
	for _, r := range batch {
		if r.ID != "" {
			k.IDs = append(k.IDs, r.ID)
		}
		if r.Email != nil {
			if email, err := directory.NormalEmail(*r.Email); err == nil {
				k.Emails = append(k.Emails, email)
			}
		}
		k.Identities = append(k.Identities, r.Identities...)
	}
	return k
}
