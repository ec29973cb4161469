package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// main itself cannot be named from an external test package; the scripts run it as a command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"understudy": main})
}

func TestWhy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind   audit.Kind
		fields map[string]string
		want   string
	}{
		{audit.KindRefused, map[string]string{"rule": "protected", "reason": "no report tab"}, "protected"},
		{audit.KindStart, map[string]string{"reason": "no report tab"}, "no report tab"},
		{audit.KindEnd, map[string]string{"reason": "operator", "note": "case closed"}, "case closed"},
		{audit.KindUserRole, map[string]string{"roles": "admin", "was_roles": "support"}, "admin"},
		{audit.KindUserDisable, map[string]string{"roles": "admin"}, ""},
		{audit.KindUserPassword, map[string]string{"action": "set"}, "set"},
	} {
		if got := (entryOut{Kind: string(tt.kind), Fields: tt.fields}).why(); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.kind, got, tt.want)
		}
	}
}

// Who holds the target's lock decides when: the hint says to wait, and not to look at the configuration.
func TestBusyHint(t *testing.T) {
	t.Parallel()
	err := storeHint(fmt.Errorf("opening database: %w", transfer.ErrBusy), "understudy.db")
	if got, want := hintFor(err), "let the other copy or program end, then run the same command again"; got != want || !errors.Is(err, transfer.ErrBusy) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A flag that settingsFlags has and copies has not would be taken and do nothing.
func TestEverySettingIsCopied(t *testing.T) {
	t.Parallel()
	cmd, flags := new(cobra.Command), []string(nil)
	settingsFlags(cmd, new(store.Settings), new(string))
	cmd.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	slices.Sort(flags)
	if diff := cmp.Diff(flags, slices.Sorted(maps.Keys(copies))); diff != "" {
		t.Errorf("flags and what client set copies (-flags +copied):\n%s", diff)
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:           "testdata",
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			env.Setenv("USER", "olga")
			return nil
		},
	})
}
