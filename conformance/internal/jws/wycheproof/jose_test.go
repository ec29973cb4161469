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

	"github.com/understudy-id/understudy/conformance/internal/jws"
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

// keys are the group's, the private ones where it has no public: the suite reads no secret of them.
func (g group) keys(t *testing.T) (keys []jws.Key) {
	t.Helper()
	raw := g.Public
	if raw == nil {
		raw = g.Private
	}
	var set struct{ Keys []json.RawMessage }
	if err := json.Unmarshal(raw, &set); err != nil {
		t.Fatal(err)
	}
	if set.Keys == nil {
		set.Keys = []json.RawMessage{raw}
	}
	for _, raw := range set.Keys {
		var k jws.Key
		if err := json.Unmarshal(raw, &k); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k)
	}
	return keys
}

// known are the algorithms of two keys; a key may name none.
var known = []string{"", "ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA", "Ed25519"}

// mislabelled is valid by its file, with a key that says PS256 for a token of PS384: the verifier goes by the key.
var mislabelled = []string{"Figure20"}

// algorithm is what the first part of a token names; "" if it is no header.
func algorithm(token string) string {
	header, _, _ := strings.Cut(token, ".")
	raw, _ := base64.RawURLEncoding.DecodeString(header)
	var h struct{ Alg string }
	_ = json.Unmarshal(raw, &h) // what is none, names none
	return h.Alg
}

type counts struct{ accepted, refused int }

// want is what each file has, so that none is passed over.
var want = map[string]counts{
	"json_web_crypto_test.json":     {2, 81},
	"json_web_encryption_test.json": {0, 139},
	"json_web_key_test.json":        {1, 25},
	"json_web_signature_test.json":  {32, 369},
}

// TestJOSE: each vector of a signature by two keys gives its file's result; what has a shared secret, and each JWE, is refused, also where the key does not say what
// it is for.
func TestJOSE(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(wycheproof.TestVectors, "json_web*_test.json")
	if err != nil || !slices.Equal(names, slices.Sorted(maps.Keys(want))) {
		t.Fatalf("got files %q, %v; want %q", names, err, slices.Sorted(maps.Keys(want)))
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(name, ".json"), func(t *testing.T) {
			t.Parallel()
			raw, err := fs.ReadFile(wycheproof.TestVectors, name)
			if err != nil {
				t.Fatal(err)
			}
			var f file
			if err := json.Unmarshal(raw, &f); err != nil {
				t.Fatal(err)
			}
			var got counts
			for _, g := range f.TestGroups {
				c := g.run(t)
				got = counts{got.accepted + c.accepted, got.refused + c.refused}
			}
			if got != want[name] || got.accepted+got.refused != f.NumberOfTests {
				t.Errorf("got %+v of %d, want %+v", got, f.NumberOfTests, want[name])
			}
		})
	}
}

// run verifies each token of g, and counts what was accepted and what was refused.
func (g group) run(t *testing.T) (c counts) {
	t.Helper()
	keys := g.keys(t)
	other := slices.ContainsFunc(keys, func(k jws.Key) bool { return !slices.Contains(known, k.Algorithm) })
	for _, v := range g.Tests {
		token := v.token(t)
		_, err := jws.Verify(token, keys)
		if should := v.Result == "valid" && !other && !slices.Contains(mislabelled, v.Comment); (err == nil) != should {
			t.Errorf("%d %s is %s: got %v, want accepted: %v", v.ID, v.Comment, v.Result, err, should)
		}
		if err == nil {
			c.accepted++
		} else {
			c.refused++
		}
		if other && !slices.Contains(known, algorithm(token)) {
			bare := slices.Clone(keys)
			for i := range bare {
				bare[i].Algorithm, bare[i].Use, bare[i].Ops = "", "", nil
			}
			if _, err := jws.Verify(token, bare); err == nil {
				t.Errorf("%d %s: accepted with the bare key", v.ID, v.Comment)
			}
		}
	}
	return c
}
