package config_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
)

var key = base64.StdEncoding.EncodeToString(make([]byte, config.SealingKeySize))

func TestCheck(t *testing.T) {
	t.Parallel()
	const public = "public_url: https://login.acme.test\n"
	tests := []struct {
		name, yaml, want string // want begins a problem; "" for none
	}{
		{"nothing set", "", ""},
		{"TLS here", public + "sealing_key: " + key + "\nlisten: :443\ntls: {cert_file: c, key_file: k}\n", ""},
		{"trusted proxy", public + "sealing_key: " + key + "\nlisten: 10.0.0.1:80\ntrusted_proxies: [10.0.0.0/24]\n", ""},
		{"name below localhost", "public_url: http://login.localhost:8080\n", ""},
		{"IPv6 loopback", "public_url: http://[::1]:8080\nlisten: '[::1]:8080'\n", ""},
		{"public http", "public_url: http://login.acme.test\nsealing_key: " + key, "public_url \"http://login.acme.test\" must be https"},
		{"http on a name that begins like localhost", "public_url: http://localhost.acme.test\nsealing_key: " + key, "public_url \"http://localhost.acme.test\" must be https"},
		{"no TLS anywhere", public + "sealing_key: " + key, "public_url is https, but TLS ends neither here nor"},
		{"no sealing key", public + "trusted_proxies: [10.0.0.0/24]\n", "sealing_key must be set"},
		{"half a sealing key", "sealing_key: c2VjcmV0\n", "sealing_key has 6 bytes, not 32"},
		{"no base64", "sealing_key: '!'\n", "sealing_key is not base64"},
		{"slash at the end", "public_url: http://localhost:8080/\n", "public_url \"http://localhost:8080/\" must be scheme and host only"},
		{"path", "public_url: http://localhost:8080/a\n", "public_url \"http://localhost:8080/a\" must be scheme and host only"},
		{"no URL", "public_url: localhost\nsealing_key: " + key, "public_url \"localhost\" must be an http or https URL"},
		{"open to the network", "listen: 0.0.0.0:8080\n", "listen \"0.0.0.0:8080\" is open to the network while"},
		{"open by leaving the host out", "listen: :8080\n", "listen \":8080\" is open to the network while"},
		{"no port", "listen: 127.0.0.1\n", "listen \"127.0.0.1\" is not host:port"},
		{"certificate alone", "tls: {cert_file: c}\n", "tls.key_file is missing"},
		{"key alone", "tls: {key_file: k}\n", "tls.cert_file is missing"},
		{"TLS and http", "tls: {cert_file: c, key_file: k}\n", "public_url must be https when tls.cert_file is set"},
		{"proxy without mask", "trusted_proxies: [10.0.0.1]\n", "trusted_proxies \"10.0.0.1\" is not a network"},
		{"an app's network", "backchannel: {allow_private: [10.1.0.0/16, 'fd00:1::/32']}\n", ""},
		{"an app's address", "backchannel: {allow_private: [10.1.2.3]}\n", "backchannel.allow_private \"10.1.2.3\" is not a network"},
		{"everything is an app's", "backchannel: {allow_private: ['::/0']}\n", "backchannel.allow_private \"::/0\" is everything"},
		{"everybody is a proxy", "trusted_proxies: ['0.0.0.0/0']\n", "trusted_proxies \"0.0.0.0/0\" is everybody"},
		{"second factor of another word", "sign_in: {second_factor: maybe}\n", "sign_in.second_factor \"maybe\" must be one of required, optional"},
		{"log level", "log: {level: loud}\n", "log.level \"loud\" must be one of"},
		{"log format", "log: {format: xml}\n", "log.format \"xml\" must be one of"},
		{"lifetime zero", "lifetimes: {ticket: 0s}\n", "lifetimes.ticket 0s must be longer than zero"},
		{"a sign-in of five minutes", "sign_in: {max_auth_age: 5m}\n", ""},
		{"a sign-in of the future", "sign_in: {max_auth_age: -1s}\n", "sign_in.max_auth_age -1s must not be shorter than zero"},
		{"script as support", "support_url: javascript:alert(1)\n", "support_url \"javascript:alert(1)\" must be"},
		{"a trusted issuer", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, max_age: 2m, live: backchannel}]\n", ""},
		{"an issuer without an audience", "trusted_issuers: [{issuer: https://corp.test, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: audience must be set"},
		{"an issuer that starts nothing", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}}]\n", "trusted_issuers[0]: impersonate must be set"},
		{"an issuer in clear", "trusted_issuers: [{issuer: http://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: issuer must be https"},
		{"ourselves as an issuer", "trusted_issuers: [{issuer: http://localhost:8080, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: issuer must be another one"},
		{"an issuer twice", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}, {issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[1]: issuer is there twice"},
		{"tokens of an hour", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, max_age: 1h}]\n", "trusted_issuers[0]: max_age must be"},
		{"a network that is none", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, allow_private: [ten]}]\n", "trusted_issuers[0]: allow_private has"},
		{"introspection that asks nobody", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, live: introspection}]\n", "trusted_issuers[0]: introspection goes with"},
		{"no database", "database: ''\n", "database must name a file"},
		{"Postgres", "database: postgres://u@h/db\nsealing_key: " + key, ""},
		{"Postgres without sealing key", "database: postgres://u@h/db\n", "sealing_key must be set when the database is Postgres"},
		{"a size that is no number", "database: postgres://u@h/db?pool_max_conns=many\nsealing_key: " + key, "database cannot be used: cannot parse pool_max_conns"},
		{"a mode of TLS that there is not", "database: postgres://u@h/db?sslmode=full\nsealing_key: " + key, "database cannot be used: failed to configure TLS"},
		{"a database that we do not know", "database: mysql://x/y\n", "database is neither a file nor a postgres:// URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := config.Load(config.Sources{File: file(t, tt.yaml)})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range l.Check() {
				got = append(got, p.What)
			}
			if tt.want == "" && got != nil || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("got %q, want one that begins with %q", got, tt.want)
			}
		})
	}
}

