package config_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
)

var key = base64.StdEncoding.EncodeToString(make([]byte, config.SealingKeySize))

// up lists upstreams, each of these keys.
func up(keys ...string) string {
	return "upstreams: [{" + strings.Join(keys, "}, {") + "}]\n"
}

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
		{"a trusted issuer", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, max_age: 2m, live: scim}]\n", ""},
		{"log-outs that arrive", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, live: backchannel}]\nupstreams: [{name: corp, issuer: https://corp.test, client_id: us, client_secret: hush}]\n", ""},
		{"log-outs that arrive nowhere", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, live: backchannel}]\nupstreams: [{name: corp, issuer: https://corp.test/, client_id: us, client_secret: hush}]\n", "trusted_issuers[0]: live: backchannel goes with"},
		{"an issuer without an audience", "trusted_issuers: [{issuer: https://corp.test, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: audience must be set"},
		{"an issuer that starts nothing", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}}]\n", "trusted_issuers[0]: impersonate must be set"},
		{"an issuer in clear", "trusted_issuers: [{issuer: http://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: issuer must be https"},
		{"ourselves as an issuer", "trusted_issuers: [{issuer: http://localhost:8080, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[0]: issuer must be another one"},
		{"an issuer twice", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}, {issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}}]\n", "trusted_issuers[1]: issuer is there twice"},
		{"tokens of an hour", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, max_age: 1h}]\n", "trusted_issuers[0]: max_age must be"},
		{"a network that is none", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, allow_private: [ten]}]\n", "trusted_issuers[0]: allow_private has"},
		{"what anybody's token has", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: openid}}]\n", "trusted_issuers[0]: impersonate must be a scope that is for this alone"},
		{"introspection that asks nobody", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, live: introspection}]\n", "trusted_issuers[0]: introspection goes with"},
		{"everything is an issuer's", "trusted_issuers: [{issuer: https://corp.test, audience: a, clients: {app: [crm]}, impersonate: {scope: act-as}, allow_private: ['0.0.0.0/0']}]\n", "trusted_issuers[0]: allow_private has everything"},
		{"an upstream", up("name: corp, issuer: https://corp.test, client_id: u, groups_claim: g, groups: {x: y}, roles_claim: r, roles: {x: admin}, protected: [vip], mfa: [mfa], acr_values: [mfa], organisation: acme"), ""},
		{"an upstream on this machine", up("name: corp, issuer: 'http://localhost:9000', client_id: u"), ""},
		{"an upstream without a name", up("issuer: https://corp.test, client_id: u"), "upstreams[0]: name must be"},
		{"a name that is a path", up("name: ../x, issuer: https://corp.test, client_id: u"), "upstreams[0]: name must be"},
		{"an upstream without an issuer", up("name: corp, client_id: u"), "upstreams[0]: issuer must be"},
		{"an upstream in clear", up("name: corp, issuer: http://corp.test, client_id: u"), "upstreams[0]: issuer must be https"},
		{"an upstream without a client_id", up("name: corp, issuer: https://corp.test"), "upstreams[0]: client_id must be set"},
		{"ourselves as an upstream", up("name: corp, issuer: 'http://localhost:8080', client_id: u"), "upstreams[0]: issuer is this server itself"},
		{"an algorithm that there is not", up("name: corp, issuer: https://corp.test, client_id: u, algorithms: [HS256]"), "upstreams[0]: algorithms must be some of"},
		{"two scopes in one", up("name: corp, issuer: https://corp.test, client_id: u, scopes: ['a b']"), "upstreams[0]: scopes must each be one"},
		{"groups out of nowhere", up("name: corp, issuer: https://corp.test, client_id: u, groups: {x: y}"), "upstreams[0]: groups needs groups_claim"},
		{"a group without a name", up("name: corp, issuer: https://corp.test, client_id: u, groups_claim: g, groups: {x: ' '}"), "upstreams[0]: groups gives a name that is none"},
		{"roles out of nowhere", up("name: corp, issuer: https://corp.test, client_id: u, roles: {x: admin}"), "upstreams[0]: roles needs roles_claim"},
		{"a role that nobody registered", up("name: corp, issuer: https://corp.test, client_id: u, roles_claim: r, roles: {x: boss}"), `upstreams[0]: roles gives "boss"`},
		{"the role of everybody", up("name: corp, issuer: https://corp.test, client_id: u, roles_claim: r, roles: {x: user}"), `upstreams[0]: roles gives "user"`},
		{"protection out of nowhere", up("name: corp, issuer: https://corp.test, client_id: u, protected: [vip]"), "upstreams[0]: protected needs"},
		{"trust and link", up("name: corp, issuer: https://corp.test, client_id: u, organisation: a, link_by_email: true, trust_email: true"), "upstreams[0]: link_by_email and trust_email"},
		{"two organisations", up("name: corp, issuer: https://corp.test, client_id: u, organisation: a, organisation_claim: o"), "upstreams[0]: organisation and organisation_claim"},
		{"users of no organisation", up("name: corp, issuer: https://corp.test, client_id: u, create_users: true"), "upstreams[0]: create_users needs organisation"},
		{"links to any organisation", up("name: corp, issuer: https://corp.test, client_id: u, link_by_email: true"), "upstreams[0]: link_by_email needs organisation"},
		{"links to staff", up("name: corp, issuer: https://corp.test, client_id: u, link_by_email: true, staff: true"), ""},
		{"users who are staff", up("name: corp, issuer: https://corp.test, client_id: u, create_users: true, staff: true"), ""},
		{"users who are staff and not", up("name: corp, issuer: https://corp.test, client_id: u, create_users: true, staff: true, organisation_claim: o"), "upstreams[0]: staff are in no organisation"},
		{"an organisation of control characters", up(`name: corp, issuer: https://corp.test, client_id: u, organisation: "a\tb"`), "upstreams[0]: organisation must be"},
		{"an empty second factor", up("name: corp, issuer: https://corp.test, client_id: u, mfa: ['']"), "upstreams[0]: mfa has an empty value"},
		{"acr_values that nothing answers", up("name: corp, issuer: https://corp.test, client_id: u, acr_values: [gold]"), "upstreams[0]: acr_values needs mfa"},
		{"two acr_values in one", up("name: corp, issuer: https://corp.test, client_id: u, mfa: [gold], acr_values: ['gold silver']"), "upstreams[0]: acr_values must each be one"},
		{"an upstream's network that is none", up("name: corp, issuer: https://corp.test, client_id: u, allow_private: [ten]"), "upstreams[0]: allow_private has what is not"},
		{"everything is an upstream's", up("name: corp, issuer: https://corp.test, client_id: u, allow_private: ['::/0']"), "upstreams[0]: allow_private has everything"},
		{"a name twice", up("name: corp, issuer: https://corp.test, client_id: u", "name: corp, issuer: https://other.test, client_id: u"), "upstreams[1]: another has the same name"},
		{"an upstream's issuer twice", up("name: corp, issuer: https://corp.test, client_id: u", "name: other, issuer: https://corp.test, client_id: u"), "upstreams[1]: another has the same name or issuer"},
		{"passwords disabled", "sign_in: {local: disabled}\n" + up("name: corp, issuer: https://corp.test, client_id: u"), ""},
		{"no way in", "sign_in: {local: disabled}\n", "sign_in.local is disabled and there are no upstreams"},
		{"another word for local", "sign_in: {local: never}\n", "sign_in.local \"never\" must be one of enabled, break_glass, disabled"},
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

