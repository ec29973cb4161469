package audit_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
)

// start is an entry with every member, the one that benchmarks and the golden bytes use.
func start() audit.Entry {
	e := audit.Entry{
		Version: 1, ID: "aud_abcdefghijklmnopqrstuvwxyz", Kind: audit.KindStart,
		Time:    time.Date(2026, 3, 1, 12, 30, 45, 678e6, time.UTC),
		Actor:   oauth.Party{Issuer: "https://id.example", Subject: "usr_ann"},
		Subject: oauth.Party{Issuer: "https://id.example", Subject: "usr_john"},
		Client:  "crm", Session: "imp_1", Request: "req_1", Policy: "p1",
		Fields: map[string]string{
			"mode": "read", "scope": "app:read openid", "resource": "https://api.example", "via": "page", "seconds": "1800",
			"reason": "she cannot find the \"report\" tab", "subject_email": "john@acme.test", "actor_email": "ann@acme.test",
		},
		Salts: map[string][]byte{},
	}
	for i, name := range []string{"reason", "subject_email", "actor_email"} {
		e.Salts[name] = []byte(strings.Repeat(string(rune('a'+i)), audit.SaltSize))
	}
	return e
}

// These bytes are in other people's databases and under signatures. If this test fails, the code is wrong, never the test.
func TestCanonicalNeverChanges(t *testing.T) {
	t.Parallel()
	const (
		wantCanonical = `{"actor":{"iss":"https://id.example","sub":"usr_ann"},"client":"crm","commit":{` +
			`"actor_email":"npRaDJqng4n-PEPXqCNjOUJmuc8Q4vtYl9K2mpLFkmk","reason":"2ut_sOggC5l30Ny_dBc_itixYtI2sskiRPA0fIRba1Y","subject_email":"YZKoeSgP8Qpn1LnXwV8Ekx-G4CPASm8Q5ritpFF9ubM"},` +
			`"fields":{"mode":"read","resource":"https://api.example","scope":"app:read openid","seconds":"1800","via":"page"},` +
			`"id":"aud_abcdefghijklmnopqrstuvwxyz","kind":"impersonation.start","policy":"p1","request":"req_1","session":"imp_1",` +
			`"subject":{"iss":"https://id.example","sub":"usr_john"},"time":"2026-03-01T12:30:45.678Z","v":1}`
		wantOpening = `{"actor_email":{"salt":"Y2NjY2NjY2NjY2NjY2NjYw","value":"ann@acme.test"},` +
			`"reason":{"salt":"YWFhYWFhYWFhYWFhYWFhYQ","value":"she cannot find the \"report\" tab"},` +
			`"subject_email":{"salt":"YmJiYmJiYmJiYmJiYmJiYg","value":"john@acme.test"}}`
	)
	canonical, err := audit.Canonical(start())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantCanonical, string(canonical)); diff != "" {
		t.Errorf("Canonical (-want +got):\n%s", diff)
	}
	opening, err := audit.Opening(start())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantOpening, string(opening)); diff != "" {
		t.Errorf("Opening (-want +got):\n%s", diff)
	}
}

func TestCanonicalRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		edit func(*audit.Entry)
		want string // in the error
	}{
		{"version", func(e *audit.Entry) { e.Version = 0 }, "v:"},
		{"no id", func(e *audit.Entry) { e.ID = "" }, "id:"},
		{"id with a quote", func(e *audit.Entry) { e.ID = `aud_"` }, "id:"},
		{"no kind", func(e *audit.Entry) { e.Kind = "" }, "kind:"},
		{"kind with a capital", func(e *audit.Entry) { e.Kind = "Start" }, "kind:"},
		{"no time", func(e *audit.Entry) { e.Time = time.Time{} }, "time:"},
		{"year 10000", func(e *audit.Entry) { e.Time = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "time:"},
		{"microseconds", func(e *audit.Entry) { e.Time = e.Time.Add(time.Microsecond) }, "time:"},
		{"invalid UTF-8", func(e *audit.Entry) { e.Client = "\xff" }, "client: invalid UTF-8"},
		{"invalid UTF-8 in a field", func(e *audit.Entry) { e.Fields["mode"] = "\xed\xa0\x80" }, "mode: invalid UTF-8"},
		{"invalid UTF-8 in a personal field", func(e *audit.Entry) { e.Fields["reason"] = "\xff" }, "reason: invalid UTF-8"},
		{"name with a space", func(e *audit.Entry) { e.Fields["a b"] = "x" }, "fields: a name"},
		{"name with a dot", func(e *audit.Entry) { e.Fields["a.b"] = "x" }, "fields: a name"},
		{"empty value", func(e *audit.Entry) { e.Fields["a"] = "" }, "fields.a:"},
		{"long value", func(e *audit.Entry) { e.Fields["a"] = strings.Repeat("x", audit.MaxValue+1) }, "a: 4097 bytes"},
		{"long subject", func(e *audit.Entry) { e.Subject.Subject = strings.Repeat("x", audit.MaxValue+1) }, "subject.sub:"},
		{"short salt", func(e *audit.Entry) { e.Salts["reason"] = make([]byte, 15) }, "salts.reason: 15 bytes"},
		{"long salt", func(e *audit.Entry) { e.Salts["reason"] = make([]byte, 17) }, "salts.reason: 17 bytes"},
		{"nil salt", func(e *audit.Entry) { e.Salts["reason"] = nil }, "salts.reason: 0 bytes"},
		{"salt without field", func(e *audit.Entry) { delete(e.Fields, "reason") }, "salts.reason: has no field"},
		{"many fields", func(e *audit.Entry) {
			for i := range audit.MaxFields {
				e.Set("n"+strings.Repeat("x", i), "y")
			}
		}, "fields: 72 of them"},
		{"whole too long", func(e *audit.Entry) {
			for i := range 16 {
				e.Set("n"+strings.Repeat("x", i), strings.Repeat("y", audit.MaxValue))
			}
		}, "at most 65535"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := start()
			tt.edit(&e)
			b, err := audit.Canonical(e)
			if !errors.Is(err, audit.ErrForm) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Canonical: got %s, error %v, want ErrForm with %q", b, err, tt.want)
			}
		})
	}
}

