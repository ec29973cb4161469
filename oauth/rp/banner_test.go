package rp

import (
	"context"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"pgregory.net/rapid"
)

// hostileName says something else than it is, in every way that a name can.
const hostileName = "</bdi></template><script>alert(1)</script>\u202eevil\u2069\u200b \U0001F469\u200d\U0001F4BB\n\"x' onload=\"y"

var tags = regexp.MustCompile(`<[^>]*>`)

// words are what a reader of HTML sees.
func words(h string) string { return html.UnescapeString(tags.ReplaceAllString(h, "")) }

func TestBannerWords(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 10<<10)
	for _, c := range []struct {
		name string
		bend func(*Session)
		want string
	}{
		{"plain", func(*Session) {}, "You're impersonating John Doe (john@acme.test) · you are ann@acme.test · look only · ends 22:58 UTCStop"},
		{"write", func(s *Session) { s.Mode = oauth.ModeWrite }, "You're impersonating John Doe (john@acme.test) · you are ann@acme.test · full access · ends 22:58 UTCStop"},
		{"no names", func(s *Session) {
			s.Subject = Person{Subject: "usr_john", Email: "john@acme.test"}
			s.Actor = Person{Subject: "usr_ann"}
		}, "You're impersonating john@acme.test · you are usr_ann · look only · ends 22:58 UTCStop"},
		{"hostile", func(s *Session) {
			s.Subject = Person{Subject: "x", Name: hostileName, Email: "\u202ea\"<b>"}
			s.Actor.Email = hostileName
		},
			"You're impersonating </bdi></template><script>alert(1)</script>evil \U0001F469\u200d\U0001F4BB \"x' onload=\"y (a\"<b>) · you are " +
				"</bdi></template><script>alert(1)</script>evil \U0001F469\u200d\U0001F4BB \"x' onload=\"y · look only · ends 22:58 UTCStop"},
		{"10 KiB", func(s *Session) { s.Subject.Name = long }, "You're impersonating " + long[:maxName] + "… (john@acme.test) · you are ann@acme.test · look only · ends 22:58 UTCStop"},
		{"nothing left of the name", func(s *Session) { s.Subject.Name = "\u200b\u202e\n" }, "You're impersonating john@acme.test · you are ann@acme.test · look only · ends 22:58 UTCStop"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a, s := impersonation()
			c.bend(s)
			got := bannerHTML(a.acting, s)
			if words(got) != c.want {
				t.Errorf("it says %q\nwant %q", words(got), c.want)
			}
			if label := html.UnescapeString(regexp.MustCompile(`aria-label="([^"]*)"`).FindStringSubmatch(got)[1]); !strings.HasPrefix(c.want, label) {
				t.Errorf("its label is %q", label)
			}
		})
	}
}

// TestBannerMarkup: whatever the names, the elements are the same, and the bytes are ASCII.
func TestBannerMarkup(t *testing.T) {
	t.Parallel()
	a, s := impersonation()
	names := regexp.MustCompile(`(aria-label)="[^"]*"`)
	want := strings.Join(tags.FindAllString(names.ReplaceAllString(bannerHTML(a.acting, s), "$1"), -1), "")
	rapid.Check(t, func(t *rapid.T) {
		s := *s
		s.Subject.Name = "J" + rapid.String().Draw(t, "name") + rapid.SampledFrom([]string{"", hostileName}).Draw(t, "more")
		s.Actor.Email = "a" + string(rapid.SliceOf(rapid.Byte()).Draw(t, "email"))
		got := bannerHTML(a.acting, &s)
		if elements := strings.Join(tags.FindAllString(names.ReplaceAllString(got, "$1"), -1), ""); elements != want {
			t.Fatalf("elements are\n%s\nwant\n%s", elements, want)
		}
		if i := strings.IndexFunc(got, func(c rune) bool { return c >= utf8.RuneSelf }); i >= 0 {
			t.Fatalf("not ASCII: %q", got[i:])
		}
	})
}

// TestCleanAlways: one line of limited length comes out, with nothing in it that turns text around.
func TestCleanAlways(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "s") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		s := clean(in)
		if utf8.RuneCountInString(s) > maxName+1 || !utf8.ValidString(s) || s != strings.TrimSpace(s) {
			t.Fatalf("%q", s)
		}
		for _, c := range s {
			if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) || c == '\u200b' {
				t.Fatalf("%q holds %U", s, c)
			}
		}
	})
	for in, want := range map[string]string{
		"Bob Marsh": "Bob Marsh", "  Bob \n\t Marsh ": "Bob Marsh", "Bob  Marsh": "Bob Marsh", "a\u200bb\ufeffc\x00d\u00ade": "abcde", "محمد": "محمد",
		"z" + strings.Repeat("\u0301", 50): "z\u0301\u0301", "\xff": "\ufffd", strings.Repeat("é", 200): strings.Repeat("é", maxName) + "…", "": "",
	} {
		if got := clean(in); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestBannerAndFieldOfARequest(t *testing.T) {
	t.Parallel()
	a, s := impersonation()
	s.ID = `imp_"x`
	v := &visit{app: a, site: a.acting, session: s}
	r := v.into(asking(""))
	if got := FormField(r); got != `<input type="hidden" name="understudy_session" value="imp_&#34;x">` {
		t.Errorf("FormField: %s", got)
	}
	if v.shown {
		t.Error("shown before anybody asked for the banner")
	}
	if got := string(BannerHTML(r.Context())); got != bannerHTML(a.acting, s) || !v.shown {
		t.Errorf("BannerHTML: %s, shown %v", got, v.shown)
	}
	for _, ctx := range []context.Context{context.Background(), (&visit{app: a, site: a.base}).into(asking("")).Context()} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(BannerHTML(ctx)) + string(FormField(r)); got != "" {
			t.Errorf("nobody impersonates, and there is %q", got)
		}
	}
}
