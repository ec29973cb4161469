package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// main itself cannot be named from an external test package; the scripts run it as a command.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"understudy": main})
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