func TestOpeningHoldsOnlyWhatIsPersonal(t *testing.T) {
	t.Parallel()
	e := start()
	e.Salts = nil
	if got, err := audit.Opening(e); got != nil || err != nil {
		t.Errorf("Opening of an entry with nothing personal: got %s, %v, want nil, nil", got, err)
	}
	e.Salts = map[string][]byte{"reason": nil}
	if _, err := audit.Opening(e); !errors.Is(err, audit.ErrForm) {
		t.Errorf("Opening with a salt of no size: got %v, want ErrForm", err)
	}
}

// Erasing must erase: nothing of a personal value may be left in the bytes that stay.
func TestErasedEntryHoldsNothingPersonal(t *testing.T) {
	t.Parallel()
	e := start()
	canonical, err := audit.Canonical(e)
	if err != nil {
		t.Fatal(err)
	}
	for name := range e.Salts {
		if strings.Contains(string(canonical), e.Fields[name][:8]) {
			t.Errorf("Canonical has the value of %s in clear: %s", name, canonical)
		}
	}
	got, err := audit.Open(canonical, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := start()
	for name := range want.Salts {
		delete(want.Fields, name)
	}
	want.Salts = nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Open without opening (-want +got):\n%s", diff)
	}
}

func TestCommitments(t *testing.T) {
	t.Parallel()
	canonical, err := audit.Canonical(start())
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.Commitments(canonical)
	if err != nil {
		t.Fatal(err)
	}
	for name := range start().Salts {
		if len(got[name]) != 32 {
			t.Errorf("Commitments[%s]: got %d bytes, want 32", name, len(got[name]))
		}
	}
	if len(got) != len(start().Salts) {
		t.Errorf("Commitments: got %d, want %d", len(got), len(start().Salts))
	}
	if _, err := audit.Commitments(canonical[1:]); !errors.Is(err, audit.ErrForm) {
		t.Errorf("Commitments of a damaged entry: got %v, want ErrForm", err)
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := drawEntry(t)
		canonical, opening := encode(t, want)
		got, err := audit.Open(canonical, opening)
		if err != nil {
			t.Fatalf("Open(%s, %s): %v", canonical, opening, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("Open (-want +got):\n%s", diff)
		}
		if again, _ := encode(t, got); string(again) != string(canonical) {
			t.Fatalf("Canonical: got %s, want %s", again, canonical)
		}
	})
}

func TestOneFlippedBitNeverVerifies(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		e := drawEntry(t)
		canonical, opening := encode(t, e)
		flipped := [][]byte{canonical, opening}
		which := rapid.IntRange(0, 1).Draw(t, "which")
		if which == 1 && opening == nil {
			which = 0
		}
		bit := rapid.IntRange(0, 8*len(flipped[which])-1).Draw(t, "bit")
		flipped[which][bit/8] ^= 1 << (bit % 8)
		if got, err := audit.Open(canonical, opening); err == nil && cmp.Equal(e, got) {
			t.Fatalf("Open: bit %d of %s was flipped and nobody saw", bit, flipped[which])
		}
	})
}

func drawEntry(t *rapid.T) audit.Entry {
	text := rapid.OneOf(rapid.Just(""), rapid.StringN(0, 40, 200), rapid.StringMatching(`[\x00-\x1f"\\</>]{0,9}`))
	e := audit.New(audit.Kind(rapid.StringMatching(`[a-z_]{1,9}(\.[a-z]{1,9})?`).Draw(t, "kind")),
		time.UnixMilli(rapid.Int64Range(-1e13, 1e14).Draw(t, "time")))
	e.Actor = oauth.Party{Issuer: text.Draw(t, "iss"), Subject: text.Draw(t, "sub")}
	e.Subject = oauth.Party{Issuer: text.Draw(t, "iss"), Subject: text.Draw(t, "sub")}
	e.Client, e.Session = text.Draw(t, "client"), text.Draw(t, "session")
	e.Request, e.Policy = text.Draw(t, "request"), text.Draw(t, "policy")
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9_]{1,12}`), 0, 20, rapid.ID).Draw(t, "names") {
		if rapid.Bool().Draw(t, "personal") {
			e.SetPersonal(name, text.Draw(t, name))
		} else {
			e.Set(name, text.Draw(t, name))
		}
	}
	return e
}

func encode(t interface {
	Helper()
	Fatalf(string, ...any)
}, e audit.Entry) (canonical, opening []byte) {
	t.Helper()
	canonical, err := audit.Canonical(e)
	if err != nil {
		t.Fatalf("Canonical(%+v): %v", e, err)
	}
	opening, err = audit.Opening(e)
	if err != nil {
		t.Fatalf("Opening(%+v): %v", e, err)
	}
	return canonical, opening
}

func BenchmarkCanonical(b *testing.B) {
	e := start()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Canonical(e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen is what verifying a trail costs an entry.
func BenchmarkOpen(b *testing.B) {
	canonical, opening := encode(b, start())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Open(canonical, opening); err != nil {
			b.Fatal(err)
		}
	}
}
