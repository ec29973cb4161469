package postgrestest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(t.Context()) })
	return c
}

// Databases are apart, and the tables of a fresh one belong to its owner.
func TestFresh(t *testing.T) {
	t.Parallel()
	one, two := postgrestest.Fresh(t), postgrestest.Fresh(t)
	if one == two {
		t.Fatal("two tests share a database")
	}
	var owner, fsync string
	if err := connect(t, one.Owner).QueryRow(t.Context(), `SELECT tableowner, current_setting('fsync') FROM pg_tables WHERE tablename = 'installation'`).Scan(&owner, &fsync); err != nil {
		t.Fatal(err)
	}
	if owner != "owner" || fsync != "on" {
		t.Errorf("got owner %q, fsync %q; want owner, on", owner, fsync)
	}
	for name, url := range map[string]string{"application": two.Application, "auditor": two.Auditor} {
		var entries int
		if err := connect(t, url).QueryRow(t.Context(), `SELECT count(*) FROM audit_entry`).Scan(&entries); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestEmpty(t *testing.T) {
	t.Parallel()
	var tables int
	if err := connect(t, postgrestest.Empty(t).Owner).QueryRow(t.Context(), `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`).Scan(&tables); err != nil || tables != 0 {
		t.Errorf("got %d tables, %v; want none", tables, err)
	}
}

// What was committed is there after a kill.
func TestKillAndRestart(t *testing.T) {
	if testing.Short() {
		t.Skip("kills a server")
	}
	t.Parallel()
	c := postgrestest.Start(t)
	db := c.Fresh(t)
	if _, err := connect(t, db.Owner).Exec(t.Context(), `UPDATE installation SET marker = 'kept'`); err != nil {
		t.Fatal(err)
	}
	c.Kill()
	if _, err := pgx.Connect(t.Context(), db.Owner); err == nil {
		t.Fatal("a killed server answers")
	}
	c.Restart(t)
	var marker string
	if err := connect(t, db.Owner).QueryRow(t.Context(), `SELECT marker FROM installation`).Scan(&marker); err != nil || marker != "kept" {
		t.Errorf("got %q, %v; want what was committed", marker, err)
	}
}

// A test binary that is killed leaves neither a server nor files behind.
func TestNothingIsLeft(t *testing.T) {
	if os.Getenv("POSTGRESTEST_HOLD") != "" {
		c := postgrestest.Start(t)
		fmt.Println(c.Fresh(t).Owner)
		select {}
	}
	if testing.Short() {
		t.Skip("kills a test binary")
	}
	t.Parallel()
	tmp, err := os.MkdirTemp("", "u")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(tmp) })
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil { // as /tmp is: the server's files are not ours
		t.Fatal(err)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNothingIsLeft$")
	child.Env = append(os.Environ(), "POSTGRESTEST_HOLD=1", "TMPDIR="+tmp)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	url, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the binary ended: %v", err)
	}
	if _, err := pgx.Connect(t.Context(), strings.TrimSpace(url)); err != nil {
		if os.Getenv("CI") == "" && !strings.HasPrefix(url, "postgres:") {
			t.Skip(url)
		}
		t.Fatal(err)
	}
	child.Process.Kill()
	child.Wait()
	left := []string{tmp}
	for deadline := time.Now().Add(time.Minute); len(left) > 0 && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if left, err = filepath.Glob(filepath.Join(tmp, "*")); err != nil {
			t.Fatal(err)
		}
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
