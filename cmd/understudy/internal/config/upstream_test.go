package config_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/upstream"
)

// Everything that an upstream can have reaches the server.
func TestProviders(t *testing.T) {
	t.Parallel()
	l, err := config.Load(config.Sources{File: file(t, `
upstreams:
  - name: corp
    label: Acme
    issuer: https://corp.test
    allow_private: [10.1.2.3/16]
    client_id: u
    client_secret: hunter2
    scopes: [email]
    algorithms: [ES256]
    create_users: true
    link_by_email: true
    trust_email: true
    organisation: acme
    organisation_claim: org
    staff: true
    groups_claim: groups
    groups: {a: b}
    roles_claim: roles
    roles: {c: d}
    protected: [vip]
    mfa: [hwk]
    acr_values: [gold]
`)})
	if err != nil {
		t.Fatal(err)
	}
	want := []server.Upstream{{
		Provider: upstream.Config{Name: "corp", Label: "Acme", Issuer: upstream.IssuerConfig{URL: "https://corp.test", AllowPrivate: config.Backchannel{AllowPrivate: []string{"10.1.0.0/16"}}.Networks()},
			ClientID: "u", ClientSecret: "hunter2", Scopes: []string{"email"}, Algorithms: []string{"ES256"}, GroupsClaim: "groups", RolesClaim: "roles", OrganisationClaim: "org"},
		CreateUsers: true, LinkByEmail: true, TrustEmail: true, Organisation: "acme", Staff: true, Groups: map[string]string{"a": "b"}, Roles: map[string]string{"c": "d"},
		Protected: []string{"vip"}, MFA: []string{"hwk"}, ACRValues: []string{"gold"},
	}}
	if diff := cmp.Diff(want, l.Providers(), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("providers (-want +got):\n%s", diff)
	}
}

// The secret comes from the file, from a file of its own, or from the environment under the upstream's name; never from two of them.
func TestUpstreamSecret(t *testing.T) {
	t.Parallel()
	const name, variable = "name: my-corp, issuer: https://corp.test, client_id: u", "UNDERSTUDY_UPSTREAM_MY_CORP_CLIENT_SECRET"
	secret, empty := file(t, "hunter2\n"), file(t, "\n")
	for _, tt := range []struct {
		name, keys string
		env        []string
		want       string // the secret, or what begins the one problem
	}{
		{"none: a public client", "", nil, ""},
		{"in the file", ", client_secret: hunter2", nil, "hunter2"},
		{"in a file of its own", ", client_secret_file: " + secret, nil, "hunter2"},
		{"in the environment", "", []string{variable + "=hunter2"}, "hunter2"},
		{"the environment stands over the file", ", client_secret: old", []string{variable + "=hunter2"}, "hunter2"},
		{"in a file that the environment names", "", []string{variable + "_FILE=" + secret}, "hunter2"},
		{"in both files", ", client_secret: x, client_secret_file: " + secret, nil, "upstreams[0].client_secret is set too"},
		{"in both variables", "", []string{variable + "=x", variable + "_FILE=" + secret}, "upstreams[0].client_secret is set too, by env " + variable},
		{"in a file that is not there", ", client_secret_file: /none", nil, "open /none"},
		{"in an empty file", ", client_secret_file: " + empty, nil, "upstreams[0]: client_secret_file is empty"},
		{"in a variable of nobody's", "", []string{"UNDERSTUDY_UPSTREAM_CORP_CLIENT_SECRET=x"}, `unknown variable "UNDERSTUDY_UPSTREAM_CORP_CLIENT_SECRET"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l, err := config.Load(config.Sources{File: file(t, up(name+tt.keys)), Env: tt.env})
			problems := config.Problems(err)
			if err == nil {
				problems = l.Check()
			}
			switch {
			case len(problems) == 1 && tt.want != "" && strings.HasPrefix(problems[0].What, tt.want):
			case len(problems) > 0:
				t.Errorf("got %v, want one that begins with %q", problems, tt.want)
			case string(l.Upstreams[0].ClientSecret) != tt.want:
				t.Errorf("got another secret than %q", tt.want)
			}
		})
	}
}

// Each rule that an item of a list breaks is told, at the line of its key, or of the item where there is no such key.
func TestAllFaultsOfAnItem(t *testing.T) {
	t.Parallel()
	name := file(t, `upstreams:
  - name: Corp
    issuer: http://corp.test
    roles: {x: boss}
    acr_values: [gold]
trusted_issuers:
  - issuer: https://corp.test
    clients: {}
    max_age: 1h
    impersonate: {scope: openid}
    live: introspection
`)
	l, err := config.Load(config.Sources{File: name})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range l.Check() {
		what := strings.Join(strings.Fields(p.What)[:2], " ")
		got = append(got, strings.TrimPrefix(p.Where, name)+" "+what)
	}
	want := []string{
		":7 trusted_issuers[0]: audience", ":9 trusted_issuers[0]: max_age", ":8 trusted_issuers[0]: clients", ":10 trusted_issuers[0]: impersonate",
		":7 trusted_issuers[0]: introspection",
		":3 upstreams[0]: issuer", ":2 upstreams[0]: name", ":2 upstreams[0]: client_id", ":5 upstreams[0]: acr_values", ":4 upstreams[0]: roles", ":4 upstreams[0]: roles",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// A problem of an item of a list is said with the item's own line.
func TestUpstreamLine(t *testing.T) {
	t.Parallel()
	name := file(t, "upstreams:\n  - {name: a, issuer: https://a.test, client_id: u}\n  - name: b\n    issuer: https://b.test\n")
	l, err := config.Load(config.Sources{File: name})
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Check(); len(got) != 1 || got[0].Error() != name+":3: upstreams[1]: client_id must be set" {
		t.Errorf("got %v, want one at line 3", got)
	}
	_, err = config.Load(config.Sources{File: file(t, "upstreams:\n  - name: a\n    isuer: https://a.test\n")})
	if got := config.Problems(err); len(got) != 1 || !strings.HasSuffix(got[0].Where, ":3") || got[0].Hint != "did you mean issuer?" {
		t.Errorf("got %v, want one at line 3", got)
	}
}
