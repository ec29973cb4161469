package userfile_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/understudy-id/understudy/cmd/understudy/internal/userfile"
	"github.com/understudy-id/understudy/oauth/admin"
)

// FuzzRows: whatever a file is, its rows come in order, hold UTF-8 alone, and give another file the same rows; what is wrong is told by its
// line, a column once.
func FuzzRows(f *testing.F) {
	for _, seed := range []string{"id,name\n1,a\n", "\uFEFFemail,groups,attr.x\r\na@x,\"b; c\",1\r\n", `{"id":"1","roles":["a"]}`, `{"id":"1","Name":"x"}`,
		`{"attributes":{"a":"1"},"identities":[{"iss":"i","sub":"s"}],"enabled":true}` + "\n\n" + `{"email":null}`, "id,name\n\xf6,\"", `{"id":"\ud800"}`} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, text string, csv bool) {
		format := userfile.JSON
		if csv {
			format = userfile.CSV
		}
		file, err := userfile.Spool(strings.NewReader(text), format)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		last, lines := 0, strings.Count(text, "\n")+1
		for row, err := range file.Rows() {
			if bad := new(admin.RowError); errors.As(err, &bad) && (bad.Line < 1 || bad.Line > lines) {
				t.Fatalf("got an error on line %d of %d", bad.Line, lines)
			}
			if err != nil {
				continue
			}
			if row.Line <= last || row.Line > lines {
				t.Fatalf("got line %d after %d, of %d", row.Line, last, lines)
			}
			last = row.Line
			columns := map[string]bool{}
			for _, e := range row.Unread {
				if columns[e.Column] || e.Line != row.Line || len(row.Unread) > 20 {
					t.Fatalf("got %v of a row on line %d, %d in all", e, row.Line, len(row.Unread))
				}
				columns[e.Column] = true
			}
			if row.Unread != nil {
				continue
			}
			again, err := json.Marshal(row)
			if err != nil || !utf8.Valid(again) || strings.Contains(string(again), `\ufffd`) || strings.ContainsRune(string(again), utf8.RuneError) {
				t.Fatalf("got a row with what is no text: %s, %v", again, err)
			}
		}
	})
}
