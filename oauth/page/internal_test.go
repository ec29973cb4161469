package page

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Bob Marsh":                        "Bob Marsh",
		"  Bob \n\t Marsh ":                "Bob Marsh",
		"Bob\u202eMarsh\u2069":             "BobMarsh",
		"a\u200bb\ufeffc\x00d\u00ade":      "abcde",
		"\U0001F469\u200d\U0001F4BB":       "\U0001F469\u200d\U0001F4BB",
		"محمد":                             "محمد",
		"z" + strings.Repeat("\u0301", 50): "z\u0301\u0301",
		"\xff":                             "\ufffd",
		strings.Repeat("é", 200):           strings.Repeat("é", maxName) + "…",
		"":                                 "",
	} {
		if got := clean(in, maxName); got != want {
			t.Errorf("clean(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestCleanAlways: whatever comes in, one line of limited length comes out, with nothing in it that turns text around.
func TestCleanAlways(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := clean(rapid.String().Draw(t, "s")+string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")), 20)
		if utf8.RuneCountInString(s) > 21 || !utf8.ValidString(s) {
			t.Fatalf("%q", s)
		}
		for _, c := range s {
			if unicode.IsControl(c) || unicode.Is(unicode.Bidi_Control, c) {
				t.Fatalf("%q holds %U", s, c)
			}
		}
	})
}

func TestInitials(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"Bob Marsh": "BM", "Ana de la Cruz": "AC", "ann@acme.test": "AT", "Éva": "É", "'; --": "?", "": "?"} {
		if got := initials(in); got != want {
			t.Errorf("initials(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"https://app.example/cb?x=1":  "https://app.example",
		"http://127.0.0.1:8080/":      "http://127.0.0.1:8080",
		"http://[::1]:8080/":          "http://[::1]:8080",
		"":                            "",
		"app:/cb":                     "",
		"javascript:alert(1)":         "",
		"https:///cb":                 "",
		"https://app.example@evil/":   "",
		"https://a;script-src *.evil": "",
		"https://a,b.example/":        "",
	} {
		if got := origin(in); got != want {
			t.Errorf("origin(%q) = %q, want %q", in, got, want)
		}
	}
}

// TestMessages holds that each message is used and each use has one.
func TestMessages(t *testing.T) {
	t.Parallel()
	used := make(map[string]bool)
	collect := func(text, pattern string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
			used[m[1]] = true
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range sources {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if f != "messages.go" && !strings.HasSuffix(f, "_test.go") {
			collect(string(b), `\b(?:text|markup|say)\("([a-z0-9.]+)"[,)]`)
			collect(string(b), `\bplural\([^"]*"([a-z0-9.]+)"`)
			collect(string(b), `\bplural\([^"]*"[a-z0-9.]+", "([a-z0-9.]+)"`)
		}
	}
	files, err := templateFiles.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		b, err := templateFiles.ReadFile("templates/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		collect(string(b), `\b(?:t|plain) "([a-z0-9.]+)"`)
		words := regexp.MustCompile(`\{\{[^}]*\}\}|<[^>]*>|&[a-z]+;`).ReplaceAllString(string(b), "")
		if s := strings.Trim(words, " \n·–,"); s != "" {
			t.Errorf("%s has words of its own: %q", f.Name(), s)
		}
	}
	for key := range used {
		if _, ok := messages[key]; !ok {
			t.Errorf("no message %q", key)
		}
	}
	made := regexp.MustCompile(`^(status|text)\.\d+$|^ask\.(read|write)(\.hint)?$|^(kind|end|mode|why)\.|^upstream\.[a-z]+(\.title)?$`) // keys that are put together
	for key := range messages {
		if !used[key] && !made.MatchString(key) {
			t.Errorf("nothing says %q", key)
		}
	}
}
