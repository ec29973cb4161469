package main_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestByHand runs the README's block of shell, word for word but for the ports and the place of the module.
func TestByHand(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds the command once more")
	}
	for _, name := range []string{"bash", "curl", "sed"} {
		needs(t, name)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	public, private := freePort(t), freePort(t)
	script := strings.NewReplacer(
		"go build ./cmd/understudy", `go build -C "$MODULE" -buildvcs=false -o "$PWD/understudy" ./cmd/understudy`,
		"localhost:8080", "localhost:"+public, "localhost:8081", "localhost:"+private,
	).Replace(block(t, filepath.Join(root, "README.md"), "by hand"))
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill %1 2>/dev/null; wait; cat server.log >&2' EXIT\n"+script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "MODULE="+root, "UNDERSTUDY_PUBLIC_URL=http://localhost:"+public,
		"UNDERSTUDY_LISTEN=127.0.0.1:"+public, "UNDERSTUDY_PRIVATE_LISTEN=127.0.0.1:"+private)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`"active":true.*"sub":"john".*"act":\{"iss":"http://localhost:` + public + `","sub":"usr_`,
		`(?s)"active":true.*"issued_token_type":"urn:ietf:params:oauth:token-type:access_token".*\{"active":false\}`,
		`impersonation.stop +ann@acme.test +john@acme.test +app +imp_`,
		`impersonation.start +ann@acme.test +john@acme.test +app +imp_[a-z2-7]+ +no report tab `,
		`msg="ann@acme.test impersonated john@acme.test"`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("got\n%s\nwant a match for %s", out, want)
		}
	}
}

// block is the shell between the marks, which the README promises to be at most 20 lines.
func block(t *testing.T, name, mark string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- " + mark + ": begin -->\n```sh\n(.*?)```\n<!-- " + mark + ": end -->").FindSubmatch(text)
	if m == nil {
		t.Fatalf("README.md has no block between its marks %q", mark)
	}
	if n := strings.Count(string(m[1]), "\n"); n > 20 {
		t.Errorf("the block has %d lines, want at most 20", n)
	}
	return string(m[1])
}

// needs skips the test where a tool is missing, and fails it where all tools must be there.
func needs(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
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
