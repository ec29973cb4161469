package audit_test

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
)

// FuzzOpen holds that there is one way to write an entry: what Open accepts, Canonical and Opening give again; and that
// after one flipped bit it is not the same entry any more.
func FuzzOpen(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(v.canonical, v.opening, uint(3))
	}
	f.Fuzz(func(t *testing.T, canonical, opening []byte, bit uint) {
		e, err := audit.Open(canonical, opening)
		if err != nil {
			return
		}
		if commits, err := audit.Commitments(canonical); err != nil || len(commits) != len(e.Salts) {
			return // erased: without its opening an entry cannot be written again
		}
		againCanonical, againOpening := encode(t, e)
		if !bytes.Equal(againCanonical, canonical) || !bytes.Equal(againOpening, opening) {
			t.Fatalf("Open accepts %s and %s, Canonical gives %s and Opening %s", canonical, opening, againCanonical, againOpening)
		}
		flipped := append(bytes.Clone(canonical), opening...)
		bit %= uint(8 * len(flipped))
		flipped[bit/8] ^= 1 << (bit % 8)
		if got, err := audit.Open(flipped[:len(canonical)], flipped[len(canonical):]); err == nil && cmp.Equal(e, got) {
			t.Fatalf("bit %d of %s %s was flipped and nobody saw", bit, canonical, opening)
		}
	})
}
