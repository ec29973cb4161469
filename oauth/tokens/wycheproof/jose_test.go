package wycheproof

import (
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/understudy-id/understudy/oauth/tokens"
)

// file is one of Wycheproof's, as far as it is the same for each kind.
type file struct {
	NumberOfTests int     `json:"numberOfTests"`
	TestGroups    []group `json:"testGroups"`
}

// group has one key, or a set of keys.
type group struct {
	Public  json.RawMessage `json:"public"`
	Private json.RawMessage `json:"private"`
	Tests   []vector        `json:"tests"`
}

type vector struct {
	ID      int             `json:"tcId"`
	Comment string          `json:"comment"`
	JWS     json.RawMessage `json:"jws"` // a string, or an object: the JSON serialisation
	JWE     json.RawMessage `json:"jwe"`
	Result  string          `json:"result"`
}

// token is what is sent, whatever it is.
func (v vector) token(t *testing.T) string {
	t.Helper()
	raw := v.JWS
	if raw == nil {
		raw = v.JWE
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	if len(raw) == 0 {
		t.Fatalf("%d has neither jws nor jwe", v.ID)
	}
	return string(raw)
}

// jwks is the group's public key or keys as a set; where it has only private ones, those.
func (g group) jwks(t *testing.T) (set []byte, algorithms []string) {
	t.Helper()
	raw := g.Public
	if raw == nil {
		raw = g.Private
	}
	var s struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	if s.Keys == nil {
		s.Keys = []json.RawMessage{raw}
	}
	for _, k := range s.Keys {
		var named struct{ Alg string }
		if err := json.Unmarshal(k, &named); err != nil {
			t.Fatal(err)
		}
		algorithms = append(algorithms, named.Alg)
	}
	set, err := json.Marshal(map[string]any{"keys": s.Keys})
	if err != nil {
		t.Fatal(err)
	}
	return set, algorithms
}

// ours are the algorithms that are read; a key may name none.
var ours = []string{tokens.ES256, tokens.EdDSA, tokens.RS256, ""}

// want is what each file has, so that none is passed over; EdDSA is in no vector of these. Accepted are those that it calls valid and
// whose key is for one of our algorithms.
var want = map[string]counts{
	"json_web_crypto_test.json":     {2, 81},
	"json_web_encryption_test.json": {0, 139},
	"json_web_key_test.json":        {1, 25},
	"json_web_signature_test.json":  {10, 391},
}

type counts struct{ accepted, refused int }

// Each vector for ES256, EdDSA or RS256 gives its file's result, through ParseKeys and VerifyJWS, which is how assertions and proofs are read
// too; each for another algorithm, and each JWE, is refused.
func TestJOSE(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(wycheproof.TestVectors, "json_web*_test.json")
	if err != nil || !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("got files %q, %v; want %q", names, err, slices.Sorted(maps.Keys(want)))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
			t.Parallel()
			f := read(t, name)
			var got counts
			byAlgorithm := make(map[string]counts)
			for _, g := range f.TestGroups {
				c, algorithms := g.run(t)
				key := strings.Join(algorithms, " and ")
				byAlgorithm[key] = counts{byAlgorithm[key].accepted + c.accepted, byAlgorithm[key].refused + c.refused}
				got.accepted += c.accepted
				got.refused += c.refused
			}
			for _, key := range slices.Sorted(maps.Keys(byAlgorithm)) {
				t.Logf("%-20q %3d accepted, %3d refused", key, byAlgorithm[key].accepted, byAlgorithm[key].refused)
			}
			if got != want[name] || got.accepted+got.refused != f.NumberOfTests {
				t.Errorf("got %+v of %d, want %+v", got, f.NumberOfTests, want[name])
			}
		})
	}
}

func read(t *testing.T, name string) (f file) {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// run reads each token of g, and counts what was accepted and what was refused.
func (g group) run(t *testing.T) (c counts, algorithms []string) {
	t.Helper()
	set, algorithms := g.jwks(t)
	foreign := slices.ContainsFunc(algorithms, func(a string) bool { return !slices.Contains(ours, a) })
	keys, keyErr := tokens.ParseKeys(set)
	if foreign && keyErr == nil {
		t.Errorf("keys for %q are taken", algorithms)
	}
	for _, v := range g.Tests {
		token := v.token(t)
		_, err := tokens.VerifyJWS(token, keys)
		accepted := err == nil && keyErr == nil
		if should := v.Result == "valid" && !foreign; accepted != should {
			t.Errorf("%d %s is %s: got %v, key %v; want accepted: %v", v.ID, v.Comment, v.Result, err, keyErr, should)
		}
		if accepted {
			c.accepted++
		} else {
			c.refused++
		}
		if foreign && !slices.Contains(ours, headerAlgorithm(token)) {
			g.refusesBare(t, v, token)
		}
	}
	return c, algorithms
}

// headerAlgorithm is what the first part of a token names; "" if it is no header.
func headerAlgorithm(token string) string {
	header, _, _ := strings.Cut(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(header)
	var h struct{ Alg string }
	_ = json.Unmarshal(raw, &h) // what is none, names none
	return h.Alg
}

// refusesBare takes from the keys what says what they are for, so that those of kinds that we read are read: the header's alg, or the
// form of a JWE, must be enough to refuse.
func (g group) refusesBare(t *testing.T, v vector, token string) {
	t.Helper()
	set, _ := g.jwks(t)
	var s struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(set, &s); err != nil {
		t.Fatal(err)
	}
	for _, k := range s.Keys {
		for _, member := range []string{"alg", "use", "key_ops", "d", "p", "q", "dp", "dq", "qi"} {
			delete(k, member)
		}
	}
	bare, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := tokens.ParseKeys(bare)
	if err != nil {
		return // a symmetric key, or a curve that we do not read
	}
	if _, err := tokens.VerifyJWS(token, keys); err == nil {
		t.Errorf("%d %s: accepted with the bare key", v.ID, v.Comment)
	}
}
