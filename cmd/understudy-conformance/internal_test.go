package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/oauth/browsertest"
)

// main itself cannot be named from an external test package; the scripts run it as a command.
func TestMain(m *testing.M) {
	testscript.Main(withBrowser{m}, map[string]func(){"understudy-conformance": main})
}

// withBrowser closes the browser once all tests have run.
type withBrowser struct{ m *testing.M }

func (w withBrowser) Run() int { return browsertest.Main(w.m) }

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{Dir: "testdata", UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != ""})
}

// The secrets of the targets of tests, which must never show.
const (
	clientSecret = "s3cret-of-the-client"
	password     = "the passw0rd of ann"
)

// op is a small server that lets one account sign in at one client, and exchanges nothing.
type op struct {
	*httptest.Server
	passwords, tokens atomic.Int32 // how often each was asked for
	token             http.HandlerFunc
}

func newOP(t *testing.T) *op {
	t.Helper()
	o := &op{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%[1]q,"authorization_endpoint":"%[1]s/auth","token_endpoint":"%[1]s/token","revocation_endpoint":"%[1]s/revoke","jwks_uri":"%[1]s/jwks"}`, o.URL)
	})
	mux.HandleFunc("/auth", func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			o.passwords.Add(1)
			if r.FormValue("login") == "ann" && r.FormValue("password") == password {
				http.Redirect(w, r, r.FormValue("redirect_uri")+"?code=c0de&state="+url.QueryEscape(r.FormValue("state")), http.StatusSeeOther)
				return
			}
		}
		fmt.Fprint(w, `<form method="post"><input name="login"><input name="password" type="password"><button>Sign in</button></form>`)
	})
	mux.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) {
		o.tokens.Add(1)
		if o.token != nil {
			o.token(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		if _, secret, _ := r.BasicAuth(); secret != clientSecret {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"invalid_client","error_description":"who are you?"}`)
			return
		}
		if r.FormValue("grant_type") == "authorization_code" {
			fmt.Fprint(w, `{"access_token":"an-opaque-token","token_type":"Bearer","expires_in":600}`)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error":"unsupported_grant_type"}`)
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
	return o
}

// target writes a target file for an issuer, after a change of its text.
func target(t *testing.T, issuer string, change ...string) string {
	t.Helper()
	text := strings.NewReplacer(change...).Replace(`issuer: ` + issuer + `
clients:
  app: {id: app, secret: "` + clientSecret + `", redirect_uri: "https://app.test/cb"}
accounts:
  actor: {sub: ann, login: ann, password: "` + password + `"}
  subject: {sub: john}
start: {by: user_id, subject_token_type: "urn:x:user_id"}
`)
	file := filepath.Join(t.TempDir(), "target.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// outcome is what came of a command.
type outcome struct {
	code           int
	stdout, stderr string
}

// command runs the command within this process. No secret of a target may be in what it prints.
func command(ctx context.Context, t *testing.T, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, env: func(string) (string, bool) { return "", false }}
	o := outcome{a.run(ctx, args), stdout.String(), stderr.String()}
	for _, secret := range []string{clientSecret, password} {
		if strings.Contains(o.stdout+o.stderr, secret) || strings.Contains(o.stdout+o.stderr, url.QueryEscape(secret)) {
			t.Errorf("%q is printed:\n%s%s", secret, o.stdout, o.stderr)
		}
	}
	return o
}

// report reads the report that a command has written in JSON.
func report(t *testing.T, o outcome) *conformance.Report {
	t.Helper()
	r, err := conformance.ReadReport(strings.NewReader(o.stdout))
	if err != nil {
		t.Fatalf("%v: %s%s", err, o.stdout, o.stderr)
	}
	return r
}

// reset ends the connection as a server does that crashes.
func reset(w http.ResponseWriter, _ *http.Request) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	c.Close()
}

