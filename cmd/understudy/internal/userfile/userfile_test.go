package userfile_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/cmd/understudy/internal/userfile"
	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
)

// read gives the rows of text, and what is wrong with the others.
func read(t *testing.T, format userfile.Format, text string) (rows []admin.Row, wrong []string) {
	t.Helper()
	f, err := userfile.Spool(strings.NewReader(text), format)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for row, err := range f.Rows() {
		switch {
		case err != nil:
			wrong = append(wrong, err.Error())
		case row.Unread != nil:
			for _, e := range row.Unread {
				wrong = append(wrong, e.Error())
			}
		default:
			rows = append(rows, row)
		}
	}
	return rows, wrong
}

func TestCSV(t *testing.T) {
	t.Parallel()
	rows, wrong := read(t, userfile.CSV, "\uFEFFID, Email ,name,organisation,groups,roles,enabled,protected,iss,sub,attr.Cost Centre\r\n"+
		"u1,u1@acme.test,\"Doe, \"\"J\"\"\",acme,\"a, b; c\",editor,FALSE,true,https://idp.test,00u1,7\r\n"+
		"\r\n,u2@acme.test,\"two\nlines\",,,,,,,,\r\n")
	want := []admin.Row{
		{Line: 2, ID: "u1", Email: new("u1@acme.test"), Name: new(`Doe, "J"`), Organisation: new("acme"), Groups: &[]string{"a, b", "c"}, Roles: &[]string{"editor"},
			Enabled: new(false), Protected: new(true), Identities: []oauth.Party{{Issuer: "https://idp.test", Subject: "00u1"}}, Attributes: map[string]string{"Cost Centre": "7"}},
		{Line: 4, Email: new("u2@acme.test"), Name: new("two\nlines"), Organisation: new(""), Groups: &[]string{""}, Roles: &[]string{""}, Attributes: map[string]string{"Cost Centre": ""}},
	}
	if diff := cmp.Diff(want, rows); diff != "" || wrong != nil {
		t.Errorf("%q (-want +got):\n%s", wrong, diff)
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	rows, wrong := read(t, userfile.JSON, "\uFEFF"+`{"id":"u1","email":"u1@acme.test","name":"J","organisation":"acme","groups":["a"],"roles":[],"attributes":{"x":"1"},`+
		`"identities":[{"iss":"https://idp.test","sub":"00u1"}],"enabled":false,"protected":true}`+"\r\n\n  "+`{"email":"u2@acme.test","name":null}`)
	want := []admin.Row{
		{Line: 1, ID: "u1", Email: new("u1@acme.test"), Name: new("J"), Organisation: new("acme"), Groups: &[]string{"a"}, Roles: &[]string{}, Enabled: new(false), Protected: new(true),
			Identities: []oauth.Party{{Issuer: "https://idp.test", Subject: "00u1"}}, Attributes: map[string]string{"x": "1"}},
		{Line: 3, Email: new("u2@acme.test")},
	}
	if diff := cmp.Diff(want, rows); diff != "" || wrong != nil {
		t.Errorf("%q (-want +got):\n%s", wrong, diff)
	}
}

// What is wrong is told by line and column, without what stands there, and the rows around it are read.
func TestWrong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1<<20)
	for _, tt := range []struct {
		name   string
		format userfile.Format
		text   string
		rows   int
		want   string // a part of the one error
	}{
		{"nothing", userfile.CSV, "", 0, "the file is empty"},
		{"a column that there is not", userfile.CSV, "id,Passwort\n1,s3cret\n", 0, "line 1: passwort: is no column (columns: id, email,"},
		{"a column of a password", userfile.CSV, "id,password\n1,s3cret\n", 0, "line 1: password: is no column"},
		{"a column twice", userfile.CSV, "id,ID\n1,2\n", 0, "line 1: id: is there twice"},
		{"a column without a name", userfile.CSV, "id,\n1,2\n", 0, "line 1: column 2: has no name"},
		{"an attribute without a name", userfile.CSV, "id,attr.\n1,2\n", 0, "line 1: attr.: is no column"},
		{"half an identity", userfile.CSV, "id,iss\n1,2\n", 0, "line 1: iss: and sub must both be there"},
		{"nothing to find anybody by", userfile.CSV, "name\nx\n", 0, "line 1: id: or email must be there"},
		{"too few cells", userfile.CSV, "id,name\n1,a\ns3cret\n2,b\n", 2, "line 3: must have as many cells as the first line"},
		{"a quote in the middle", userfile.CSV, "id,name\n1,a\n2,s3\"cret\n3,b\n", 2, "line 3: a cell with a quote"},
		{"a quote left open", userfile.CSV, "id,name\n1,a\n2,\"s3cret\n3,b\n", 1, "line 3: a cell with a quote"},
		{"no yes and no no", userfile.CSV, "id,enabled\n1,s3cret\n2,0\n", 1, "line 2: enabled: must be true or false"},
		{"a row too long", userfile.CSV, "id,name\n1,a\n2,\"" + long + long + "\n", 1, "line 2: the row after this one must have at most 1048576 bytes"},
		{"a header too long", userfile.CSV, long + long, 0, "line 1: must have at most 1048576 bytes"},
		{"no JSON", userfile.JSON, `{"id":"1"}` + "\ns3cret\n" + `{"id":"2"}`, 2, "line 2: must be a JSON object, one on each line"},
		{"an array", userfile.JSON, `[{"id":"s3cret"}]`, 0, "line 1: must be a JSON object, one on each line"},
		{"half an object", userfile.JSON, `{"id":"s3cret"`, 0, "line 1: must be a JSON object"},
		{"two on a line", userfile.JSON, `{"id":"s3cret"}{"id":"2"}`, 0, "line 1: must be a JSON object, one on each line"},
		{"another type", userfile.JSON, `{"id":"1","name":1234}`, 0, "line 1: name: must be a string, not number"},
		{"no list", userfile.JSON, `{"id":"1","groups":"s3cret"}`, 0, "line 1: groups: must be an array, not string"},
		{"no object", userfile.JSON, `{"id":"1","attributes":["s3cret"]}`, 0, "line 1: attributes: must be an object, not array"},
		{"no yes", userfile.JSON, `{"id":"1","enabled":"s3cret"}`, 0, "line 1: enabled: must be true or false, not string"},
		{"a type deep within", userfile.JSON, `{"id":"1","identities":[{"iss":1}]}`, 0, "line 1: identities.iss: must be a string, not number"},
		{"a member that there is not", userfile.JSON, `{"id":"1","password_hash":"s3cret"}`, 0, "line 1: password_hash: is no column"},
		{"a member in another case", userfile.JSON, `{"id":"1","name":"a","Name":"s3cret"}`, 0, "line 1: name: must be written so, in lower case"},
		{"roles in another case", userfile.JSON, `{"id":"1","ROLES":["s3cret"]}`, 0, "line 1: roles: must be written so, in lower case"},
		{"a letter that folds to one", userfile.JSON, `{"id":"1","role\u017f":["s3cret"]}`, 0, "line 1: roles: must be written so, in lower case"},
		{"an issuer in another case", userfile.JSON, `{"id":"1","identities":[{"iss":"a","SUB":"s3cret"}]}`, 0, "line 1: sub: must be written so"},
		{"a member twice", userfile.JSON, `{"id":"1","id":"s3cret"}`, 0, "line 1: id: is there twice"},
		{"an attribute twice", userfile.JSON, `{"id":"1","attributes":{"a":"1","a":"s3cret"}}`, 0, "line 1: attributes.a: is there twice"},
		{"a sub twice", userfile.JSON, `{"id":"1","identities":[{"iss":"a","sub":"b"},{"iss":"c","sub":"d","sub":"s3cret"}]}`, 0, "line 1: identities.sub: is there twice"},
		{"bytes that are no UTF-8", userfile.JSON, `{"id":"1","name":"J` + "\xf6" + `rg s3cret"}` + "\n" + `{"id":"2"}`, 1, "line 1: must be UTF-8: save the file"},
		{"half a pair", userfile.JSON, `{"id":"1","name":"s3cret\ud800"}`, 0, "line 1: name: has U+FFFD"},
		{"Latin-1", userfile.CSV, "id,name\n1,a\n2,J\xf6rg s3cret\n3,b\n", 2, "line 3: name: must be UTF-8: save the file"},
		{"a header in Latin-1", userfile.CSV, "id,attr.Gr\xf6sse\n1,s3cret\n", 0, "line 1: must be UTF-8"},
		{"UTF-16", userfile.CSV, "\xff\xfei\x00d\x00\n\x001\x00", 0, "line 1: must be UTF-8"},
		{"a character that was lost", userfile.CSV, "id,name\n1,s3cret\ufffd\n", 0, "line 2: name: has U+FFFD"},
		{"a line too long", userfile.JSON, `{"id":"1"}` + "\n" + `{"id":"` + long + `"}`, 1, "line 2: must have at most 1048576 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rows, wrong := read(t, tt.format, tt.text)
			if len(wrong) != 1 || !strings.HasPrefix(wrong[0], tt.want) || strings.Contains(wrong[0], "s3cret") || len(rows) != tt.rows {
				t.Errorf("got %d rows and %.200q, want %d and only %q", len(rows), wrong, tt.rows, tt.want)
			}
		})
	}
}

