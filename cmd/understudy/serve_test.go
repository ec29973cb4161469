package main_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// serving is a server process.
type serving struct {
	cmd             *exec.Cmd
	public, private string // host:port
	said            string // until it served
	rest            chan string
}

// line is a line of its log.
type line struct {
	Msg     string `json:"msg"`
	Listen  string `json:"listen"`
	Private string `json:"private_listen"`
}

// understudy is the command in dir, without our environment. It is killed after five minutes: a server that should have been
// refused would run for ever.
func understudy(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "understudy", args...) // TestMain puts it in the path
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	return cmd
}

// start runs a server on free ports until the test ends, and returns when it says that it serves.
func start(t *testing.T, dir string, args ...string) *serving {
	t.Helper()
	return startCmd(t, understudy(t, dir, slices.Concat(quiet, args)...))
}

// quiet serves where nobody else does.
var quiet = []string{"serve", "--listen", "127.0.0.1:0", "--private-listen", "127.0.0.1:0", "--log-format", "json"}

func startCmd(t *testing.T, cmd *exec.Cmd) *serving {
	t.Helper()
	s := &serving{cmd: cmd, rest: make(chan string, 1)}
	out, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.cmd.Process.Kill(); s.cmd.Wait() })
	log := bufio.NewReader(out)
	for s.public == "" {
		text, err := log.ReadString('\n')
		if s.said += text; err != nil {
			t.Fatalf("the server ended: %v; it said:\n%s", err, s.said)
		}
		var l line
		if json.Unmarshal([]byte(text), &l) == nil && l.Msg == "serving" {
			s.public, s.private = l.Listen, l.Private
		}
	}
	go func() { b, _ := io.ReadAll(log); s.rest <- string(b) }()
	return s
}

func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, dir)
	for _, url := range []string{"http://" + s.private + "/readyz", "http://" + s.private + "/healthz", "http://" + s.public + "/.well-known/openid-configuration"} {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: got %s, want 200", url, res.Status)
		}
	}
	if res, err := http.Get("http://" + s.public + "/readyz"); err != nil || res.StatusCode != http.StatusNotFound {
		t.Errorf("readyz in public: got %v, %v, want 404", res, err)
	}
	for _, args := range [][]string{{"user", "add", "--email", "ann@acme.test", "--name", "Ann"}, {"user", "ls"}, {"migrate", "up"}} {
		if out, err := understudy(t, dir, args...).CombinedOutput(); err != nil {
			t.Errorf("beside the server, %v: %v\n%s", args, err, out)
		}
	}
	wantRefused(t, understudy(t, dir, "serve", "--listen", "127.0.0.1:0", "--private-listen", ""), "locking understudy.db: another server is using it (process ", "hint: stop the other server")
	wantRefused(t, understudy(t, dir, "serve", "--database", "other.db", "--private-listen", "", "--listen", s.public),
		"listen "+s.public+" cannot be used: listen tcp "+s.public+": bind: address already in use", "hint: another program listens there")
	wantRefused(t, understudy(t, dir, "serve", "--database", "none/mine.db"), "no such file or directory", "hint: look at the path")
	s.stop(t)
}

// stop ends the server as a supervisor would.
func (s *serving) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	said := <-s.rest
	if err := s.cmd.Wait(); err != nil || !strings.Contains(said, `"msg":"stopping"`) {
		t.Errorf("after SIGTERM: got %v, want exit 0; it said:\n%s", err, said)
	}
}

// A second signal kills a server that waits for a request under way.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	s := start(t, t.TempDir())
	slow, err := net.Dial("tcp", s.public)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	ended := make(chan error, 1)
	go func() {
		<-s.rest // all that it says is read: now it may be waited for
		ended <- s.cmd.Wait()
	}()
	// The answer to Expect says that the handler waits for the body, which does not come.
	io.WriteString(slow, "POST /sign-in HTTP/1.1\r\nHost: "+s.public+"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if text, err := bufio.NewReader(slow).ReadString('\n'); err != nil || !strings.Contains(text, "100 Continue") {
		t.Fatalf("got %q, %v, want 100 Continue", text, err)
	}
	for {
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
			if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() {
				t.Errorf("got %v, want it killed by the signal", s.cmd.ProcessState)
			}
			return
		case <-time.After(time.Second):
		}
	}
}

func wantRefused(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("%v: got no error", cmd.Args)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			t.Errorf("%v: got\n%s\nwant it to say %q", cmd.Args, out, w)
		}
	}
}

// Whoever seals with another key than the server's is refused, and no fresh key file hides that the old one is gone.
func TestSealingKeyOfServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, dir).stop(t)
	if out, err := understudy(t, dir, "user", "add", "--email", "ann@acme.test", "--name", "Ann").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	totp, serve := []string{"user", "totp", "ann@acme.test"}, []string{"serve", "--listen", "127.0.0.1:0", "--private-listen", ""}
	key := filepath.Join(dir, "understudy.db.key")
	if err := os.Rename(key, key+".away"); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{totp, serve} {
		wantRefused(t, understudy(t, dir, args...), "the sealing key understudy.db.key is gone", "hint: put the file back")
		other := understudy(t, dir, args...)
		other.Env = append(other.Env, "UNDERSTUDY_SEALING_KEY="+strings.Repeat("A", 43)+"=")
		wantRefused(t, other, "tokens: not a usable key", "hint: is it the server's key?")
	}
	if _, err := os.Stat(key); !os.IsNotExist(err) {
		t.Errorf("key file: got %v, want none", err)
	}
	if err := os.Rename(key+".away", key); err != nil {
		t.Fatal(err)
	}
	if out, err := understudy(t, dir, totp...).CombinedOutput(); err != nil {
		t.Errorf("with the server's key: %v\n%s", err, out)
	}
}

func TestServeRefusesDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(dir, "understudy.db"), Migrate: true, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.SetMarker(t.Context(), "demo"); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, understudy(t, dir, "serve"), "understudy.db is a demo database: its passwords are public", "hint: --database names another")
}

// TestServeTLS: where TLS ends here, what comes in plain is answered before anything is read of it.
//
// Covers RFC8693-6-01.
func TestServeTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pool := certificate(t, dir)
	s := start(t, dir, "--public-url", "https://localhost:8443", "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	res, err := client.Get("https://" + s.public + "/.well-known/openid-configuration")
	if err != nil || res.StatusCode != http.StatusOK || res.TLS.Version < tls.VersionTLS12 {
		t.Errorf("got %v, %v, want 200 over TLS", res, err)
	}
	post := func(scheme string) (int, string) {
		t.Helper()
		res, err := client.PostForm(scheme+"://"+s.public+"/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "client_id": {"app"}, "client_secret": {"sesame"}})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.StatusCode, string(body)
	}
	if status, body := post("http"); status != http.StatusBadRequest || strings.Contains(body, "error") {
		t.Errorf("in plain: got %d %s, want 400 and no answer of the token endpoint", status, body)
	}
	if status, body := post("https"); status != http.StatusUnauthorized || !strings.Contains(body, "invalid_client") {
		t.Errorf("over TLS: got %d %s, want 401 invalid_client", status, body)
	}
	s.stop(t)
}

// certificate writes a self-signed one for 127.0.0.1.
func certificate(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}
