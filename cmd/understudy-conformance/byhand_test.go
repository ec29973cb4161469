package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestUnderstudyByHand runs the commands of conformance/README.md, word for word but for the ports, against a server of ours with the target file beside
// them: nothing is found, and all is tried but what the command was not asked for.
func TestUnderstudyByHand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the server")
	}
	for _, name := range []string{"bash", "curl", "sed", "openssl"} {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "conformance", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- understudy: begin -->\n```sh\n(.*?)```\n<!-- understudy: end -->").FindSubmatch(text)
	if m == nil {
		t.Fatal("README.md has no block between its marks")
	}
	dir := t.TempDir()
	target, err := os.ReadFile(filepath.Join(root, "conformance", "targets", "understudy.yaml"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "target.yaml"), target, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, "understudy"), "./cmd/understudy")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	public, private := freePort(t), freePort(t)
	script := strings.NewReplacer("localhost:8080", "localhost:"+public, "localhost:8081", "localhost:"+private).Replace(string(m[1]))
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill %1 2>/dev/null; wait; cat server.log >&2' EXIT\n"+script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "UNDERSTUDY_LISTEN=127.0.0.1:"+public, "UNDERSTUDY_PRIVATE_LISTEN=127.0.0.1:"+private)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, stderr.String())
	}
	found := regexp.MustCompile(`(?m)^nothing found: of (\d+) cases (\d+) passed, 0 failed, 0 could not be tried, `).FindSubmatch(out)
	if found == nil {
		t.Fatalf("something was found:\n%s", out)
	}
	of, _ := strconv.Atoi(string(found[1]))
	if passed, _ := strconv.Atoi(string(found[2])); passed < of*3/4 {
		t.Errorf("%d of %d cases were tried:\n%s", passed, of, out)
	}
	for _, b := range regexp.MustCompile(`(?m)^LEFT OUT  (.*)$`).FindAllSubmatch(out, -1) {
		t.Logf("left out: %s", b[1])
	}
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}