func TestCheckNamesTheLine(t *testing.T) {
	t.Parallel()
	name := file(t, "database: a.db\nlog:\n  level: loud\n")
	l, err := config.Load(config.Sources{File: name})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Check(); len(got) != 1 || got[0].Where != name+":3" {
		t.Errorf("got %+v, want one at line 3", got)
	}
}

func TestRisks(t *testing.T) {
	t.Parallel()
	c := config.Default()
	if got := c.Risks(); got != nil {
		t.Errorf("default: got risks %q, want none", got)
	}
	l, err := config.Load(config.Sources{File: file(t, `
sign_in: {second_factor: optional}
private_listen: :8081
listen: 10.0.0.1:80
roles:
  - name: root
    impersonate: {privileged: true, scopes: [openid]}
  - name: support
    impersonate: {scopes: [openid]}
`)})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range l.Risks() {
		got = append(got, r[:strings.Index(r, ":")])
	}
	want := []string{"sign_in.second_factor is optional", "private_listen ", "listen 10.0.0.1", "role root reaches privileged users"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("risks (-want +got):\n%s", diff)
	}
}

func TestReadableSecrets(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o400: 0, 0o444: 2, 0o640: 2} {
		secret := file(t, strings.Repeat("A", 43)+"=")
		if err := os.Chmod(secret, mode); err != nil {
			t.Fatal(err)
		}
		l, err := config.Load(config.Sources{File: file(t, "database: postgres://u@localhost/db\ndatabase_password_file: "+secret+"\nsealing_key_file: "+secret)})
		if err != nil {
			t.Fatal(err)
		}
		got := l.Risks()
		if len(got) != want {
			t.Errorf("mode %04o: got %q, want %d", mode, got, want)
		}
		for i, r := range got {
			path := []string{"database_password_file ", "sealing_key_file "}[i]
			if says := fmt.Sprintf("is open to others than its owner (mode %04o)", mode); !strings.HasPrefix(r, path+secret) || !strings.Contains(r, says) {
				t.Errorf("got %q, want %s%s %s", r, path, secret, says)
			}
		}
	}
}
