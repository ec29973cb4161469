package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// The exit codes.
const (
	held   = 0 // all that was tried held
	found  = 1 // findings, or cases that could not be tried, or an interrupted run
	notRun = 2 // nothing could be run: wrong usage, a bad target file, no answer
)

// app is one run of the command.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	progress       io.Writer // a terminal, or nil
	env            func(name string) (string, bool)

	code int // of a command that did what it was asked
}

func newApp() *app {
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.LookupEnv}
	if info, err := os.Stderr.Stat(); err == nil && info.Mode()&os.ModeCharDevice != 0 {
		a.progress = os.Stderr
	}
	return a
}

// run runs the command and returns its exit code. Whatever is an error to cobra means that nothing was run.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return a.code
	}
	fmt.Fprintf(a.stderr, "understudy-conformance: %s\n", strings.ReplaceAll(err.Error(), "\n", "\n  "))
	if a.code == held { // cobra did not get so far as to call a command
		fmt.Fprintf(a.stderr, "hint: see %s --help\n", cmd.CommandPath())
	}
	return notRun
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "understudy-conformance", Short: "Test whether a server's token exchange lets somebody become somebody else who must not",
		Long: "Test whether a server's token exchange (RFC 8693) lets somebody become somebody else who must not, or act unseen.\n\n" +
			"Exit codes: 0 all that was tried held; 1 findings, or cases that could not be tried; 2 nothing could be run.",
		SilenceErrors: true, SilenceUsage: true, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return fmt.Errorf("there is no command %q", args[0])
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.AddCommand(a.initCmd(), a.runCmd(), a.listCmd(), a.explainCmd(), a.diffCmd())
	return root
}

// does makes what cobra runs out of a command's function. An error of it is of what it was told, and no misuse of the command line.
func (a *app) does(f func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		a.code = held
		err := f(cmd.Context(), args)
		if err != nil {
			a.code = notRun
		}
		return err
	}
}

func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
