package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/store/transfer"
	"github.com/understudy-id/understudy/oauth/tokens"
)

func (a *app) storeCmd() *cobra.Command {
	return a.group("store", "Where everything is kept: move it from SQLite to Postgres", a.storeCopy(), a.storeVerify(), a.storeReopen())
}

const copyHelp = `Move an installation from a SQLite file to Postgres: all of it, with its sessions and its audit trail.

Stop the server first; command lines too are refused from here on, but for "understudy migrate", so that a newer program can go
on with the copy. Make the database, let "understudy migrate up" run as its owner, and give this command the same URL as
database, with the sealing key of the file (sealing_key_file: understudy.db.key where it is beside the database). The command
finds what Postgres would not take before it changes anything, copies, compares every row, and only then lets the target be
served: "understudy serve" then goes on where the file stopped, best not as the owner but as a role that "understudy migrate
roles" tells how to make.

It may be stopped at any moment, or lose its connection: the same command goes on. Until it is done nobody can serve either
side; "understudy store reopen" gives the file back instead.`

func (a *app) storeCopy() *cobra.Command {
	var from string
	cmd := &cobra.Command{Use: "copy --from FILE", Short: "Move an installation from SQLite to the configured Postgres", Long: copyHelp, Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.transfer(ctx, from, transfer.Copy, func(r transfer.Result) string {
				if r.Already {
					return "nothing to do: %[1]s has moved to this database already (%[4]s)"
				}
				return "%[1]s has moved: %[2]d rows copied and compared in %[3]s (%[4]s)"
			})
		})}
	return fromFlag(cmd, &from)
}

func (a *app) storeVerify() *cobra.Command {
	var from string
	cmd := &cobra.Command{Use: "verify --from FILE", Short: "Compare a copy with its source, row for row, and change nothing",
		Long: "Compare a copy with its source, row for row, and change nothing.\n\nUse it after understudy store copy and before the first server: what is done in the copy from then on is not in the file.", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			return a.transfer(ctx, from, transfer.Verify, func(transfer.Result) string {
				return "%[1]s and its copy are the same: %[2]d rows compared in %[3]s (%[4]s)"
			})
		})}
	return fromFlag(cmd, &from)
}

func (a *app) storeReopen() *cobra.Command {
	var from string
	var moved bool
	cmd := &cobra.Command{Use: "reopen --from FILE", Short: "Give a file back to its server, after a copy that is not wanted any more", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			if err := transfer.Reopen(ctx, from, moved); err != nil {
				return storeHint(err, from)
			}
			said := "%s is open again; what was copied of it can never be served"
			if moved {
				said = "%s is open again; a copy that was finished can still be served: drop that database, if it is not dropped yet"
			}
			return a.say(map[string]string{"reopened": from}, said, from)
		})}
	fromFlag(cmd, &from).Flags().BoolVar(&moved, "even-if-moved", false,
		"also after a copy that was finished: what was done in Postgres since is not in the file. Drop that database first, so that there are not two installations")
	return cmd
}

func fromFlag(cmd *cobra.Command, from *string) *cobra.Command {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(from, "from", "", "the SQLite `file`, such as understudy.db")
	cmd.MarkFlagRequired("from") // the flag is there
	return cmd
}

// copyOut is what was copied or compared, as -o json has it.
type copyOut struct {
	Copy    string           `json:"copy"`
	From    string           `json:"from"`
	Already bool             `json:"already"`
	Rows    int64            `json:"rows"`
	Tables  map[string]int64 `json:"tables"`
	Seconds float64          `json:"seconds"`
}

// transfer runs f. said gives the words for file, rows, time and copy.
func (a *app) transfer(ctx context.Context, from string, f func(context.Context, transfer.Config) (transfer.Result, error), said func(transfer.Result) string) error {
	l, err := a.checked((*config.Loaded).CheckDatabase)
	if err != nil {
		return err
	}
	if !l.Postgres() {
		return withHint(fmt.Errorf("database %s is a file: the copy goes to Postgres", l.Database), "give the URL of the target: UNDERSTUDY_DATABASE, or --database postgres://owner@host/name")
	}
	key, err := keyOf(l, from)
	if err != nil {
		return err
	}
	began := time.Now()
	p := a.newProgress()
	r, err := f(ctx, transfer.Config{From: from, To: l.PostgresConfig(), SealingKey: key, Progress: func(now transfer.Progress) {
		p.show(string(now.Step), now.Table, now.Done, now.Total)
	}})
	p.end()
	switch {
	case err != nil && ctx.Err() != nil:
		return withHint(errors.New("interrupted"), "the same command goes on where it stopped")
	case err != nil:
		return storeHint(err, from)
	}
	took := time.Since(began)
	out := copyOut{r.Copy, from, r.Already, r.Total(), map[string]int64{}, took.Seconds()}
	for _, t := range r.Tables {
		out.Tables[t.Table] = t.Rows
	}
	return a.say(out, said(r), from, r.Total(), took.Round(10*time.Millisecond), r.Copy)
}

