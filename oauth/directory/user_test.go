package directory_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/understudy-id/understudy/oauth/directory"
)

func TestNormalEmail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{ // want "": refused
		{"john@acme.test", "john@acme.test"},
		{" \tJohn@ACME.test\n", "john@acme.test"},
		{"É@acme.test", "é@acme.test"},
		{strings.Repeat("x", directory.MaxEmail-2) + "@y", strings.Repeat("x", directory.MaxEmail-2) + "@y"},
		{strings.Repeat("x", directory.MaxEmail-1) + "@y", ""},
		{"", ""},
		{"john", ""},
		{"@acme.test", ""},
		{"john@", ""},
		{"john@acme@test", ""},
		{"jo hn@acme.test", ""},
		{"jo\u00a0hn@acme.test", ""},
		{"jo\x00hn@acme.test", ""},
		{"jo\r\nhn@acme.test", ""},
		{"jo\u202ehn@acme.test", ""},
		{"jo\xffhn@acme.test", ""},
	} {
		got, err := directory.NormalEmail(tt.in)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("NormalEmail(%q): got %q, %v, want %q", tt.in, got, err, tt.want)
		}
	}
}

// A second pass must change nothing: an address that is stored is normalised again when it is looked up.
func TestNormalEmailIsStable(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.StringN(1, 9, -1).Draw(t, "local") + "@" + rapid.StringN(1, 9, -1).Draw(t, "domain")
		once, err := directory.NormalEmail(in)
		if err != nil {
			return
		}
		if twice, err := directory.NormalEmail(once); twice != once || err != nil {
			t.Fatalf("NormalEmail(%q): got %q, %v, want no change", once, twice, err)
		}
	})
}

func TestNewID(t *testing.T) {
	t.Parallel()
	a, b := directory.NewID(), directory.NewID()
	if !regexp.MustCompile(`^usr_[a-z2-7]{26}$`).MatchString(a) || a == b {
		t.Errorf("NewID: got %q and %q, want two of usr_ and 26 characters of base32", a, b)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 256)
	for _, tt := range []struct {
		name string
		edit func(*directory.User)
		want string // the field; "" for valid
	}{
		{"as it is", func(*directory.User) {}, ""},
		{"only what is required", func(u *directory.User) { *u = directory.User{ID: "1", Email: "a@b"} }, ""},
		{"longest name", func(u *directory.User) { u.Name = strings.Repeat("é", directory.MaxName) }, ""},
		{"name with a joiner", func(u *directory.User) { u.Name = "می\u200cخواهم" }, ""},
		{"no id", func(u *directory.User) { u.ID = "" }, "id:"},
		{"long id", func(u *directory.User) { u.ID = long }, "id:"},
		{"id with a space", func(u *directory.User) { u.ID = "a b" }, "id:"},
		{"id of a client", func(u *directory.User) { u.ID = "client:app" }, "id:"},
		{"id of the command line", func(u *directory.User) { u.ID = "cli" }, "id:"},
		{"id of a source", func(u *directory.User) { u.ID = "scim:okta" }, "id:"},
		{"id that is not ASCII", func(u *directory.User) { u.ID = "é" }, "id:"},
		{"no e-mail", func(u *directory.User) { u.Email = "" }, "email:"},
		{"e-mail in upper case", func(u *directory.User) { u.Email = "John@acme.test" }, "email:"},
		{"long name", func(u *directory.User) { u.Name = strings.Repeat("é", directory.MaxName+1) }, "name:"},
		{"name with a newline", func(u *directory.User) { u.Name = "John\nDoe" }, "name:"},
		{"name that runs backwards", func(u *directory.User) { u.Name = "\u202eeoD nhoJ" }, "name:"},
		{"name with a line separator", func(u *directory.User) { u.Name = "John\u2028Doe" }, "name:"},
		{"name that is not UTF-8", func(u *directory.User) { u.Name = "\xff" }, "name:"},
		{"long organisation", func(u *directory.User) { u.Organisation = long }, "organisation:"},
		{"organisation with space before it", func(u *directory.User) { u.Organisation = " acme" }, "organisation:"},
		{"organisation with space behind it", func(u *directory.User) { u.Organisation = "acme\u00a0" }, "organisation:"},
		{"organisation with space within", func(u *directory.User) { u.Organisation = "acme labs" }, ""},
		{"group with space around it", func(u *directory.User) { u.Groups = []string{"a "} }, "groups:"},
		{"role with space around it", func(u *directory.User) { u.Roles = []string{" a"} }, "roles:"},
		{"empty group", func(u *directory.User) { u.Groups = []string{"a", ""} }, "groups:"},
		{"role with control", func(u *directory.User) { u.Roles = []string{"a\x00"} }, "roles:"},
		{"disabled by a source", func(u *directory.User) { u.DisabledBy = "scim:okta" }, ""},
		{"disabled by what is no name", func(u *directory.User) { u.DisabledBy = "a " }, "disabled_by:"},
		{"enabled and disabled by a source", func(u *directory.User) { u.Enabled, u.DisabledBy = true, "scim:okta" }, "disabled_by:"},
		{"attribute without a name", func(u *directory.User) { u.Attributes = map[string]string{"": "x"} }, "attributes:"},
		{"attribute with control", func(u *directory.User) { u.Attributes = map[string]string{"a": "\x1b"} }, "attributes:"},
		{"long attribute", func(u *directory.User) { u.Attributes = map[string]string{"a": strings.Repeat("x", 1025)} }, "attributes:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := directory.User{
				ID: directory.NewID(), Email: "john@acme.test", Name: "John Doe", Organisation: "acme",
				Groups: []string{"sales"}, Roles: []string{"tester"}, Attributes: map[string]string{"city": "Zürich"},
			}
			tt.edit(&u)
			err := u.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("Validate: got %v, want an error of %q", err, tt.want)
			}
		})
	}
}
