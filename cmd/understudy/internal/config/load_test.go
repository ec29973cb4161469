package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth"
)

func file(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "u.yaml")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestOrder(t *testing.T) {
	t.Parallel()
	name := file(t, "listen: 127.0.0.1:1\nsign_in:\n  second_factor: optional\ndatabase: file.db\nlifetimes:\n  code: 30s\n")
	l, err := config.Load(config.Sources{
		File:  name,
		Env:   []string{"UNDERSTUDY_LISTEN=127.0.0.1:2", "UNDERSTUDY_DATABASE=env.db", "UNDERSTUDY_TRUSTED_PROXIES=10.0.0.0/8,192.0.2.1/32", "HOME=/", "UNDERSTUDY_LONG=1"},
		Flags: map[string]string{"listen": "127.0.0.1:3"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Default()
	want.Listen, want.Database, want.SignIn.SecondFactor, want.Lifetimes.Code = "127.0.0.1:3", "env.db", "optional", 30*time.Second
	want.TrustedProxies = []string{"10.0.0.0/8", "192.0.2.1/32"}
	if diff := cmp.Diff(want, l.Config); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	for path, want := range map[string]string{
		"listen": "flag --listen", "database": "env UNDERSTUDY_DATABASE", "sign_in.second_factor": name + ":3", "lifetimes.code": name + ":6", "public_url": "default",
	} {
		if got := l.From(path); got != want {
			t.Errorf("source of %s: got %q, want %q", path, got, want)
		}
	}
}

func TestEveryFieldHasItsNames(t *testing.T) {
	t.Parallel()
	c := config.Default()
	flags, envs := map[string]bool{"config": true, "output": true}, map[string]bool{}
	for _, f := range c.Fields() {
		if f.Doc == "" || strings.HasSuffix(f.Doc, ".") {
			t.Errorf("%s: doc %q, want a phrase", f.Path, f.Doc)
		}
		if f.Secret && f.Flag() != "" {
			t.Errorf("%s is secret and has the flag --%s", f.Path, f.Flag())
		}
		if f.FileOnly {
			continue
		}
		if envs[f.Env()] || flags[f.Flag()] && f.Flag() != "" {
			t.Errorf("%s: %s or --%s is taken twice", f.Path, f.Env(), f.Flag())
		}
		envs[f.Env()], flags[f.Flag()] = true, true
		if err := f.Set(f.Text()); err != nil {
			t.Errorf("%s: Set refuses what Text gave: %v", f.Path, err)
		}
	}
	if diff := cmp.Diff(config.Default(), c, cmp.Transformer("nil", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
		t.Errorf("Set(Text()) changed the configuration:\n%s", diff)
	}
}

func TestProblems(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, yaml string
		env        []string
		want       []string // where and what, then the hint
	}{
		{"unknown key", "listn: x\n", nil, []string{`u.yaml:1: unknown key "listn"`, "did you mean listen?"}},
		{"unknown key below", "sign_in:\n  second_factr: x\n", nil, []string{`u.yaml:2: unknown key "second_factr"`, "did you mean second_factor?"}},
		{"unknown key of a role", "roles:\n  - name: x\n    privilegd: true\n", nil, []string{`u.yaml:3: unknown key "privilegd"`, "did you mean privileged?"}},
		{"key twice", "listen: a\nlisten: b\n", nil, []string{`u.yaml:2: mapping key "listen" already defined at line 1`, ""}},
		{"no duration", "lifetimes:\n  code: soon\n", nil, []string{`u.yaml:2: soon is not a duration such as 10m or 1h30m`, ""}},
		{"text for a list", "roles: admin\n", nil, []string{`u.yaml:1: admin is not a list`, ""}},
		{"no YAML", "listen: [\n", nil, []string{`u.yaml:1: did not find expected node content`, ""}},
		{"unknown variable", "", []string{"UNDERSTUDY_LISTN=x"}, []string{`environment: unknown variable "UNDERSTUDY_LISTN"`, "did you mean UNDERSTUDY_LISTEN?"}},
		{"a part that only the file has", "", []string{"UNDERSTUDY_ROLES=x"}, []string{`environment: unknown variable "UNDERSTUDY_ROLES"`, "understudy help configuration lists all"}},
		{"variable that is no duration", "", []string{"UNDERSTUDY_LIFETIMES_CODE=x"}, []string{`env UNDERSTUDY_LIFETIMES_CODE: "x" is not a duration such as 10m or 1h30m`, ""}},
		{"no number", "limits:\n  actor_starts: many\n", nil, []string{`u.yaml:2: many is not a whole number`, ""}},
		{"variable that is no number", "", []string{"UNDERSTUDY_LIMITS_ACTOR_STARTS=1.5"}, []string{`env UNDERSTUDY_LIMITS_ACTOR_STARTS: "1.5" is not a whole number`, ""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			name := file(t, tt.yaml)
			_, err := config.Load(config.Sources{File: name, Env: tt.env})
			var got []string
			for _, p := range config.Problems(err) {
				got = append(got, strings.Replace(p.Error(), name, "u.yaml", 1), p.Hint)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load(config.Sources{File: file(t, "a: 1\nb: 2\n"), Env: []string{"UNDERSTUDY_C=3"}, Flags: map[string]string{"lifetimes-code": "x"}})
	if got := len(config.Problems(err)); got != 4 {
		t.Errorf("got %d problems, want 4: %v", got, err)
	}
}

func TestRulesAreOurOwnOrTheFiles(t *testing.T) {
	t.Parallel()
	l, err := config.Load(config.Sources{File: file(t, "roles:\n  - name: root\n    privileged: true\n")})
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Roles) != 1 || l.Roles[0].Name != "root" || l.Scopes != nil || l.Resources != nil {
		t.Errorf("got %d roles, %d scopes, %d resources, want the file's one role alone", len(l.Roles), len(l.Scopes), len(l.Resources))
	}
	l, err = config.Load(config.Sources{File: file(t, "clients:\n  modes:\n    app: [read]\n")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(config.Default().Roles, l.Roles); diff != "" || !cmp.Equal(l.Registry().Modes, map[string][]oauth.Mode{"app": {oauth.ModeRead}}) {
		t.Errorf("got modes %v and other roles than the default's:\n%s", l.Clients.Modes, diff)
	}
}

func TestSealingKeyFile(t *testing.T) {
	t.Parallel()
	key := file(t, "c2VjcmV0\n")
	l, err := config.Load(config.Sources{File: file(t, ""), Env: []string{"UNDERSTUDY_SEALING_KEY_FILE=" + key}})
	if err != nil {
		t.Fatal(err)
	}
	if got, from := string(l.SealingKey), l.From("sealing_key"); got != "c2VjcmV0" || from != "file "+key {
		t.Errorf("got a key of %d characters from %q", len(got), from)
	}
	_, err = config.Load(config.Sources{File: file(t, ""), Env: []string{"UNDERSTUDY_SEALING_KEY_FILE=" + key, "UNDERSTUDY_SEALING_KEY=x"}})
	if err == nil {
		t.Error("both the key and its file: got no error")
	}
	if _, err := config.Load(config.Sources{File: filepath.Join(t.TempDir(), "none.yaml")}); err == nil {
		t.Error("a named file that is not there: got no error")
	}
}

// Each key that an item of a list has is told of, with words of its own.
func TestKeysHaveWords(t *testing.T) {
	t.Parallel()
	c := config.Default()
	seen := map[string]bool{}
	for _, f := range c.Fields() {
		for _, k := range f.Keys() {
			if seen[f.Path+"."+k.Path] = true; k.Doc == "" {
				t.Errorf("%s.%s has no words", f.Path, k.Path)
			}
		}
	}
	for _, path := range []string{"roles.groups", "roles.impersonate.minutes", "upstreams.staff", "trusted_issuers.introspection.endpoint", "resources.uri", "scopes.class"} {
		if !seen[path] {
			t.Errorf("%s is not told of", path)
		}
	}
}
