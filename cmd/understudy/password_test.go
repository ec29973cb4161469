package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// guarded is a database whose role must give the password "c4n4ry": its URL, with something after the user's name.
func guarded(t *testing.T) func(after string) string {
	t.Helper()
	db := postgrestest.Start(t).Fresh(t)
	run(t, "pgx", db.Superuser, `CREATE ROLE guarded LOGIN PASSWORD 'c4n4ry' IN ROLE understudy_app`)
	hba := one(t, db.Superuser, `SHOW hba_file`)
	rules, err := os.ReadFile(hba)
	check(t, err)
	check(t, os.WriteFile(hba, append([]byte("local all guarded scram-sha-256\n"), rules...), 0o600))
	run(t, "pgx", db.Superuser, `SELECT pg_reload_conf()`)
	path, options, _ := strings.Cut(strings.TrimPrefix(db.Application, "postgres://"), "?")
	options = strings.ReplaceAll(options, "user=application", "application_name=test")
	return func(after string) string { return "postgres://guarded" + after + "@" + path + "?" + options }
}

// TestPassword: each way in which a password may come works, and none of them lets it out.
func TestPassword(t *testing.T) {
	t.Parallel()
	const password = "c4n4ry"
	url := guarded(t)
	bare, with := url(""), url(":"+password)
	files := t.TempDir()
	secret, pass, yaml := filepath.Join(files, "secret"), filepath.Join(files, "pgpass"), filepath.Join(files, "with.yaml")
	check(t, os.WriteFile(secret, []byte(password+"\n"), 0o600))
	check(t, os.WriteFile(pass, []byte("localhost:*:*:guarded:"+password+"\n"), 0o600))
	check(t, os.WriteFile(yaml, []byte("database: "+with+"\n"), 0o600))
	for name, c := range map[string]struct{ env, args []string }{
		"URL in the environment": {env: []string{"UNDERSTUDY_DATABASE=" + with}},
		"URL in the YAML file":   {args: []string{"--config", yaml}},
		"variable":               {env: []string{"UNDERSTUDY_DATABASE=" + bare, "UNDERSTUDY_DATABASE_PASSWORD=" + password}},
		"file":                   {args: []string{"--database", bare, "--database-password-file", secret}},
		"PGPASSFILE in the shell of another role": {
			env:  []string{"PGPASSFILE=" + pass, "UNDERSTUDY_DATABASE=" + url(":other"), "UNDERSTUDY_DATABASE_PASSWORD=other"},
			args: []string{"--database", bare},
		},
		"PGPASSFILE": {env: []string{"PGPASSFILE=" + pass}, args: []string{"--database", bare}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := ""
			for _, args := range [][]string{
				{"user", "ls"}, {"migrate", "status", "-o", "json"}, {"config", "check"}, {"config", "show"}, {"config", "show", "-o", "json"}, {"config", "show", "-o", "yaml"},
			} {
				said += must(t, secretly(t, slices.Concat(args, c.args), c.env))
			}
			s := startCmd(t, secretly(t, slices.Concat(quiet, c.args), c.env))
			s.stop(t)
			said += s.said
			if !strings.Contains(said, "postgres://guarded@") || strings.Contains(said, password) {
				t.Errorf("got\n%s\nwant the URL without its password", said)
			}
			if shown := regexp.MustCompile(`(?m)^database_password +\[redacted\] `).MatchString(said); shown == strings.HasPrefix(name, "PGPASSFILE") {
				t.Errorf("got\n%s\nwant to see that there is a password", said)
			}
		})
	}
	for name, c := range map[string]struct {
		env, args  []string
		want, hint string
	}{
		"in a flag":     {nil, []string{"--database", with}, "flag --database: database has a password, and a process list shows flags", "give UNDERSTUDY_DATABASE, or database in the YAML file, or the password in database_password_file"},
		"another's":     {[]string{"UNDERSTUDY_DATABASE_PASSWORD=" + password}, []string{"--database", bare}, "failed SASL auth", "one that a lower layer than the URL gives is not used"},
		"none":          {nil, []string{"--database", bare}, "failed SASL auth", "look at the user"},
		"a wrong one":   {[]string{"UNDERSTUDY_DATABASE=" + url(":x"+password)}, nil, `password authentication failed for user "guarded"`, "look at the user"},
		"not escaped":   {[]string{"UNDERSTUDY_DATABASE=" + url(":/"+password)}, nil, "env UNDERSTUDY_DATABASE: database is not a URL that can be read", "write @ as %40"},
		"another store": {[]string{"UNDERSTUDY_DATABASE=mysql://u:" + password + "@h/db"}, nil, "database is neither a file nor a postgres:// URL", "such as postgres://"},
	} {
		for _, command := range [][]string{{"serve"}, {"user", "ls"}, {"migrate", "up"}} {
			t.Run(name+"/"+command[0], func(t *testing.T) {
				t.Parallel()
				cmd := secretly(t, slices.Concat(command, c.args), c.env)
				if said := wantOneLine(t, cmd, c.want, c.hint); strings.Contains(said, password) {
					t.Errorf("got\n%s\nwant no password", said)
				}
			})
		}
	}
}

// secretly is a command with a sealing key and env, in a directory of its own.
func secretly(t *testing.T, args, env []string) *exec.Cmd {
	t.Helper()
	cmd := understudy(t, t.TempDir(), args...)
	cmd.Env = slices.Concat(cmd.Env, []string{"UNDERSTUDY_SEALING_KEY=" + sealed}, env)
	return cmd
}

// must is all that cmd, which succeeds, says.
func must(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}