// TestWrongTwice: all parts of a row that cannot be read are told at once, each column once.
func TestWrongTwice(t *testing.T) {
	t.Parallel()
	many := strings.Repeat(",attr.x", 30)
	for n := range 30 {
		many = strings.Replace(many, "attr.x,", fmt.Sprintf("attr.y%d,", n), 1)
	}
	for _, tt := range []struct {
		format userfile.Format
		text   string
		want   []string
	}{
		{userfile.CSV, "id,name,enabled,protected\n1,J\xf6rg,maybe,perhaps\n", []string{"line 2: name", "line 2: enabled", "line 2: protected"}},
		{userfile.JSON, `{"ID":"s3cret","ids":[1],"name":1,"name":2,"enabled":"x","groups":["a",1],"identities":[{"iss":1,"SUB":"x"}],"attributes":{"a":"1","a":"2"}}`,
			[]string{"line 1: attributes.a", "line 1: enabled", "line 1: groups", "line 1: id", "line 1: identities.iss", "line 1: ids", "line 1: name", "line 1: sub"}},
		{userfile.CSV, "id" + many + "\n1" + strings.Repeat(",\xf6", 30) + "\n", slices.Repeat([]string{"line 2: attr."}, 20)},
	} {
		rows, wrong := read(t, tt.format, tt.text)
		ok := len(rows) == 0 && len(wrong) == len(tt.want)
		for n := range min(len(wrong), len(tt.want)) {
			ok = ok && strings.HasPrefix(wrong[n], tt.want[n]) && !strings.Contains(wrong[n], "s3cret")
		}
		if !ok {
			t.Errorf("got %d rows and %q, want only %q", len(rows), wrong, tt.want)
		}
	}
}

