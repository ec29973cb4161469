package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// TestResidualRisk is the attack that succeeds by design: on one origin, script in the user's page can press Stop and is
// then the admin's page's own. Whoever chooses that form is told: by the README, by "config check" and by the demo itself.
func TestResidualRisk(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, limits, _ := strings.Cut(string(readme), "## What it does not protect against")
	limits, _, _ = strings.Cut(limits, "\n## ")
	const risk = "script in the user's page can press Stop, and then read the administrator's pages"
	if !strings.Contains(strings.Join(strings.Fields(limits), " "), risk) {
		t.Errorf("the README does not say under what it does not protect against: %s", risk)
	}
	if !strings.Contains(config.SameOriginRisk, risk) {
		t.Errorf("config check says %q, which is not what the README says", config.SameOriginRisk)
	}
	for _, c := range []struct {
		args []string
		want bool
	}{{nil, false}, {[]string{"--same-origin"}, true}} {
		cmd := understudy(t, t.TempDir(), append([]string{"demo", "--issuer-port", "0", "--app-port", "0"}, c.args...)...)
		if got := strings.Contains(saidUntilCtrlC(t, cmd), config.SameOriginRisk); got != c.want {
			t.Errorf("demo %v says the risk: %v, want %v", c.args, got, c.want)
		}
	}
}

// Whoever serves as the role that migrates is told, and nobody else.
func TestOwnerRisk(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	for url, want := range map[string]bool{db.Owner: true, db.Superuser: true, db.Application: false} {
		dir := t.TempDir()
		use(t, dir, url)
		s := start(t, dir)
		s.stop(t)
		if got := strings.Contains(s.said, `"level":"WARN","msg":"a risk is switched on","risk":"the database's role owns the audit trail`); got != want {
			t.Errorf("%s: warned %v, want %v; it said:\n%s", url, got, want, s.said)
		}
	}
}

// Whoever serves with two issuers that one could take for one another is told, and nobody else.
func TestAlikeIssuers(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]bool{"https://corp.example/": true, "https://CORP.example": true, "https://corp.example": false, "https://corp.example/a": false} {
		dir := t.TempDir()
		text := "upstreams: [{name: corp, issuer: 'https://corp.example', client_id: u, client_secret: s}]\n" +
			"trusted_issuers: [{issuer: '" + issuer + "', audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n"
		if err := os.WriteFile(filepath.Join(dir, config.DefaultFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, dir)
		s.stop(t)
		if got := strings.Contains(s.said, `"level":"WARN","msg":"two issuers are almost one","issuers":"https://corp.example of upstreams[0] and `+issuer+` of trusted_issuers[0] `); got != want {
			t.Errorf("%s: warned %v, want %v; it said:\n%s", issuer, got, want, s.said)
		}
	}
}

// saidUntilCtrlC runs cmd until it says how to end it, ends it so, and gives all that it wrote to standard error.
func saidUntilCtrlC(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := time.AfterFunc(30*time.Second, func() { cmd.Process.Kill() })
	defer stopped.Stop()
	b := make([]byte, 4096)
	for heard := ""; !strings.Contains(heard, "Ctrl-C stops"); {
		n, err := out.Read(b)
		if heard += string(b[:n]); err != nil {
			t.Fatalf("it ended: %v; it said:\n%s%s", err, heard, said.String())
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit 0", err)
	}
	return said.String()
}