// issue gives everybody a token who asks by POST.
func issue(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	fmt.Fprint(w, `{"access_token":"an-opaque-token","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","token_type":"Bearer","expires_in":600}`)
}

// hang answers as one does who takes longer than anybody waits. The server notices who has gone only once the body is read.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
}

// Where nothing can be run a sentence says why, and the exit code is 2.
func TestNothingRun(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	for name, tt := range map[string]struct{ issuer, want string }{
		"nobody listens":         {closed.URL, `connection refused`},
		"no such host":           {"http://nobody.invalid", `no such host|server misbehaving|lookup nobody.invalid`},
		"wrong path":             {serve(http.NotFound), `GET http://\S+/.well-known/openid-configuration: the answer is 404, want 200`},
		"HTML":                   {serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html><title>Welcome</title>") }), `no JSON object`},
		"another JSON":           {serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"status":"ok"}`) }), `there is no token_endpoint`},
		"members of other kinds": {serve(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token_endpoint":7}`) }), `cannot unmarshal number`},
		"resets":                 {serve(reset), `connection reset|EOF`},
		"takes too long":         {serve(hang), `no answer in time`},
		"begins, and stops": {serve(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "{")
			w.(http.Flusher).Flush()
			hang(w, r)
		}), `no answer in time`},
		"never ends": {serve(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(make([]byte, 1<<16)); err != nil {
					return
				}
			}
		}), `longer than`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"run", "--target", target(t, tt.issuer)}
			if name == "takes too long" || name == "begins, and stops" {
				args = append(args, "--request-timeout", "300ms")
			}
			o := command(t.Context(), t, args...)
			if o.code != notRun || !regexp.MustCompile(tt.want).MatchString(o.stderr) || o.stdout != "" || strings.Contains(o.stderr, "hint") {
				t.Errorf("got %+v, want code 2 and %s", o, tt.want)
			}
		})
	}
}

