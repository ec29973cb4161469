package rp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth"
)

var person = rapid.Custom(func(t *rapid.T) Person {
	return Person{
		Subject: rapid.String().Draw(t, "sub"), Name: rapid.String().Draw(t, "name"), Email: rapid.String().Draw(t, "email"),
		Organisation: rapid.String().Draw(t, "organisation"), Roles: rapid.SliceOfN(rapid.String(), 1, 5).Draw(t, "roles"),
		Issuer: rapid.String().Draw(t, "iss"), Elsewhere: rapid.Ptr(elsewhere, true).Draw(t, "sub_id"),
	}
})

var elsewhere = rapid.Custom(func(t *rapid.T) SubjectID {
	return SubjectID{"iss_sub", rapid.StringN(1, -1, -1).Draw(t, "iss"), rapid.StringN(1, -1, -1).Draw(t, "sub")}
})

var moment = rapid.Custom(func(t *rapid.T) time.Time {
	return time.Unix(rapid.Int64Range(0, maxUnix).Draw(t, "unix"), 0).UTC()
})

// TestStateRoundTrip: what was packed is what comes out, and no prefix of it is taken.
func TestStateRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := acting{
			Session: Session{
				ID: rapid.String().Draw(t, "id"), Subject: person.Draw(t, "subject"), Actor: person.Draw(t, "actor"), Mode: oauth.ModeWrite,
				Started: moment.Draw(t, "started"), Expires: moment.Draw(t, "expires"), Token: oauth.Secret(rapid.String().Draw(t, "token")),
			},
			Return: oauth.Secret(rapid.String().Draw(t, "return")), ReturnTo: rapid.String().Draw(t, "to"),
		}
		var out acting
		packed := in.pack()
		if err := out.unpack(string(packed)); err != nil || !reflect.DeepEqual(in, out) {
			t.Fatalf("%v, %s", err, cmp.Diff(in, out))
		}
		if cut := rapid.IntRange(0, len(packed)-1).Draw(t, "cut"); out.unpack(string(packed[:cut])) == nil {
			t.Fatalf("took the first %d of %d bytes", cut, len(packed))
		}
		if out.unpack(string(packed)+"\x00") == nil {
			t.Fatal("took one byte more")
		}
	})
}

// FuzzState: any bytes are refused or are the one way to write what they hold.
func FuzzState(f *testing.F) {
	p := Person{Subject: "u", Name: "N", Roles: []string{"a", "b"}, Elsewhere: &SubjectID{"iss_sub", "i", "s"}}
	h := held{Session: "imp_x", Actor: p, Subject: p, Started: time.Unix(1, 0), Expires: time.Unix(1<<40, 0), Return: "r", ReturnTo: "/"}
	a := acting{Session: Session{ID: "imp_x", Subject: p, Actor: p, Mode: oauth.ModeRead, Started: time.Unix(1, 0), Expires: time.Unix(2, 0), Token: "t"}}
	s := signIn{Person: p, Fresh: time.Unix(1, 0), Expires: time.Unix(300, 0)}
	w := flow{State: "s", Kind: flowActor, Nonce: "n", Verifier: "v", Ticket: "t", Back: "m", Expires: time.Unix(128, 0)}
	x := failure{"failed.veto", "no", "m", time.Unix(128, 0)}
	for _, b := range [][]byte{h.pack(), a.pack(), s.pack(), w.pack(), x.pack(), {1, 0x80, 0}, {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, x := range []interface {
			pack() []byte
			unpack(string) error
		}{new(acting), new(held), new(signIn), new(flow), new(failure)} {
			if err := x.unpack(string(b)); err == nil && !bytes.Equal(x.pack(), b) {
				t.Errorf("%T: %x is not how %x would be written", x, b, x.pack())
			}
		}
	})
}

