package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
)

// app is one run of the command.
type app struct {
	stdin          *os.File
	stdout, stderr io.Writer
	env            []string

	file    string            // --config
	output  string            // -o
	flags   map[string]string // configuration flags that were given
	started bool              // a command runs: what fails now is no misuse
	issuers []config.Issuer   // of the configuration, once it is loaded
}

func newApp() *app {
	return &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Environ(), flags: map[string]string{}}
}

// run runs the command and returns its exit code: 0, 1 for failed, 2 for misused.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return 0
	}
	misused := !a.started || errors.As(err, new(misuse))
	if hinted := new(hintError); misused && !errors.As(err, &hinted) {
		err = withHint(err, "see "+cmd.CommandPath()+" --help")
	}
	a.complain(err)
	if misused {
		return 2
	}
	return 1
}

// misuse is an error of the caller that only showed after the command began.
type misuse struct{ error }

func (m misuse) Unwrap() error { return m.error }

// does makes what cobra runs out of a command's function.
func (a *app) does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(cmd, a.output); err != nil {
			return err
		}
		a.started = true
		return f(cmd.Context(), args)
	}
}

// config loads the configuration and refuses one that Check finds fault with.
func (a *app) config() (*config.Loaded, error) { return a.checked((*config.Loaded).Check) }

func (a *app) checked(check func(*config.Loaded) []*config.Problem) (*config.Loaded, error) {
	l, err := config.Load(config.Sources{File: a.file, Env: a.env, Flags: a.flags})
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, p := range check(l) {
		errs = append(errs, p)
	}
	return l, errors.Join(errs...)
}

// open opens the database for a command that runs beside a server. Where there is none it makes one if create is set.
func (a *app) open(ctx context.Context, create bool) (*config.Loaded, store.Store, error) {
	return a.openIf(ctx, (*config.Loaded).Check, create)
}

// openIf is open with what is to be checked of the configuration.
func (a *app) openIf(ctx context.Context, check func(*config.Loaded) []*config.Problem, create bool) (*config.Loaded, store.Store, error) {
	l, err := a.checked(check)
	if err != nil {
		return nil, nil, err
	}
	a.issuers = l.Issuers()
	if l.Postgres() {
		st, err := openUnmarked(ctx, l, false)
		return l, st, err
	}
	_, err = os.Stat(l.Database)
	missing := errors.Is(err, os.ErrNotExist)
	if missing && !create {
		return nil, nil, withHint(fmt.Errorf("no database at %s", l.Database), "understudy serve makes it; --database names another")
	}
	st, err := openUnmarked(ctx, l, missing)
	return l, st, err
}

// withStore runs f on the database.
func (a *app) withStore(ctx context.Context, f func(store.Store) error) error {
	_, st, err := a.open(ctx, false)
	if err != nil {
		return err
	}
	return errors.Join(f(st), st.Close())
}

// withTrail runs f on the database for who may have no other right than to read the trail, nor the sealing key. issuer is that of our users.
func (a *app) withTrail(ctx context.Context, f func(st store.Store, issuer string) error) error {
	l, st, err := a.openIf(ctx, (*config.Loaded).CheckDatabase, false)
	if err != nil {
		return err
	}
	return errors.Join(f(st, l.PublicURL), st.Close())
}

// withAdmin runs f for the operator who runs the command.
func (a *app) withAdmin(ctx context.Context, create bool, f func(*admin.Admin) error) error {
	l, st, err := a.open(ctx, create)
	if err != nil {
		return err
	}
	ad, err := newAdmin(l, st)
	if err == nil {
		err = f(ad)
	}
	return errors.Join(err, st.Close())
}

func newAdmin(l *config.Loaded, st store.Store) (*admin.Admin, error) {
	return admin.New(admin.Config{
		Store: st, Registry: l.Registry(), Issuer: l.PublicURL, Now: time.Now,
		SealingKey:       func(ctx context.Context) ([]byte, error) { return sealingKey(ctx, l, st) },
		SigningAlgorithm: l.Signing.Algorithm, LongestToken: server.Lifetimes(l.Lifetimes).LongestToken(),
		By: oauth.Party{Issuer: "cli", Subject: osUser()},
	})
}

// osUser names who runs the command, for the trail.
func osUser() string {
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}

// hintError adds what to do about an error.
type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

func withHint(err error, hint string) error { return &hintError{err, hint} }

// complain writes an error and its hints to stderr.
func (a *app) complain(err error) {
	if all := config.Problems(err); len(all) > 0 {
		for _, p := range all {
			a.complainOnce(p.Error(), p.Hint)
		}
		return
	}
	text := strings.ReplaceAll(err.Error(), "\n", "\n  ")
	a.complainOnce(text, hintFor(err))
}

func (a *app) complainOnce(text, hint string) {
	fmt.Fprintln(a.stderr, "understudy: "+text)
	if hint != "" {
		fmt.Fprintln(a.stderr, "hint: "+hint)
	}
}