// keyOf is the configured sealing key, which must be that of the file: a fresh one would open nothing that is copied.
func keyOf(l *config.Loaded, from string) ([]byte, error) {
	hint := "nothing was changed: give the key of the file, such as sealing_key_file: " + from + ".key"
	if l.SealingKey == "" {
		return nil, withHint(fmt.Errorf("the sealing key of %s is missing", from), hint)
	}
	key, err := l.Key()
	if err != nil {
		return nil, withHint(fmt.Errorf("sealing_key %w", err), hint)
	}
	return key, nil
}

// storeHint says what to do about an error of a transfer.
func storeHint(err error, from string) error {
	again := "understudy store copy --from " + from
	var found *transfer.ProblemsError
	switch {
	case errors.As(err, &found) && found.Moved:
		return withHint(err, "this database is the installation since its copy was finished: what was done in it since differs, which is no fault; nothing was changed")
	case errors.As(err, &found) && found.Changed:
		return withHint(err, "nobody can serve either side: mend the cause and run the same command again, or understudy store reopen --from "+from)
	case errors.As(err, &found):
		return withHint(err, "nothing was changed: mend these rows, with the server stopped, and run the same command again")
	case errors.Is(err, tokens.ErrKey):
		return withHint(err, "nothing was changed: give the key of the file, such as sealing_key_file: "+from+".key")
	case errors.Is(err, transfer.ErrOwner):
		return withHint(err, "nothing was changed: give the role that ran understudy migrate up")
	case errors.Is(err, transfer.ErrMoved):
		return withHint(err, "serve from that Postgres; understudy store reopen --help says how the file would be served again")
	case errors.Is(err, transfer.ErrTarget):
		return withHint(err, "nothing was changed: make another database and run understudy migrate up as its owner")
	case errors.Is(err, transfer.ErrBusy):
		return withHint(err, "let the other copy or program end, then run the same command again")
	case errors.Is(err, sqlite.ErrLocked):
		return withHint(err, "nothing was changed: stop the server of that file, or let the copy that runs end")
	case errors.Is(err, transfer.ErrSource), errors.Is(err, sqlite.ErrCorrupt), errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EISDIR):
		return withHint(err, "nothing was changed: --from names the file of a server")
	case errors.Is(err, transfer.ErrNotMarked):
		return withHint(err, again+" begins one")
	}
	return err
}

// openUnmarked opens the database for a command, unless it is in the middle of a copy.
func openUnmarked(ctx context.Context, l *config.Loaded, migrate bool) (store.Store, error) {
	st, err := openDatabase(ctx, l, migrate)
	if err != nil {
		return nil, err
	}
	marker, err := st.Marker(ctx)
	if err == nil {
		err = refuseMarked(l, marker)
	}
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return st, nil
}

// refuseMarked keeps everybody from a database that a copy is under way from or to, or that has moved.
func refuseMarked(l *config.Loaded, marker string) error {
	const again = "understudy store copy --from "
	m, _ := store.MarkOf(marker)
	switch m.State {
	case store.Copying:
		return withHint(fmt.Errorf("%s is being copied to Postgres, which is not done (%s)", l.Database, m.Copy),
			again+l.Database+" goes on; understudy store reopen --from "+l.Database+" gives the copy up")
	case store.Moved:
		return withHint(fmt.Errorf("%s has moved to Postgres (%s)", l.Database, m.Copy), "--database names that one; understudy store reopen --help says how the file would be served again")
	case store.Filling:
		return withHint(fmt.Errorf("an installation is being copied to this database, which is not done (%s)", m.Copy), again+"FILE goes on")
	}
	return nil
}
