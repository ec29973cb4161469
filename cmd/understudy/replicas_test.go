package main_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestReplicasByHand runs the README's block for several servers, word for word but for the ports and the database's place.
func TestReplicasByHand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a cluster and two servers")
	}
	for _, name := range []string{"bash", "curl", "psql", "openssl"} {
		needs(t, name)
	}
	db := postgrestest.Start(t).Empty(t) // of its own: roles are a cluster's
	ports := []string{freePort(t), freePort(t), freePort(t), freePort(t)}
	script := strings.NewReplacer("postgres://understudy@db.example/understudy?sslmode=verify-full", strings.Replace(db.Owner, "user=owner", "user=understudy", 1),
		"localhost:9080", "localhost:"+ports[2], "localhost:9081", "localhost:"+ports[3]).Replace(block(t, filepath.Join("..", "..", "README.md"), "replicas"))
	ready := `for port in ` + ports[1] + " " + ports[3] + `; do
	for i in {1..150}; do curl -sf -o ready localhost:$port/readyz && break; test $i != 150; sleep 0.2; done
done
understudy user add --email ann@acme.test --name Ann --role admin
understudy migrate up --database "$owner" && curl -sf localhost:` + ports[1] + `/readyz localhost:` + ports[3] + `/readyz
understudy user ls`
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n"+script+ready)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "owner="+db.Owner, "admin="+db.Superuser, "password=hush", "UNDERSTUDY_LISTEN=localhost:"+ports[0], "UNDERSTUDY_PRIVATE_LISTEN=localhost:"+ports[1])
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	want(t, string(out), `(?m)^usr_\S+ +ann@acme.test +Ann `)
	if said := string(out); strings.Contains(said, "hush") || strings.Count(said, "msg=serving") != 2 || strings.Contains(said, "ERROR") {
		t.Errorf("got\n%s\nwant two servers, no error and no password", said)
	}
}

// Who migrates at the same time as others waits and finds it done, and servers do not mind.
func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	postgrestest.Fresh(t) // makes the cluster's roles members of ours
	db, dir := postgrestest.Empty(t), t.TempDir()
	var both sync.WaitGroup
	for range 2 {
		cmd := understudy(t, dir, "migrate", "up", "--database", db.Owner)
		both.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "0001_init.sql") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	both.Wait()
	run(t, "pgx", db.Superuser, runs(t, dir, "migrate", "roles"))
	use(t, dir, db.Application)
	replicas := []*serving{start(t, dir), start(t, dir)}
	runs(t, dir, "migrate", "up", "--database", db.Owner)
	for _, s := range replicas {
		if res, err := http.Get("http://" + s.private + "/readyz"); err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("after a migration: got %v, %v, want ready", res, err)
		}
	}
	want(t, runs(t, dir, "migrate", "status", "-o", "json"), `"applied": "`+time.Now().UTC().Format("2006-"))
	for _, s := range replicas {
		s.stop(t)
	}
}