// Each switch of an upstream that lets more people in, or lets others decide who may what, is named, and nothing else is.
func TestUpstreamRisks(t *testing.T) {
	t.Parallel()
	const corp = "name: corp, issuer: https://corp.test, client_id: u"
	for name, tt := range map[string]struct {
		keys string
		want []string
	}{
		"nothing":             {"", nil},
		"link":                {", link_by_email: true, organisation: acme", []string{"link_by_email: "}},
		"create and link":     {", link_by_email: true, create_users: true, organisation: acme", []string{"create_users with link_by_email: "}},
		"staff":               {", create_users: true, staff: true", []string{"create_users with staff: "}},
		"create":              {", create_users: true, organisation_claim: o", nil},
		"a role":              {", roles_claim: r, roles: {x: admin}", []string{"its claims give admin: "}},
		"a group":             {", groups_claim: g, groups: {x: helpdesk}", []string{"its claims give support: "}},
		"a group of no right": {", groups_claim: g, groups: {x: sales}", nil},
		"a network":           {", allow_private: [10.0.0.0/8]", []string{"allow_private: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, err := config.Load(config.Sources{File: file(t, up(corp+tt.keys)+`
roles:
  - {name: admin, audit: true}
  - {name: support, groups: [helpdesk], impersonate: {scopes: [openid]}}
  - {name: seller, groups: [sales]}
`)})
			if err != nil {
				t.Fatal(err)
			}
			got := l.Risks()
			if len(got) != len(tt.want) {
				t.Fatalf("got %q, want %q", got, tt.want)
			}
			for i, r := range got {
				if !strings.HasPrefix(r, "upstreams[0] (corp): "+tt.want[i]) {
					t.Errorf("got %q, want %q", r, tt.want[i])
				}
			}
		})
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	for keys, want := range map[string]int{"": 2, ", mfa: [mfa]": 1} {
		l, err := config.Load(config.Sources{File: file(t, up("name: corp, issuer: https://corp.test, client_id: u"+keys))})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Notes(); len(got) != want || want == 2 && !strings.HasPrefix(got[1], "upstreams[0] (corp): mfa is empty") {
			t.Errorf("%q: got %q, want %d", keys, got, want)
		}
	}
}

// A session that is used must not end for idleness, however seldom an app has to ask about it.
func TestNoteOfIdleness(t *testing.T) {
	t.Parallel()
	for idle, want := range map[string]bool{"10m": false, "2m": false, "119s": true, "10s": true} {
		l, err := config.Load(config.Sources{File: file(t, "lifetimes: {impersonation_idle: "+idle+"}\n")})
		if err != nil {
			t.Fatal(err)
		}
		said := slices.ContainsFunc(l.Notes(), func(n string) bool { return strings.HasPrefix(n, "lifetimes.impersonation_idle ") })
		if said != want {
			t.Errorf("%s: got %q", idle, l.Notes())
		}
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
