package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/userfile"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/store"
)

var importHelp = `Add users from a file: CSV whose first line names the columns, or a JSON object on each line. - is the standard input.

CSV columns, in any order: ` + strings.Join(userfile.Columns, ", ") + `, and attr.NAME for each attribute. Only id or email must be there:
id finds a user, or else email. A new user needs an email and a name. groups and roles list with ; between. iss and sub are who the user is at another issuer, as in
user link. In JSON groups and roles are arrays, attributes is an object, identities an array of {"iss", "sub"}. Passwords are not
imported.

A column that is not there changes nothing of a user; of a new one it is empty, and enabled is true. Attributes and identities are set
one by one: others stay, and an empty attribute is removed. With --update an empty cell empties an organisation (whoever is in
none is your own staff) or a list, and leaves enabled and protected as they are.

All rows are checked before the first is written, and if one is wrong nothing is imported. A user who is there already just so is left
alone, so that an import that was interrupted goes on when it is run again. One who differs is an error without --update. To change
roles, groups, organisation, attributes, protected or enabled ends their impersonations; to disable them or to replace an
identity also their logins, and to disable them their consents.

user_name, external_id and source are what a provisioning source says of its own users: no file sets them.`

type importFlags struct {
	format string
	admin.ImportConfig
}

func (a *app) userImport() *cobra.Command {
	var i importFlags
	cmd := &cobra.Command{Use: "import FILE", Short: "Add many users from a file, all or none of them", Long: importHelp, Args: cobra.ExactArgs(1)}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&i.format, "format", "", "csv or json (default: by the end of FILE's name)")
	f.BoolVar(&i.Update, "update", false, "change users who are there already and differ")
	f.BoolVar(&i.DryRun, "dry-run", false, "check all, and write nothing")
	cmd.RunE = a.does(func(ctx context.Context, args []string) error {
		file, err := a.openUsers(ctx, args[0], i.format)
		if err != nil {
			return err
		}
		err = a.withAdmin(ctx, !i.DryRun, func(ad *admin.Admin) error { return a.importUsers(ctx, ad, args[0], file, i.ImportConfig) })
		return errors.Join(err, file.Close())
	})
	return cmd
}

func (a *app) openUsers(ctx context.Context, name, format string) (*userfile.File, error) {
	f := userfile.Format(format)
	if format == "" {
		f = userfile.FormatOf(name)
	}
	if f != userfile.CSV && f != userfile.JSON {
		return nil, misuse{errors.New("--format must be csv or json, and be given unless FILE ends in .csv, .json, .jsonl or .ndjson")}
	}
	type answer struct {
		file *userfile.File
		err  error
	}
	done := make(chan answer, 1)
	go func() { // no pipe can be made to stop: see readLine
		var got answer
		if name == "-" {
			got.file, got.err = userfile.Spool(a.stdin, f)
		} else {
			got.file, got.err = userfile.Open(name, f)
		}
		done <- got
	}()
	select {
	case got := <-done:
		if got.err != nil {
			got.err = withHint(fmt.Errorf("reading users: %w", got.err), "nothing was imported")
		}
		return got.file, got.err
	case <-ctx.Done():
		return nil, withHint(errors.New("interrupted"), "nothing was imported")
	}
}

// importOut is what was imported, as -o json has it.
type importOut struct {
	File    string  `json:"file"`
	DryRun  bool    `json:"dry_run"`
	Rows    int     `json:"rows"`
	Added   int     `json:"added"`
	Changed int     `json:"changed"`
	Same    int     `json:"same"`
	Seconds float64 `json:"seconds"`
}

func (a *app) importUsers(ctx context.Context, ad *admin.Admin, name string, file *userfile.File, c admin.ImportConfig) error {
	began, p := time.Now(), a.newProgress()
	c.Column = file.Column
	c.Progress = func(now admin.ImportProgress) { p.show(string(now.Step), "users", int64(now.Rows), int64(now.Of)) }
	issuers := map[string]bool{}
	done, err := ad.Import(ctx, noting(file.Rows(), issuers), c)
	p.end()
	if err != nil {
		return importHint(ctx, err, done)
	}
	a.warnAlikeOf(ctx, ad.Store, issuers)
	took, did := time.Since(began), "imported"
	if c.DryRun {
		did = "nothing was written, but all is well:"
	}
	return a.say(importOut{name, c.DryRun, done.Rows, done.Added, done.Changed, done.Same, took.Seconds()},
		"%s %s: %d added, %d changed, %d as they were, in %s", did, users(done.Rows), done.Added, done.Changed, done.Same, took.Round(10*time.Millisecond))
}

// importHint says what became of an import that stopped.
func importHint(ctx context.Context, err error, done admin.Imported) error {
	written, then := "nothing was imported", "the same command tries again"
	if done.Rows > 0 {
		written = fmt.Sprintf("%s imported, up to line %d, and none behind it", users(done.Rows), done.Line)
		then = "the same command goes on there"
	}
	rows := new(admin.ImportError)
	switch {
	case errors.As(err, &rows) && done.Rows > 0:
		then = "somebody else has written users meanwhile: mend the row, and the same command goes on"
	case errors.As(err, &rows):
		then = "mend these rows"
		if slices.ContainsFunc(rows.Rows, func(r *admin.RowError) bool { return strings.HasPrefix(r.Rule, "differs ") }) {
			then += "; --update changes users who are there and differ"
		}
	case ctx.Err() != nil:
		err = errors.New("interrupted")
	case errors.Is(err, store.ErrUnavailable) && done.Rows > 0: // it may have gone away in the middle of a write
		written = fmt.Sprintf("%s imported, up to line %d, and perhaps some behind it", users(done.Rows), done.Line)
	case errors.Is(err, store.ErrUnavailable):
	default:
		then = "look at the file"
	}
	return withHint(err, written+": "+then)
}
