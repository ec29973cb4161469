package interop_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/internal/chaos"
)

// needNode skips where there is no Node, but not in CI.
func needNode(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// modules is a folder with the flows and what they stand on, as package-lock.json has it.
func modules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("node")))
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// flow is how one of the two libraries goes through everything.
type flow struct {
	library string
	bound   bool // private_key_jwt, PAR and DPoP; otherwise a secret and bearer tokens
}

// TestNode: the two libraries of JavaScript that hold most strictly to the standards do a sign-in, a start and a stop, ask about the
// tokens, refresh and revoke; once as a client with a secret, once with private_key_jwt, PAR and DPoP with nonces.
func TestNode(t *testing.T) {
	t.Parallel()
	needNode(t)
	dir := modules(t)
	for name, f := range map[string]flow{
		"openid-client, a secret": {library: "openid-client"}, "openid-client, bound": {library: "openid-client", bound: true},
		"oauth4webapi, a secret": {library: "oauth4webapi"}, "oauth4webapi, bound": {library: "oauth4webapi", bound: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := setup(t)
			h.checkNode(f, h.node(dir, f))
		})
	}
}

// node runs a flow in dir and gives its report.
func (h *house) node(dir string, f flow) map[string]any {
	h.t.Helper()
	told := map[string]any{"issuer": h.issuer, "client": "node", "apiSecret": h.apiSecret, "callback": callback, "dpop": f.bound, "par": f.bound,
		"refresh": true, "scope": "openid profile email roles app:read impersonate"}
	args := []string{"client", "add", "--id", "node", "--name", "Node", "--redirect-uri", callback, "--refresh"}
	if f.bound {
		jwks, private := keyPair(h.t)
		told["key"] = private
		h.server.Run("", append(args, "--auth", "private_key_jwt", "--jwks", jwks, "--dpop", "--require-par")...)
	} else {
		told["secret"] = strings.TrimSpace(h.server.Run("", args...))
	}
	arg, err := json.Marshal(told)
	must(h.t, err)
	cmd := exec.CommandContext(h.t.Context(), "node", f.library+".mjs", string(arg))
	cmd.Dir = dir
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	must(h.t, err)
	out, err := cmd.StdoutPipe()
	must(h.t, err)
	must(h.t, cmd.Start())
	report := h.serveNode(in, out)
	if err := cmd.Wait(); err != nil || report == nil {
		h.t.Fatalf("%v\n%s\n%s", err, stderr, h.server.Logs())
	}
	return report
}

// serveNode is ann in her browser, for a flow that asks line by line, until it reports.
func (h *house) serveNode(in io.Writer, out io.Reader) map[string]any {
	h.t.Helper()
	b := chaos.NewBrowser(h.issuer)
	h.t.Cleanup(b.Close)
	must(h.t, b.SignIn("ann@acme.test", password))
	answer := json.NewEncoder(in)
	lines := bufio.NewReader(out)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return nil
		}
		var ask struct {
			Visit       string
			Impersonate *struct {
				Challenge string `json:"code_challenge"`
				State     string
			}
			Report map[string]any
		}
		must(h.t, json.Unmarshal(line, &ask))
		var back url.Values
		switch {
		case ask.Report != nil:
			return ask.Report
		case ask.Impersonate != nil:
			back, err = b.Impersonate(url.Values{"client_id": {"node"}, "redirect_uri": {callback}, "state": {ask.Impersonate.State},
				"code_challenge": {ask.Impersonate.Challenge}, "code_challenge_method": {"S256"}}, fillIn("read"))
		default:
			back, err = b.Authorize(ask.Visit)
		}
		must(h.t, err)
		must(h.t, answer.Encode(callback+"?"+back.Encode()))
	}
}

// keyPair gives a file with a JWK set, and the private key as PEM.
func keyPair(t *testing.T) (jwks, private string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "one", Algorithm: "ES256", Use: "sig"}}})
	must(t, err)
	jwks = filepath.Join(t.TempDir(), "jwks.json")
	must(t, os.WriteFile(jwks, set, 0o600))
	return jwks, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// checkNode compares what the libraries found, which they checked for themselves as the standards have it.
func (h *house) checkNode(f flow, got map[string]any) {
	h.t.Helper()
	scheme := "bearer" // as both libraries spell it
	if f.bound {
		scheme = "dpop"
	}
	act := map[string]any{"iss": h.issuer, "sub": "ann"}
	type m = map[string]any
	for _, c := range []struct {
		what   string
		member []string
		want   any
	}{
		{"ID token", []string{"claims", "sub"}, "ann"},
		{"sign-in", []string{"actor", "token_type"}, scheme},
		{"userinfo", []string{"me", "name"}, "Ann Admin"},
		{"userinfo without act", []string{"me", "act"}, nil},
		{"start", []string{"started", "token_type"}, scheme},
		{"start", []string{"started", "issued_token_type"}, accessToken},
		{"start without refresh token", []string{"started", "refresh_token"}, nil},
		{"start without ID token", []string{"started", "id_token"}, nil},
		{"introspection", []string{"during", "active"}, true},
		{"introspection", []string{"during", "sub"}, "john"},
		{"introspection", []string{"during", "act"}, act},
		{"userinfo of john", []string{"them", "act"}, m{"iss": h.issuer, "sub": "ann", "name": "Ann Admin", "email": "ann@acme.test"}},
		{"stop", []string{"stopped", "token_type"}, scheme},
		{"after the stop", []string{"after"}, m{"active": false}},
		{"the actor's own", []string{"mine", "sub"}, "ann"},
		{"the actor's own without act", []string{"mine", "act"}, nil},
		{"refresh", []string{"refreshed", "token_type"}, scheme},
		{"after revocation", []string{"revoked"}, m{"active": false}},
	} {
		if diff := cmp.Diff(c.want, at(got, c.member...)); diff != "" {
			h.t.Errorf("%s: %s, -want +got:\n%s", c.what, strings.Join(c.member, "."), diff)
		}
	}
	if jkt, _ := at(got, "during", "cnf", "jkt").(string); (len(jkt) == 43) != f.bound {
		h.t.Errorf("introspection: cnf.jkt = %q; the tokens are bound: %v", jkt, f.bound)
	}
	if first, second := at(got, "actor", "refresh_token"), at(got, "refreshed", "refresh_token"); first == nil || second == nil || first == second {
		h.t.Errorf("refresh: got the refresh tokens %v and %v; want another one", first != nil, second != nil)
	}
}

func at(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}
