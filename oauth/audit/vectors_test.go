package audit_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/audit/testdata"
)

// vector is one file of testdata/vectors.
type vector struct {
	name, expect       string
	opening, canonical []byte
}

func vectors(t testing.TB) []vector {
	t.Helper()
	files, err := testdata.Vectors.ReadDir("vectors")
	if err != nil {
		t.Fatal(err)
	}
	var vs []vector
	for _, f := range files {
		b, err := testdata.Vectors.ReadFile("vectors/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		header, canonical, ok := bytes.Cut(b, []byte("\n\n"))
		if !ok {
			t.Fatalf("%s: no empty line after the header", f.Name())
		}
		v := vector{name: f.Name(), canonical: canonical}
		for l := range strings.SplitSeq(string(header), "\n") {
			switch name, value, _ := strings.Cut(l, ": "); name {
			case "expect":
				v.expect = value
			case "opening":
				v.opening = []byte(value)
			case "about":
			default:
				t.Fatalf("%s: unknown header %q", f.Name(), name)
			}
		}
		vs = append(vs, v)
	}
	return vs
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			e, err := audit.Open(v.canonical, v.opening)
			got := "ok"
			switch {
			case errors.Is(err, audit.ErrOpening):
				got = "opening"
			case errors.Is(err, audit.ErrForm):
				got = "form"
			case err != nil:
				t.Fatalf("Open: an error of neither sort: %v", err)
			}
			if got != v.expect {
				t.Fatalf("Open: got %s (%v), want %s", got, err, v.expect)
			}
			if v.expect == "ok" {
				checkSame(t, e, v)
			}
		})
	}
}

// checkSame holds that e gives the bytes of v again. An entry whose opening is gone cannot: its commitments need it.
func checkSame(t *testing.T, e audit.Entry, v vector) {
	t.Helper()
	commits, err := audit.Commitments(v.canonical)
	if err != nil {
		t.Fatalf("Commitments: %v", err)
	}
	if len(commits) != len(e.Salts) {
		return
	}
	canonical, err := audit.Canonical(e)
	if err != nil || !bytes.Equal(canonical, v.canonical) {
		t.Errorf("Canonical: got %s, %v, want %s", canonical, err, v.canonical)
	}
	opening, err := audit.Opening(e)
	if err != nil || !bytes.Equal(opening, v.opening) {
		t.Errorf("Opening: got %s, %v, want %s", opening, err, v.opening)
	}
}