// FuzzCookies: whatever the Cookie header is, nothing opens but what was sealed for that name, and only once.
func FuzzCookies(f *testing.F) {
	c := Config{Issuer: "https://issuer.test", ClientID: "app", ClientSecret: "secret", BaseURL: "https://app.test"}
	box, err := c.box()
	if err != nil {
		f.Fatal(err)
	}
	st := c.site(c.BaseURL, box)
	plain := (&acting{Session: Session{ID: "imp_x", Mode: oauth.ModeRead, Subject: Person{Subject: "u"}, Expires: time.Unix(300, 0)}}).pack()
	value := encoding.EncodeToString(st.acting.seal.Seal(plain))
	for _, s := range []string{"", st.acting.name + "=", "a=b; " + st.held.name + "=x;;;", " \u2000" + st.acting.name + "=", "$Version=1;" + st.signIn.name + `="`, st.flow.name + "x=1", st.acting.name} {
		f.Add(s, false)
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, header string, valid bool) {
		if valid {
			header += "; " + st.acting.name + "=" + value
		}
		r := &http.Request{Header: http.Header{"Cookie": {header}}}
		j := st.read(r)
		_, err := st.acting.open(j.acting)
		for range 2 { // what is remembered is found as what is not
			if _, ok := st.impersonation(j.acting); ok != (err == nil) {
				t.Errorf("opened: %v, found: %v", err, ok)
			}
		}
		alone := strings.Count(header, st.acting.name) == 1
		switch {
		case err == nil && !strings.Contains(header, value):
			t.Error("opened what nobody sealed")
		case valid && alone && !j.large && err != nil:
			t.Error("did not open the one that is there")
		case j.acting.n != find(r, st.acting.name).n && !j.large:
			t.Error("two ways to count come to two numbers")
		}
		for _, other := range []struct {
			c cookie
			f found
		}{{st.held, j.held}, {st.signIn, j.signIn}} {
			if _, err := other.c.open(other.f); err == nil {
				t.Errorf("%s opened", other.c.name)
			}
		}
	})
}

// TestRememberedCookies: one that was opened before counts as little as any other where it is doubled, cut, for another purpose or elsewhere, and what a
// handler does to what it holds is not there at the next request.
func TestRememberedCookies(t *testing.T) {
	t.Parallel()
	c := Config{Issuer: "https://issuer.test", ClientID: "app", ClientSecret: "secret", BaseURL: "https://app.test"}
	box, err := c.box()
	if err != nil {
		t.Fatal(err)
	}
	st := c.site(c.BaseURL, box)
	made := acting{Session: Session{ID: "imp_x", Mode: oauth.ModeRead, Subject: Person{Subject: "u", Roles: []string{"member"}, Elsewhere: &SubjectID{issSub, "https://idp.test", "v"}}, Expires: time.Unix(300, 0).UTC()}}
	value := encoding.EncodeToString(st.acting.seal.Seal(made.pack()))
	for n := range 3 {
		a, ok := st.impersonation(found{value, 1})
		if !ok || a.ID != made.ID || a.Subject.Roles[0] != "member" || a.Subject.Elsewhere.Subject != "v" || !a.Expires.Equal(made.Expires) {
			t.Fatalf("time %d: %+v, %v", n, a, ok)
		}
		a.ID, a.Subject.Roles[0], a.Subject.Elsewhere.Subject = "imp_y", "owner", "w"
	}
	if len(st.known.young) != 1 {
		t.Errorf("%d are remembered", len(st.known.young))
	}
	for name, f := range map[string]found{"doubled": {value, 2}, "missing": {value, 0}, "cut": {value[:len(value)-1], 1}, "longer": {value + "A", 1}, "empty": {"", 1}} {
		if _, ok := st.impersonation(f); ok {
			t.Errorf("%s: found", name)
		}
	}
	other := c.site("https://john.app.test", box)
	if _, ok := other.impersonation(found{value, 1}); ok {
		t.Error("found on another origin")
	}
	held := encoding.EncodeToString(st.held.seal.Seal([]byte("held")))
	for range 2 {
		if got, err := st.held.open(found{held, 1}); got != "held" || err != nil {
			t.Errorf("held: %q, %v", got, err)
		}
		if _, err := st.held.open(found{held, 2}); err == nil {
			t.Error("doubled, and opened")
		}
		if _, err := st.signIn.open(found{held, 1}); err == nil {
			t.Error("opened as another")
		}
	}
}

