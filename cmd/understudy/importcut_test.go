package main_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"
)

// An import that is interrupted or killed in its middle has imported whole batches, each user with their entries, says how far it came if it still
// can, and the same command goes on from there.
func TestImportIsCut(t *testing.T) {
	if testing.Short() {
		t.Skip("processes are killed at work, many times")
	}
	onBoth(t, func(t *testing.T, dir string) {
		const all = 6000
		runs(t, dir, "user", "add", "--id", "first", "--email", "first@acme.test", "--name", "First") // makes the file on SQLite
		db, _ := direct(t, dir)
		from := count(t, db, "app_user")
		for _, signal := range []os.Signal{os.Kill, syscall.SIGINT} {
			name := peopleFile(t, dir, signal.String(), all)
			said, code := cut(t, dir, db, name, signal, from)
			there := count(t, db, "app_user") - from
			if there == 0 || there == all || there%200 != 0 {
				t.Fatalf("%v: %d of %d users are there, want some whole batches: %s", signal, there, all, said)
			}
			whole(t, db, from+there)
			if signal == syscall.SIGINT {
				want := fmt.Sprintf("^understudy: interrupted\nhint: %d users imported, up to line %d, and none behind it: the same command goes on there\n$", there, there+1)
				if code != 1 || !regexp.MustCompile(want).MatchString(said) {
					t.Errorf("got %d\n%s\nwant 1 and %q", code, said, want)
				}
			}
			var got struct{ Rows, Added, Changed, Same int }
			check(t, json.Unmarshal([]byte(runs(t, dir, "user", "import", name, "-o", "json")), &got))
			if got.Rows != all || got.Added != all-there || got.Same != there || got.Changed != 0 {
				t.Errorf("%v: again: got %+v, want %d added", signal, got, all-there)
			}
			from += all
			whole(t, db, from)
		}
	})
}

// peopleFile writes n users, each with an identity.
func peopleFile(t *testing.T, dir, part string, n int) (name string) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString("id,email,name,iss,sub\n")
	for i := range n {
		fmt.Fprintf(&b, "%[1]s-%[2]d,%[1]s-%[2]d@acme.test,Somebody,https://idp.acme.test,%[1]s-%[2]d\n", part, i)
	}
	name = part + ".csv"
	check(t, os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o600))
	return name
}

// cut sends the signal once the first users are there, and gives what the command said.
func cut(t *testing.T, dir string, db *sql.DB, name string, signal os.Signal, from int) (said string, code int) {
	t.Helper()
	cmd := understudy(t, dir, "user", "import", name)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	check(t, cmd.Start())
	for deadline := time.Now().Add(2 * time.Minute); count(t, db, "app_user") <= from; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody is imported: %s", errs.String())
		}
	}
	check(t, cmd.Process.Signal(signal))
	cmd.Wait()
	return errs.String(), cmd.ProcessState.ExitCode()
}

// whole checks that the trail has each of n users, and each identity, once. One user has none.
func whole(t *testing.T, db *sql.DB, n int) {
	t.Helper()
	for table, want := range map[string]int{
		"app_user": n, "audit_entry WHERE kind = 'user.add'": n, "user_identity": n - 1, "audit_entry WHERE kind = 'user.link'": n - 1,
	} {
		if got := count(t, db, table); got != want {
			t.Errorf("%s: got %d, want %d", table, got, want)
		}
	}
}

func count(t *testing.T, db *sql.DB, of string) (n int) {
	t.Helper()
	check(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+of).Scan(&n))
	return n
}
