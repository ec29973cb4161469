package tokens_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// vectors reads testdata/act: a file a case, one fault a file. Each is a line "expect: accept" or "expect: refuse", an empty
// line, and the payload, whose last newline does not belong to it.
func vectors(t testing.TB) map[string]vector {
	t.Helper()
	names, err := filepath.Glob("testdata/act/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	all := make(map[string]vector)
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		head, payload, ok := strings.Cut(strings.TrimSuffix(string(text), "\n"), "\n\n")
		if !ok || head != "expect: accept" && head != "expect: refuse" {
			t.Fatalf("%s: no expectation", name)
		}
		all[strings.TrimSuffix(filepath.Base(name), ".txt")] = vector{head == "expect: accept", payload}
	}
	return all
}

type vector struct {
	accept  bool
	payload string
}

func TestActVectors(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	set := newKeySet(t, key)
	for name, v := range vectors(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claims, err := set.Verify(forge(t, key, header(key), v.payload), expect)
			if (err == nil) != v.accept {
				t.Fatalf("got %v, want accepted: %v", err, v.accept)
			}
			if want := v.accept && strings.Contains(v.payload, `"act":`); (claims.Act != nil) != want {
				t.Errorf("act there: %v, want %v", claims.Act != nil, want)
			}
		})
	}
}