// TestHeaderNames: value finds nothing under a name that is not as net/http spells it.
func TestHeaderNames(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`value\([\w.]+, "([^"]+)"\)`)
	n := 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllSubmatch(source, -1) {
			if name := string(m[1]); name != http.CanonicalHeaderKey(name) {
				t.Errorf("%s asks for %s", file, name)
			}
			n++
		}
	}
	if n < 10 {
		t.Errorf("%d places were found", n)
	}
}

// FuzzSession: an answer of the issuer is refused, or gives a session in which everything is set.
func FuzzSession(f *testing.F) {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	f.Add("imp_x", "read", "2026-07-01T12:30:00Z", "u", "a", strings.Repeat("r", 43), "", "")
	f.Add("lgn_x", "", "2026-07-01T12:30:00+25:00", "u", "u", "", "", "")
	f.Add("imp_x", "read", "2026-07-01T12:30:00Z", "u", "u", "", "https://idp.test", "v")
	f.Fuzz(func(t *testing.T, id, mode, expires, subject, actor, ret, issuer, elsewhere string) {
		answer := tokenAnswer{AccessToken: "t", Return: ret, Session: sessionInfo{
			ID: id, Mode: oauth.Mode(mode), ExpiresAt: expires, Subject: Person{Subject: subject}, Actor: Person{Subject: actor, Roles: []string{"admin"}, Issuer: issuer},
		}}
		if elsewhere != "" {
			answer.Session.Subject.Elsewhere = &SubjectID{"iss_sub", issuer, elsewhere}
		}
		foreign := issuer != ""
		if _, err := answer.session(now, !foreign); err == nil {
			t.Error("took the actor of one issuer for another's")
		}
		s, err := answer.session(now, foreign)
		if err != nil {
			return
		}
		if foreign && elsewhere == s.Actor.Subject || !foreign && len(ret) != oauth.SecretLength || answer.ending() == "" {
			t.Errorf("took %+v with the return token %q", s, ret)
		}
		if !strings.HasPrefix(s.ID, "imp_") || !s.Mode.Valid() || s.Expires.Before(now) || s.Subject.Subject == "" || s.Actor.Subject == "" ||
			!foreign && s.Subject.Subject == s.Actor.Subject || s.Actor.Roles != nil || s.Expires.Nanosecond() != 0 {
			t.Errorf("took %+v", s)
		}
		a := acting{Session: s, Return: answer.ending()}
		var back acting
		if err := back.unpack(string(a.pack())); err != nil {
			t.Errorf("what was taken cannot be kept: %v", err)
		}
	})
}

