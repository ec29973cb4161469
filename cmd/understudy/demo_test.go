package main_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// demoOut is what "understudy demo -o json" says first.
type demoOut struct {
	AppURL    string `json:"app_url"`
	AsUserURL string `json:"as_user_url"`
	IssuerURL string `json:"issuer_url"`
	Database  string `json:"database"`
	SignIns   []struct {
		Email string `json:"email"`
		Code  string `json:"code"`
	} `json:"sign_ins"`
}

// startDemo runs a demo on free ports, and returns when it says where it serves.
func startDemo(t *testing.T, dir string, args ...string) (*exec.Cmd, demoOut) {
	t.Helper()
	cmd := understudy(t, dir, append([]string{"demo", "-o", "json", "--issuer-port", "0", "--app-port", "0"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	var d demoOut
	if err := json.NewDecoder(out).Decode(&d); err != nil {
		t.Fatalf("the first object of its output: %v", err)
	}
	return cmd, d
}

// A demo serves as it says, the other commands work beside it, a server refuses its database, and Ctrl-C ends it well.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd, d := startDemo(t, dir)
	for _, url := range []string{d.AppURL + "/static/acme.css", d.IssuerURL + "/sign-in"} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s, want 200", url, res.Status)
		}
	}
	if d.AsUserURL == "" || len(d.SignIns) < 3 || d.SignIns[0].Email != "ann@acme.test" || len(d.SignIns[0].Code) != 6 {
		t.Errorf("got %+v, want three addresses, Ann first and her code", d)
	}
	for _, args := range [][]string{{"audit", "ls"}, {"user", "ls"}, {"client", "ls"}, {"session", "ls"}, {"user", "totp", "john@acme.test"}} {
		if out, err := understudy(t, dir, append(args, "--database", d.Database)...).CombinedOutput(); err != nil {
			t.Errorf("beside the demo, %v: %v\n%s", args, err, out)
		}
	}
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(d.AppURL, "http://"))
	wantRefused(t, understudy(t, t.TempDir(), "demo", "--issuer-port", "0", "--app-port", port),
		"port "+port+", for the app, is taken: another program listens there", "hint: --app-port names another; 0 takes a free one")
	wantRefused(t, understudy(t, dir, "demo", "--issuer-port", "0", "--app-port", "0"), "another server is using it", "hint: stop the other demo, or give this one its own --directory")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit 0", err)
	}
	wantRefused(t, understudy(t, dir, "serve", "--database", d.Database), "is a demo database: its passwords are public")
}

// What is wrong with a demo's own flags and files is told in words of the demo, once.
func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	const help = "hint: understudy demo --help says which ports and URLs there are"
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--app-url", "https://app.localhost"}, `app URL "https://app.localhost": must be http`},
		{[]string{"--as-user-url", "http://localhost"}, "is the app's host too, and they must differ"},
		{[]string{"--issuer-port", "65536"}, "issuer port 65536: must be 1 to 65535"},
		{[]string{"--issuer-port", "3000", "--app-port", "3000"}, "app port 3000: is the issuer's too"},
	} {
		cmd := understudy(t, t.TempDir(), append([]string{"demo", "--issuer-port", "0", "--app-port", "0"}, c.args...)...)
		wantRefused(t, cmd, c.want, help)
		if got := cmd.ProcessState.ExitCode(); got != 2 {
			t.Errorf("%v: got exit code %d, want 2", c.args, got)
		}
	}
	for _, name := range []string{"understudy-demo.db", "understudy-demo-acme.db"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("a list of things to do, and no database"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := understudy(t, dir, "demo", "--issuer-port", "0", "--app-port", "0").CombinedOutput()
		if err == nil || strings.Count(string(out), "file is not a database") != 1 || !strings.Contains(string(out), "hint: nothing was written to it; --directory names") {
			t.Errorf("%s: got %v\n%s\nwant it refused in one line, and a hint", name, err, out)
		}
	}
}

// For people: the app's address first, then whom to sign in as. It is no terminal, so each code stands there once.
func TestDemoOutput(t *testing.T) {
	t.Parallel()
	cmd := understudy(t, t.TempDir(), "demo", "--same-origin", "--issuer-port", "0", "--app-port", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	said, lines := "", bufio.NewReader(out)
	for !strings.Contains(said, "Ctrl-C stops") {
		line, err := lines.ReadString('\n')
		if said += line; err != nil {
			t.Fatalf("it ended: %v; it said:\n%s", err, said)
		}
	}
	cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(lines)
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: got %v, want exit 0", err)
	}
	want := `^Acme +http://localhost:\d+ +open this
understudy +http://localhost:\d+ +the issuer
Sign in as +ann@acme\.test +understudy-demo +admin: .* code \d{6}
 +sue@acme\.test .* code \d{6}
 +john@acme\.test +understudy-demo +viewer: .*[^\d]
(?s:.*)Ctrl-C stops.*
$`
	if got := said + string(rest); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got\n%s\nwant a match for\n%s", got, want)
	}
}

// The second run goes on with the data of the first, unless told to start anew.
func TestDemoAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i, args := range [][]string{nil, nil, {"--same-origin"}, {"--fresh"}} {
		cmd, d := startDemo(t, dir, args...)
		if i == 0 {
			runs(t, dir, "user", "add", "--email", "new@acme.test", "--name", "New", "--database", d.Database)
		}
		if got, want := strings.Contains(runs(t, dir, "user", "ls", "--database", d.Database), "new@acme.test"), i < 3; got != want {
			t.Errorf("run %d: is the user of the first run there? got %v, want %v", i, got, want)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("after SIGTERM: got %v, want exit 0", err)
		}
	}
}