func TestColumn(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"email": {"email", "email"}, "identities": {"iss, sub", "identities"}, "identities.iss": {"iss", "identities.iss"}, "identities.sub": {"sub", "identities.sub"},
		"attributes.Cost Centre": {"attr.Cost Centre", "attributes.Cost Centre"}, "attributes": {"attr.", "attributes"},
	} {
		for n, format := range []userfile.Format{userfile.CSV, userfile.JSON} {
			f, err := userfile.Spool(strings.NewReader(""), format)
			if err != nil {
				t.Fatal(err)
			}
			if got := f.Column(name); got != want[n] {
				t.Errorf("%s in %s: got %q, want %q", name, format, got, want[n])
			}
			f.Close()
		}
	}
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]userfile.Format{"a.csv": userfile.CSV, "A.CSV": userfile.CSV, "x/a.jsonl": userfile.JSON, "a.ndjson": userfile.JSON, "a.json": userfile.JSON, "a": "", "-": "", "a.xlsx": ""} {
		if got := userfile.FormatOf(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// A file is read from the first row on each time, and one that cannot be is an error.
func TestOpen(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "a.csv")
	if err := os.WriteFile(name, []byte("id\n1\n2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := userfile.Open(name, userfile.CSV)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		n := 0
		for row, err := range f.Rows() {
			if n++; err != nil || row.Line != n+1 {
				t.Errorf("got %+v, %v, want row %d", row, err, n)
			}
			if n == 1 {
				continue
			}
			break // in the middle
		}
		if n != 2 {
			t.Errorf("got %d rows, want 2", n)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range f.Rows() {
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("closed: got %v", err)
		}
	}
	for _, name := range []string{filepath.Join(t.TempDir(), "none.csv"), t.TempDir()} {
		if f, err := userfile.Open(name, userfile.CSV); err == nil {
			t.Errorf("%s: got %v, want an error", name, f)
		}
	}
	if _, err := userfile.Spool(failing{}, userfile.CSV); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a pipe that breaks: got %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