// Where one thing of a target is wrong a sentence says which, all cases are still tried, and nobody's account is locked by trying it again in each.
func TestPartlyRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change            []string
		token             http.HandlerFunc
		want              string
		passwords, tokens int32 // at most; 0 for any number
	}{
		"wrong secret": {change: []string{clientSecret, "another-secret-than-it-is"}, want: `^the server refuses the client app: who are you\?$`, tokens: 1},
		"wrong client": {change: []string{"id: app", "id: nobody"}, token: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_client"}`)
		}, want: `^the server refuses the client nobody: invalid_client$`, tokens: 1},
		"missing account": {change: []string{"login: ann", "login: nobody"}, want: `^nobody could not sign in: the server asks for the password again$`, passwords: 1},
		"wrong password":  {change: []string{password, "another password than it is"}, want: `^ann could not sign in: the server asks for the password again$`, passwords: 1},
		"no code": {change: []string{"https://app.test/cb", "https://app.test/another"}, token: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"invalid_grant"}`)
		}, want: `could not be redeemed: 400 invalid_grant`},
		"token endpoint in HTML": {token: func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>It works!</h1>") }, want: `could not be redeemed: 200`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOP(t)
			o.token = tt.token
			got := command(t.Context(), t, "run", "--target", target(t, o.URL, tt.change...), "--format", "json", "--only", "exchange")
			r := report(t, got)
			if len(r.Results) != r.Cases || r.Interrupted || r.Count(conformance.Blocked) < 10 {
				t.Errorf("%s", r.Summary())
			}
			for _, result := range r.Results {
				if result.Status == conformance.Blocked && !regexp.MustCompile(tt.want).MatchString(result.Reason) {
					t.Errorf("%s: got %q, want %s", result.ID, result.Reason, tt.want)
				}
			}
			if n := o.passwords.Load(); tt.passwords > 0 && n > tt.passwords {
				t.Errorf("the password was tried %d times", n)
			}
			if n := o.tokens.Load(); tt.tokens > 0 && n > tt.tokens {
				t.Errorf("the token endpoint was asked %d times", n)
			}
			want := found
			if r.Count(conformance.Passed)+r.Count(conformance.Failed) == 0 {
				want = notRun
				if !regexp.MustCompile(strings.Trim(tt.want, "^$")).MatchString(got.stderr) {
					t.Errorf("nothing could be tried, and it says %q", got.stderr)
				}
			}
			if got.code != want {
				t.Errorf("got code %d, want %d", got.code, want)
			}
		})
	}
}

// A server that fails once it has begun leaves a report with a sentence for each case.
func TestFailsInTheRun(t *testing.T) {
	t.Parallel()
	for name, token := range map[string]http.HandlerFunc{"resets": reset, "takes too long": hang} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOP(t)
			o.token = token
			got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--format", "json", "--request-timeout", "300ms", "--only", "exchange/start-works,exchange/post-only,exchange/grant-type-exact")
			r := report(t, got)
			if got.code != found || len(r.Results) != r.Cases || r.Count(conformance.Passed) > 0 || r.Count(conformance.Failed) == 0 {
				t.Errorf("code %d, %s", got.code, r.Summary())
			}
			for _, f := range r.Results {
				if f.Status == conformance.Failed && (f.Want != "an answer" || !regexp.MustCompile(`(GET|POST) /\S+: .+`).MatchString(f.Got)) {
					t.Errorf("%s: want %q, got %q", f.ID, f.Want, f.Got)
				}
			}
		})
	}
}

// The whole run has an end, and says that it was not by itself.
func TestTimeout(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	o.token = hang
	got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--format", "json", "--timeout", "200ms", "--request-timeout", "1h")
	if r := report(t, got); got.code != notRun || !r.Interrupted || len(r.Results) >= r.Cases || !strings.Contains(got.stderr, "the run took longer than 200ms") {
		t.Errorf("code %d, %s, %s", got.code, r.Summary(), got.stderr)
	}
	if got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--timeout", "0"); got.code != notRun || !strings.Contains(got.stderr, "--timeout") {
		t.Errorf("%+v", got)
	}
}

// Who interrupts a run gets the report of what was done, and nothing goes on.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"discovery": "/.well-known/openid-configuration", "a case": "/token", "what ends what a case began": "/revoke"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOP(t)
			if at == "/revoke" {
				o.token = issue
			}
			ctx, interrupt := context.WithCancel(t.Context())
			inner := o.Config.Handler
			o.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == at {
					interrupt()
					hang(w, r)
					return
				}
				inner.ServeHTTP(w, r)
			})
			file := filepath.Join(t.TempDir(), "report.json")
			got := command(ctx, t, "run", "--target", target(t, o.URL), "--format", "json", "--output", file, "--request-timeout", "1h")
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := conformance.ReadReport(bytes.NewReader(b))
			if err != nil || got.code != found || !r.Interrupted || len(r.Results) >= r.Cases || !strings.Contains(got.stderr, "the run was ended after") {
				t.Errorf("%+v, %v, %+v", got, err, r)
			}
		})
	}
}

// TestExitCodes: what is wrong with the command line, or with a file, is 2; what newly fails is 1.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, status string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(`{"schema": 1, "results": [{"id": "a/one", "status": "`+status+`"}]}`), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	passed, failed := write("passed.json", "passed"), write("failed.json", "failed")
	for args, want := range map[string]int{
		"list": held, "list nothing": notRun, "explain nothing": notRun, "nothing": notRun, "run --nothing": notRun, "run --target /nobody": notRun, "init --print": held,
		"diff " + passed + " " + failed: found, "diff " + failed + " " + passed: held, "diff " + failed + " " + failed: held, "diff " + passed + " /nobody": notRun, "": held,
	} {
		if o := command(t.Context(), t, strings.Fields(args)...); o.code != want {
			t.Errorf("%s: got %+v, want code %d", args, o, want)
		}
	}
}

// TestHolds: where all that is tried holds, the exit code is 0.
func TestHolds(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	o.token = issue
	got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--only", "exchange/start-works,exchange/post-only")
	if got.code != held || !strings.HasPrefix(got.stdout, "nothing found: of 2 cases 2 passed,") {
		t.Errorf("%+v", got)
	}
}

// A signal ends the program with the report of what was done.
func TestSignal(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	asked := make(chan struct{}, 100)
	o.token = func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		hang(w, r)
	}
	cmd := exec.CommandContext(t.Context(), "understudy-conformance", "run", "--target", target(t, o.URL), "--format", "json", "--request-timeout", "1h")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	r := report(t, outcome{stdout: stdout.String(), stderr: stderr.String()})
	if code := cmd.ProcessState.ExitCode(); code != found || !r.Interrupted || len(r.Results) >= r.Cases {
		t.Errorf("code %d, %s, %s", code, r.Summary(), stderr.String())
	}
}

// TestProgress: a terminal has a line that changes; anything else has none.
func TestProgress(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	var stdout, stderr, terminal bytes.Buffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, progress: &terminal}
	if code := a.run(t.Context(), []string{"run", "--target", target(t, o.URL), "--only", "exchange"}); code == held {
		t.Error("a server that exchanges nothing passes")
	}
	if got := terminal.String(); !strings.HasPrefix(got, "\r\x1b[K1/") || !strings.HasSuffix(got, "\r\x1b[K") || strings.Contains(got, "\n") {
		t.Errorf("the terminal has %q", got)
	}
	if strings.Contains(stdout.String()+stderr.String(), "\x1b") {
		t.Error("the line is in the report too")
	}
}

// TestReportForms: each form is written whole, also over one that was there, and a report that cannot be written is told of before the run.
func TestReportForms(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	file := filepath.Join(t.TempDir(), "report")
	for form, begins := range map[string]string{"text": "nothing found|[0-9]+ finding", "json": `\{`, "junit": `<\?xml`, "sarif": `\{\s+"\$schema"`, "html": "<!doctype html>"} {
		got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--only", "exchange/post-only", "--format", form, "--output", file)
		b, err := os.ReadFile(file)
		if err != nil || !regexp.MustCompile("^(?:"+begins+")").Match(b) || got.stdout != "" {
			t.Errorf("%s: %v, %+v, %.80s", form, err, got, b)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	asked := o.tokens.Load()
	got := command(t.Context(), t, "run", "--target", target(t, o.URL), "--output", filepath.Join(t.TempDir(), "no", "such", "report"))
	if got.code != notRun || !strings.Contains(got.stderr, "no such file or directory") || o.tokens.Load() != asked {
		t.Errorf("%+v", got)
	}
}

// TestTargetFile: a target file says what is wrong with it by line and field, and never what stands where a secret belongs.
func TestTargetFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("app.secret", clientSecret+"\n")
	write("empty", "\n")
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"PASSWORD": password, "EMPTY": "", "ISSUER": "https://op.test"}[name]
		return v, ok
	}
	const rest = "accounts: {actor: {sub: a, login: a, password: '${PASSWORD}'}, subject: {sub: b}}\nstart: {by: user_id, subject_token_type: 'urn:x'}\n"
	good, err := load(write("good.yaml", "issuer: ${ISSUER}\nclients: {app: {id: app, secret_file: app.secret, redirect_uri: 'https://app.test/'}}\n"+rest), env)
	if err != nil || good.Clients.App.Secret != clientSecret || good.Accounts.Actor.Password != password || good.Issuer != "https://op.test" {
		t.Errorf("%+v, %v", good, err)
	}
	app := func(fields string) string {
		return "issuer: https://op.test\nclients:\n  app: {id: app, redirect_uri: 'https://app.test/', " + fields + "}\n" + rest
	}
	for name, tt := range map[string]struct{ text, want string }{
		"unknown field":      {app("secrt: " + clientSecret), `line 3: clients\.app\.secrt is no field; there are id, secret, secret_file, auth, private_key, private_key_file, `},
		"no field of a file": {app("secret: x") + "Elapse: 1s\n-: x\n", `line 6: Elapse is no field`},
		"a bad time":         {app("secret: x") + "lifetimes: {code: soon}\n", `line 6: .*soon`},
		"unknown at the top": {app("secret: x") + "isuer: y\n", `line 6: isuer is no field; there are name, issuer, `},
		"twice":              {app("secret: x, secret: " + clientSecret), `line 3: clients\.app\.secret comes twice`},
		"two places":         {app("secret_file: app.secret, secret: x"), `line 3: clients\.app\.secret comes twice`},
		"a list":             {app("secret: [" + clientSecret + "]"), `line 3: clients\.app\.secret must be a text`},
		"a text":             {"clients: " + clientSecret + "\n", `line 1: clients must be names and values`},
		"all is a text":      {clientSecret, `line 1: the file must be names and values`},
		"no file":            {app("secret_file: nobody"), `line 3: clients\.app\.secret_file: open .*nobody: no such file`},
		"an empty file":      {app("secret_file: empty"), `line 3: clients\.app\.secret_file: .*empty is empty`},
		"no variable":        {app("secret: '${NOBODY}'"), `line 3: clients\.app\.secret: the environment has no NOBODY`},
		"an empty variable":  {app("secret: '${EMPTY}'"), `line 3: clients\.app\.secret: the environment has no EMPTY`},
		"no YAML":            {"issuer: [", `line 1`},
		"two documents":      {app("secret: x") + "---\n", `want one YAML document`},
		"empty":              {"", `is empty`},
		"incomplete":         {"issuer: https://op.test\n", `accounts\.actor\.sub: must be set`},
		"a user in the URL":  {"issuer: 'https://u:" + clientSecret + "@op.test'\n", `issuer: must be a URL`},
		"one of a list":      {app("secret: x") + "agents: [{}, {client: {secrt: " + clientSecret + "}}]\n", `line 6: agents\[1\]\.client\.secrt is no field`},
		"a bad feature":      {app("secret: x") + "without: [wings]\n", `without: "wings" is no feature`},
	} {
		_, err := load(write("bad.yaml", tt.text), env)
		if err == nil || !regexp.MustCompile(tt.want).MatchString(err.Error()) {
			t.Errorf("%s: got %v, want %s", name, err, tt.want)
		} else if strings.Contains(err.Error(), clientSecret) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: a secret is in %v", name, err)
		}
	}
	if _, err := load(filepath.Join(dir, "nobody.yaml"), env); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("%v", err)
	}
}

// TestSample: what init prints is a target that holds, as it is and with all that stands behind "#".
func TestSample(t *testing.T) {
	t.Parallel()
	o := command(t.Context(), t, "init", "--print")
	dir := t.TempDir()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`(?m)^( *)# ( *(?:[a-z_]+:|\{).*)$`).ReplaceAllString(o.stdout, "$1$2")
	for name, b := range map[string][]byte{"sample.yaml": []byte(o.stdout), "whole.yaml": []byte(whole), "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := func(string) (string, bool) { return "JBSWY3DPEHPK3PXP", true }
	if _, err := load(filepath.Join(dir, "sample.yaml"), env); err != nil || o.code != held {
		t.Errorf("%v\n%s", err, o.stdout)
	}
	all, err := load(filepath.Join(dir, "whole.yaml"), env)
	if err != nil || all.Name == "" || all.Resource == "" || all.Clients.Other == nil || all.Clients.Key == nil || all.Accounts.Outside == nil || all.Lifetimes.Code == 0 || all.Start.Parameters == nil {
		t.Errorf("%v, %+v\n%s", err, all, whole)
	}
}
