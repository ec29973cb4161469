package conformance

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"
)

// The reasons for which no case finds a weakness, beside those of rows_test.go.
const (
	administrator = "not from outside: nobody but an administrator of the server changes what it is about"
	console       = "not from outside: it is about an API for administrators, and each server has its own"
	upstream      = "not yet: a target has no way to name an issuer that the server trusts"
	called        = "not from outside: it is about what the server calls, and the suite has no address that it would"
	restarted     = "not from outside: the server would have to be started again, or to run twice"
	broken        = "not from outside: the server's store would have to fail"
	built         = "not from outside: it is about what the server is built from"
	journal       = "not from outside: what a server writes into its logs it answers to nobody"
	flood         = "not from outside: a flood is felt by all who use the server, and tells more of the machine"
	proxied       = "not from outside: it is about a proxy before an app"
	later         = "not yet: no case tries it"
)

// unfound are the weaknesses that no case finds, by their first id, and why.
var unfound = map[string]string{
	"CVE-2026-1609":             later,
	"CVE-2026-7571":             later,
	"CVE-2025-12390":            later,
	"CVE-2024-32967":            later,
	"CVE-2026-23511":            later,
	"CVE-2025-64521":            later,
	"CVE-2026-58422":            later,
	"LAB-10":                    later,
	"LAB-12":                    later,
	"CVE-2024-51744":            later,
	"Cookie-Chaos":              later,
	"CVE-2023-45128":            later,
	"CVE-2026-34454":            later,
	"GHSA-9g5q-2w5x-hmxf":       later,
	"CVE-2025-22871":            later,
	"CVE-2026-1486":             administrator,
	"CVE-2026-9802":             restarted,
	"keycloak#31296":            restarted,
	"keycloak#49213":            broken,
	"CVE-2026-9792":             administrator,
	"CVE-2026-16103":            administrator,
	"CVE-2026-9795":             console,
	"CVE-2026-11577":            console,
	"CVE-2026-16102":            administrator,
	"CVE-2026-37978":            console,
	"CVE-2026-55670":            console,
	"CVE-2026-55669":            upstream,
	"CVE-2025-46815":            upstream,
	"GHSA-7qjx-gp9h-65qj":       upstream,
	"nextcloud/impersonate#131": journal,
	"nextcloud/passwords#116":   relyingApp,
	"CVE-2026-41050":            relyingApp,
	"hydra@f33d6a8ea":           called,
	"hydra@3ad64db92":           broken,
	"LAB-7":                     built,
	"LAB-8":                     flood,
	"CVE-2026-33504":            console,
	"CVE-2021-32701":            resourceAPI,
	"CVE-2026-33494":            proxied,
	"CVE-2026-43983":            administrator,
	"CVE-2026-22752":            console,
	"GHSA-rxmp-8h9v-56cx":       administrator,
	"CVE-2026-49998":            upstream,
	"CVE-2026-32301":            called,
	"CVE-2025-22149":            administrator,
	"GHSA-rp9m-7r4c-75qg":       "not from outside: which tokens a cache takes for one another depends on how it makes its keys",
	"CVE-2026-25899":            flood,
	"CVE-2025-64494":            journal,
	"CVE-2024-1887":             journal,
	"sentry-2020-07":            journal,
	"Yuzu#4283":                 broken,
	"GO-2026-5815":              flood,
	"CVE-2023-44487":            flood,
	"CVE-2026-56853":            flood,
	"CVE-2025-4673":             called,
	"CVE-2025-47907":            broken,
	"CVE-2026-42507":            built,
	"CVE-2024-27304":            built,
	"CVE-2026-33815":            broken,
	"Jepsen-RDS-17.4":           restarted,
}

// TestWeaknesses: of each weakness in the list it is known which cases find it, or why none does.
func TestWeaknesses(t *testing.T) {
	t.Parallel()
	list, err := os.ReadFile("testdata/weaknesses.txt")
	if err != nil {
		t.Fatal(err)
	}
	by, listed := make(map[string]string), make(map[string]bool)
	for _, w := range weaknesses {
		if by[w.ids] != "" {
			t.Errorf("%s comes twice", w.ids)
		}
		by[w.ids] = w.cases
		cases := strings.Fields(w.cases)
		for i, id := range cases {
			if _, ok := Find(id); !ok || slices.Contains(cases[:i], id) {
				t.Errorf("%s: %s is no case, or comes twice", w.ids, id)
			}
		}
	}
	var b strings.Builder
	for line := range strings.Lines(string(list)) {
		ids, about, _ := strings.Cut(strings.TrimSpace(line), " | ")
		first, _, _ := strings.Cut(ids, " ")
		why := unfound[first]
		switch {
		case listed[ids] || about == "":
			t.Errorf("%s comes twice in the list, or says nothing", ids)
		case by[ids] == "" && why == "":
			t.Errorf("%s is found by no case, and has no reason in unfound", ids)
		case by[ids] != "" && why != "":
			t.Errorf("%s is found by a case, and has a reason in unfound", ids)
		}
		listed[ids], listed[first] = true, true
		b.WriteString(ids + " | " + about + ": " + cmp.Or(by[ids], why) + "\n")
	}
	for ids := range by {
		if !listed[ids] {
			t.Errorf("%s is in no line of the list", ids)
		}
	}
	for id := range unfound {
		if !listed[id] {
			t.Errorf("%s is in unfound, and begins no line of the list", id)
		}
	}
	const golden = "testdata/weaknesses.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || b.String() != string(want) {
		t.Errorf("which cases find which weaknesses is not as in %s (%v): go test ./conformance -run 'TestWeaknesses$' -update", golden, err)
	}
}

// TestKnownFrom: what was published is named by its product, and what was not by nobody.
func TestKnownFrom(t *testing.T) {
	t.Parallel()
	c, _ := Find("code/pkce-verified")
	var got []string
	for _, w := range c.KnownFrom() {
		got = append(got, w.String())
	}
	want := []string{"CVE-2026-16089, CVE-2026-32245 (Keycloak, Tinyauth)", "CVE-2025-4143, CVE-2025-4144 (Cloudflare workers-oauth-provider)"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if c, _ = Find("code/pkce-stays-in-force"); c.KnownFrom() != nil {
		t.Errorf("%s is known from %v", c.ID, c.KnownFrom())
	}
}
