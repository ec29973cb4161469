package main_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// moving is the command with a Postgres as its database, and the key of the file beside dir's.
func moving(t *testing.T, dir, url string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := understudy(t, dir, args...)
	cmd.Env = append(cmd.Env, "UNDERSTUDY_DATABASE="+url, "UNDERSTUDY_SEALING_KEY_FILE=understudy.db.key")
	return cmd
}

// An operator moves, and finds every side refused that must not be used.
func TestStoreCopy(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), postgrestest.Fresh(t)
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann", "--role", "admin")
	runs(t, dir, "user", "totp", "ann@acme.test") // seals, so makes the key
	wantRefused(t, moving(t, dir, db.Application, "store", "copy", "--from", "understudy.db"), "the role does not own the tables", "hint: nothing was changed: give the role that ran understudy migrate up")
	other := moving(t, dir, db.Owner, "store", "copy", "--from", "understudy.db")
	other.Env = append(other.Env, "UNDERSTUDY_SEALING_KEY_FILE=", "UNDERSTUDY_SEALING_KEY="+base64.StdEncoding.EncodeToString(make([]byte, 32)))
	wantRefused(t, other, "not a usable key", "hint: nothing was changed: give the key of the file, such as sealing_key_file: understudy.db.key")
	for key, said := range map[string]string{"": "the sealing key of understudy.db is missing", "short": "sealing_key is not base64"} {
		other.Env = append(other.Env, "UNDERSTUDY_SEALING_KEY="+key)
		again := moving(t, dir, db.Owner, "store", "copy", "--from", "understudy.db")
		again.Env = other.Env
		wantRefused(t, again, said, "hint: nothing was changed: give the key of the file, such as sealing_key_file: understudy.db.key")
	}
	wantRefused(t, moving(t, dir, db.Owner, "store", "verify", "--from", "understudy.db"), "no copy was begun", "hint: understudy store copy --from understudy.db begins one")

	out, err := moving(t, dir, db.Owner, "store", "copy", "--from", "understudy.db", "-o", "json").Output()
	var r struct {
		Copy    string
		Already bool
		Rows    int64
		Tables  map[string]int64
	}
	if err != nil || json.Unmarshal(out, &r) != nil || r.Tables["app_user"] != 1 || r.Rows < 3 || !strings.HasPrefix(r.Copy, "cpy_") || r.Already {
		t.Fatalf("got %s, %v; want what was copied", out, err)
	}
	wantRefused(t, understudy(t, dir, "user", "ls"), "understudy.db has moved to Postgres (cpy_", "hint: --database names that one")
	wantRefused(t, understudy(t, dir, "serve", "--listen", "127.0.0.1:0", "--private-listen", ""), "understudy.db has moved to Postgres (cpy_", "hint: --database names that one")
	wantRefused(t, understudy(t, dir, "store", "reopen", "--from", "understudy.db"), "the installation has moved to Postgres", "hint: serve from that Postgres")
	for _, args := range [][]string{{"user", "ls"}, {"store", "copy", "--from", "understudy.db"}, {"store", "verify", "--from", "understudy.db"}} {
		var said bytes.Buffer
		cmd := moving(t, dir, db.Owner, args...)
		cmd.Stderr = &said
		out, err := cmd.Output()
		if want := map[string]string{"user": "ann@acme.test", "store": r.Copy}[args[0]]; err != nil || !strings.Contains(string(out), want) || said.Len() > 0 {
			t.Errorf("%v: got %s, %v, %q on stderr; want %s and nothing there", args, out, err, said.String(), want)
		}
	}
	if out, err := moving(t, dir, db.Application, "user", "add", "--email", "john@acme.test", "--name", "John").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	wantRefused(t, moving(t, dir, db.Application, "store", "verify", "--from", "understudy.db"), "is in the copy and not in the source", "hint: this database is the installation since its copy was finished")
	want(t, runs(t, dir, "store", "reopen", "--from", "understudy.db", "--even-if-moved"), "can still be served: drop that database")
}

// What is wrong with the file is not told as if it were the configured database.
func TestStoreCopyFrom(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), postgrestest.Fresh(t)
	use(t, dir, db.Owner)
	check(t, os.WriteFile(filepath.Join(dir, "text.db"), bytes.Repeat([]byte("no database "), 100), 0o600))
	for _, from := range []string{"none.db", "text.db", "."} {
		wantRefused(t, understudy(t, dir, "store", "copy", "--from", from), "hint: nothing was changed: --from names the file of a server")
	}
}

// Ctrl-C while the command waits is told as what it is.
func TestStoreCopyInterrupted(t *testing.T) {
	t.Parallel()
	dir, db := t.TempDir(), postgrestest.Fresh(t)
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann")
	runs(t, dir, "user", "totp", "ann@acme.test")
	conn, err := pgx.Connect(t.Context(), db.Superuser)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `BEGIN; LOCK TABLE outbox IN EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	cmd := moving(t, dir, db.Owner, "store", "copy", "--from", "understudy.db")
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waiting := false
	for deadline := time.Now().Add(time.Minute); !waiting; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			cmd.Wait()
			t.Fatalf("it waited for no lock within a minute; it said:\n%s", said.String())
		}
		if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database WHERE NOT l.granted AND d.datname = current_database())`).Scan(&waiting); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(said.String(), "understudy: interrupted\nhint: the same command goes on where it stopped") {
		t.Errorf("got %v, %q; want exit code 1 and what to do", err, said.String())
	}
}

// A copy that was not done stands in everybody's way, until it goes on or is given up.
func TestStoreReopen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runs(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann")
	mark(t, dir, "copying:cpy_1")
	for _, args := range [][]string{{"serve", "--listen", "127.0.0.1:0", "--private-listen", ""}, {"user", "ls"}, {"user", "add", "--email", "x@acme.test", "--name", "X"}, {"audit", "ls"}} {
		wantRefused(t, understudy(t, dir, args...), "understudy.db is being copied to Postgres, which is not done (cpy_1)", "hint: understudy store copy --from understudy.db goes on; understudy store reopen --from understudy.db gives the copy up")
	}
	wantRefused(t, understudy(t, dir, "store", "reopen", "--from", "none.db"), "none.db", "hint: ")
	if out := runs(t, dir, "store", "reopen", "--from", "understudy.db"); !strings.Contains(out, "understudy.db is open again") {
		t.Errorf("got %q", out)
	}
	runs(t, dir, "user", "ls")
	wantRefused(t, understudy(t, dir, "store", "reopen", "--from", "understudy.db"), "no copy was begun", "hint: ")
	mark(t, dir, "filling:cpy_1")
	wantRefused(t, understudy(t, dir, "user", "ls"), "an installation is being copied to this database, which is not done (cpy_1)", "hint: understudy store copy --from FILE goes on")
	wantRefused(t, understudy(t, dir, "store", "copy", "--from", "understudy.db"), "database understudy.db is a file: the copy goes to Postgres", "hint: give the URL of the target")
}

func mark(t *testing.T, dir, marker string) {
	t.Helper()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "understudy.db"), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SetMarker(t.Context(), marker); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
}