// TestForeignActor: who the two are must fit together, whatever the issuer says.
func TestForeignActor(t *testing.T) {
	t.Parallel()
	const idp = "https://idp.test"
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		subject, actor Person
		ok             bool
	}{
		"known there":              {Person{Subject: "u", Elsewhere: &SubjectID{"iss_sub", idp, "s"}}, Person{Subject: "a", Issuer: idp}, true},
		"unknown there":            {Person{Subject: "u"}, Person{Subject: "a", Issuer: idp}, true},
		"one name at two issuers":  {Person{Subject: "a", Elsewhere: &SubjectID{"iss_sub", idp, "s"}}, Person{Subject: "a", Issuer: idp}, true},
		"at a third issuer":        {Person{Subject: "u", Elsewhere: &SubjectID{"iss_sub", "https://x.test", "a"}}, Person{Subject: "a", Issuer: idp}, true},
		"one person":               {Person{Subject: "u", Elsewhere: &SubjectID{"iss_sub", idp, "a"}}, Person{Subject: "a", Issuer: idp}, false},
		"actor of understudy's":    {Person{Subject: "u"}, Person{Subject: "a"}, false},
		"subject of another":       {Person{Subject: "u", Issuer: idp}, Person{Subject: "a", Issuer: idp}, false},
		"another format":           {Person{Subject: "u", Elsewhere: &SubjectID{"opaque", idp, "s"}}, Person{Subject: "a", Issuer: idp}, false},
		"without issuer":           {Person{Subject: "u", Elsewhere: &SubjectID{"iss_sub", "", "s"}}, Person{Subject: "a", Issuer: idp}, false},
		"without subject":          {Person{Subject: "u", Elsewhere: &SubjectID{"iss_sub", idp, ""}}, Person{Subject: "a", Issuer: idp}, false},
		"known there, and nowhere": {Person{Elsewhere: &SubjectID{"iss_sub", idp, "s"}}, Person{Subject: "a", Issuer: idp}, false},
	} {
		answer := tokenAnswer{AccessToken: "t", Session: sessionInfo{ID: "imp_x", Mode: oauth.ModeRead, ExpiresAt: "2026-07-01T12:30:00Z", Subject: c.subject, Actor: c.actor}}
		s, err := answer.session(now, true)
		if (err == nil) != c.ok || c.ok && !reflect.DeepEqual(s.Subject, c.subject) {
			t.Errorf("%s: got %+v, %v", name, s.Subject, err)
		}
		if _, err := answer.session(now, false); err == nil {
			t.Errorf("%s: took it from an app whose actors are understudy's", name)
		}
	}
}

// FuzzLocalPath: what is let pass leads to the same host, as browsers read it.
func FuzzLocalPath(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b=c", "/\tx", "/%2f%2fx", "/.understudy/stop", "/a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !localPath(s) {
			return
		}
		u, err := url.Parse("https://app.test" + s)
		if err != nil || u.Host != "app.test" || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t\x00") {
			t.Errorf("%q leads to %v", s, u)
		}
	})
}

// TestFormSession finds the field in a form, and leaves the body whole.
func TestFormSession(t *testing.T) {
	t.Parallel()
	var mp bytes.Buffer
	w := multipart.NewWriter(&mp)
	file, err := w.CreateFormFile("understudy_session", "not-me")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(file, "imp_file")
	if err := w.WriteField("understudy_session", "imp_x"); err != nil {
		t.Fatal(err)
	}
	w.Close()
	long := "a=" + strings.Repeat("b", peeked)
	for _, c := range []struct{ name, kind, body, want string }{
		{"first", "application/x-www-form-urlencoded", "understudy_session=imp_x&a=b", "imp_x"},
		{"last", "application/x-www-form-urlencoded; charset=utf-8", "a=b&understudy%5Fsession=imp%5Fx", "imp_x"},
		{"bad parameter", "application/x-www-form-urlencoded; x", "understudy_session=imp_x", "imp_x"},
		{"none", "application/x-www-form-urlencoded", "a=understudy_session=imp_x", ""},
		{"too late", "application/x-www-form-urlencoded", long + "&understudy_session=imp_x", ""},
		{"multipart", w.FormDataContentType(), mp.String(), "imp_x"},
		{"broken multipart", "multipart/form-data", mp.String(), ""},
		{"JSON", "application/json", `{"understudy_session":"imp_x"}`, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		got := peekForm(r).session
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if rest, err := io.ReadAll(r.Body); err != nil || string(rest) != c.body {
			t.Errorf("%s: the body is %d bytes now, %v; want %d", c.name, len(rest), err, len(c.body))
		}
	}
}

// TestEndingsWithoutID: two sessions whose answers could not be read are two, and one that comes again is one.
func TestEndingsWithoutID(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	a := &App{issuer: &issuer{}, log: slog.New(slog.DiscardHandler), now: time.Now}
	e := newEndings(ctx, a)
	for _, token := range []oauth.Secret{"one", "two", "one"} {
		e.add(token, Session{})
	}
	e.mu.Lock()
	n := len(e.waiting)
	e.mu.Unlock()
	cancel()
	if n != 2 {
		t.Errorf("%d wait, want 2", n)
	}
}
