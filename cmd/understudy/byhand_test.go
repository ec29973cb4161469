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
	public, out := byHand(t, func(script string) string { return script })
	wantAll(t, out, []string{
		`"active":true.*"sub":"john".*"act":\{"iss":"http://localhost:` + public + `","sub":"usr_`,
		`(?s)"active":true.*"issued_token_type":"urn:ietf:params:oauth:token-type:access_token".*\{"active":false\}`,
		`impersonation.stop +ann@acme.test +john@acme.test +app +imp_`,
		`impersonation.start +ann@acme.test +john@acme.test +app +imp_[a-z2-7]+ +no report tab `,
		`msg="ann@acme.test impersonated john@acme.test"`,
	})
}

// TestWireByHand runs the README's other blocks, each after the first part of that one, up to Ann's own token.
func TestWireByHand(t *testing.T) {
	t.Parallel()
	for mark, want := range map[string][]string{
		"user id": {
			`(?s)"active":true[^\n]*"sub":"john"[^\n]*"act":\{"iss":"http://localhost:PORT","sub":"usr_.*\{"active":false\}`,
			`msg="ann@acme.test impersonated john@acme.test".* mode=read`, `msg="impersonation ended: revoked" actor=usr_\S+ subject=john`,
		},
		"stream": {
			`(?s)"understudy_state":\{"epochs":\[\],"vouches":true\},"understudy_ended":\[\].*"sub_id":\{"format":"complex","session":\{"format":"opaque","id":"imp_`,
			`"https://schemas.openid.net/secevent/caep/event-type/session-revoked":\{"initiating_entity":"system"`, `str_[a-z2-7]+ +app +poll +enabled`,
		},
		"agent": {
			`(?s)"active":true[^\n]*"sub":"john"[^\n]*"scope":"app:read"[^\n]*"act":\{"iss":"http://localhost:PORT","sub":"client:agent","sub_profile":"ai_agent"\}.*\{"active":false\}`,
		},
	} {
		t.Run(mark, func(t *testing.T) {
			t.Parallel()
			more := block(t, "../../README.md", mark)
			if n := strings.Count(more, "\n"); n > 12 {
				t.Errorf("the block has %d lines, want at most 12", n)
			}
			public, out := byHand(t, func(script string) string {
				before, _, found := strings.Cut(script, "\n# she says")
				if !found {
					t.Fatal("README.md's first block has no line that begins with # she says")
				}
				return before + "\n" + more
			})
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], "PORT", public)
			}
			wantAll(t, out, want)
		})
	}
}

// byHand runs what change makes of the README's first block, and gives the public port and all output, the server's log last.
func byHand(t *testing.T, change func(script string) string) (public string, out []byte) {
	t.Helper()
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
	).Replace(change(block(t, filepath.Join(root, "README.md"), "by hand")))
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", "trap 'kill %1 2>/dev/null; wait; cat server.log >&2' EXIT\n"+script)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "MODULE="+root, "UNDERSTUDY_PUBLIC_URL=http://localhost:"+public,
		"UNDERSTUDY_LISTEN=127.0.0.1:"+public, "UNDERSTUDY_PRIVATE_LISTEN=127.0.0.1:"+private)
	if out, err = cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return public, out
}

func wantAll(t *testing.T, out []byte, wants []string) {
	t.Helper()
	for _, want := range wants {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("got\n%s\nwant a match for %s", out, want)
		}
	}
}

// block is the shell or the YAML between the marks, which the README promises to be at most 20 lines.
func block(t *testing.T, name, mark string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?s)<!-- " + mark + ": begin -->\n```(?:sh|yaml)\n(.*?)```\n<!-- " + mark + ": end -->").FindSubmatch(text)
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
