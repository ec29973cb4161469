package provider_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/conformance/internal/findings"
)

const (
	userID   = "urn:example:params:oauth:token-type:user_id"
	api      = "https://api.example/"
	otherAPI = "https://other-api.example/"
)

func client(id string) *conformance.Client {
	return &conformance.Client{ID: id, Secret: "A secret of The client " + id + ", long enough", RedirectURI: "https://app.example/" + id}
}

func person(id string) *conformance.Account {
	return &conformance.Account{Subject: id, Login: id + "@acme.test", Password: "The password of " + id}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start serves what node/provider.mjs makes, and fills in the issuer.
func start(t *testing.T, target *conformance.Target) {
	t.Helper()
	type m = map[string]any
	exchange := []string{"authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"}
	var clients []m
	for _, c := range []*conformance.Client{&target.Clients.App, target.Clients.Other, target.Clients.NoExchange, target.Clients.Public, target.Clients.Bound} {
		clients = append(clients, m{"client_id": c.ID, "client_secret": c.Secret, "redirect_uris": []string{c.RedirectURI}, "grant_types": exchange})
	}
	clients[2]["grant_types"] = exchange[:2]
	delete(clients[3], "client_secret")
	clients[3]["token_endpoint_auth_method"] = "none"
	clients[4]["dpop_bound_access_tokens"] = true
	key, jwk := keyPair(t)
	target.Clients.Key.PrivateKey, target.Clients.Key.KeyID = key, "k1"
	clients = append(clients, m{"client_id": target.Clients.Key.ID, "redirect_uris": []string{target.Clients.Key.RedirectURI}, "grant_types": exchange,
		"token_endpoint_auth_method": "private_key_jwt", "jwks": m{"keys": []m{jwk}}})
	people := make(m)
	for _, a := range []*conformance.Account{&target.Accounts.Actor, target.Accounts.OtherActor, &target.Accounts.Subject, target.Accounts.Ordinary, target.Accounts.Protected} {
		people[a.Subject] = m{"login": a.Login, "password": a.Password, "impersonates": a == &target.Accounts.Actor || a == target.Accounts.OtherActor, "protected": a == target.Accounts.Protected}
	}
	told, err := json.Marshal(m{"clients": clients, "people": people, "resources": m{api: "read write", otherAPI: "read"}, "userID": userID})
	must(t, err)

	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS("node")))
	install := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	cmd := exec.Command("node", "provider.mjs", string(told))
	cmd.Dir = dir
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		in.Close() // it ends with its standard input
		cmd.Wait()
		if t.Failed() {
			t.Log(stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("oidc-provider said nothing: %v\n%s", err, stderr)
	}
	var said struct{ Issuer string }
	must(t, json.Unmarshal(line, &said))
	target.Issuer = said.Issuer
}

// keyPair gives a private key as PEM, and its public half as a JWK.
func keyPair(t *testing.T) (private string, jwk map[string]any) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	point, err := key.PublicKey.Bytes()
	must(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		map[string]any{"kty": "EC", "crv": "P-256", "kid": "k1", "x": b64(point[1:33]), "y": b64(point[33:])}
}

// TestSuite: a user's id as subject_token and the actor's access token as actor_token, of which nobody can read who acts: the suite asks by introspection.
func TestSuite(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	key := client("key")
	key.Secret, key.Auth = "", "private_key_jwt"
	public := client("public")
	public.Secret = ""
	target := conformance.Target{
		Name: "oidc-provider", Scope: "openid profile offline_access read write", SubjectScope: "read", WriteScope: "write", Resource: api, OtherResource: otherAPI,
		Clients:  conformance.Clients{App: *client("app"), Other: client("other"), NoExchange: client("plain"), Public: public, Key: key, Bound: client("bound")},
		Accounts: conformance.Accounts{Actor: *person("ann"), OtherActor: person("bea"), Subject: *person("john"), Ordinary: person("eve"), Protected: person("pat")},
		Start:    conformance.Start{By: conformance.StartByUserID, SubjectTokenType: userID},
	}
	start(t, &target)
	findings.Check(t, target)
}
