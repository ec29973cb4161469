package rp

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	ownOrigin = "https://as-user.app.example"
	ownStyle  = ownOrigin + stylePath
	baseEnd   = "https://app.example"
)

func TestAmendCSP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, policy, want string }{ // want "" is unchanged
		{"nothing about it", "img-src 'self'; script-src 'nonce-x'", ""},
		{"self", "default-src 'self'; form-action 'self' " + baseEnd, ""},
		{"self in capitals", "Default-Src 'SELF'", ""},
		{"the origin", "style-src " + ownOrigin, ""},
		{"the sheet", "style-src " + ownStyle, ""},
		{"any", "style-src *; form-action *", ""},
		{"none", "default-src 'none'", "default-src 'none'; style-src-elem " + ownStyle},
		{"default only", "default-src https://cdn.example;", "default-src https://cdn.example; style-src-elem https://cdn.example " + ownStyle},
		{"style-src", "default-src 'self'; style-src 'nonce-x' https://cdn.example", "default-src 'self'; style-src 'nonce-x' https://cdn.example " + ownStyle},
		{"style-src-elem wins", "style-src 'self';style-src-elem 'NONE';img-src *", "style-src 'self';style-src-elem " + ownStyle + ";img-src *"},
		{"the first counts", "style-src 'self'; style-src 'none'", ""},
		{"other origin alike", "style-src " + ownOrigin + ".evil", "style-src " + ownOrigin + ".evil " + ownStyle},
		{"form-action none", "form-action 'none'", "form-action 'self' " + baseEnd},
		{"form-action empty", "form-action", "form-action 'self' " + baseEnd},
		{"form-action self", "form-action 'self'", "form-action 'self' " + baseEnd},
		{"form-action elsewhere", "form-action https://pay.example", "form-action https://pay.example 'self' " + baseEnd},
		{"two policies", "default-src 'self', style-src 'none'", "default-src 'self', style-src " + ownStyle},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			want := c.want
			if want == "" {
				want = c.policy
			}
			const report = "Content-Security-Policy-Report-Only"
			shared := []string{c.policy, "img-src 'self'"}
			h := http.Header{"Content-Security-Policy": shared, report: {c.policy}}
			amendCSP(h, ownStyle, baseEnd)
			if diff := cmp.Diff(http.Header{"Content-Security-Policy": {want, "img-src 'self'"}, report: {c.policy}}, h); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if shared[0] != c.policy {
				t.Error("the app's own slice was changed")
			}
		})
	}
	h := http.Header{"Content-Security-Policy": {"form-action 'self'"}}
	if amendCSP(h, ownStyle); h.Get("Content-Security-Policy") != "form-action 'self'" {
		t.Errorf("where Stop stays on the origin: %q", h)
	}
	if amendCSP(h, ownStyle, baseEnd, "https://id.example"); h.Get("Content-Security-Policy") != "form-action 'self' "+baseEnd+" https://id.example" {
		t.Errorf("where Stop leads through two others: %q", h)
	}
	if h = (http.Header{}); len(h) != 0 {
		t.Errorf("a policy came out of nothing: %q", h)
	}
}

// FuzzAmendCSP: no directive loses a source but 'none', none goes, and amending again changes nothing.
func FuzzAmendCSP(f *testing.F) {
	for _, s := range []string{"default-src 'none'", "style-src 'self' ; form-action 'none',default-src a b", ";;,style-src;form-action", "style-src-elem\tx; STYLE-SRC y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, policy string) {
		h := http.Header{"Content-Security-Policy": {policy}}
		amendCSP(h, ownStyle, baseEnd)
		once := h.Get("Content-Security-Policy")
		was, is := strings.Split(policy, ","), strings.Split(once, ",")
		if len(was) != len(is) {
			t.Fatalf("%q has other policies than %q", once, policy)
		}
		for i := range was {
			for _, d := range strings.Split(was[i], ";") {
				wantKept(t, strings.Fields(d), is[i])
			}
		}
		if amendCSP(h, ownStyle, baseEnd); h.Get("Content-Security-Policy") != once {
			t.Errorf("amending %q again gives %q", once, h)
		}
	})
}

// wantKept looks for the directive in the policy, with at least its sources.
func wantKept(t *testing.T, directive []string, policy string) {
	if len(directive) == 0 {
		return
	}
	for _, d := range strings.Split(policy, ";") {
		f := strings.Fields(d)
		kept := len(f) > 0 && f[0] == directive[0]
		for _, source := range directive[1:] {
			kept = kept && (strings.EqualFold(source, "'none'") || slices.Contains(f[1:], source))
		}
		if kept {
			return
		}
	}
	t.Errorf("%q is not in %q any more", directive, policy)
}
