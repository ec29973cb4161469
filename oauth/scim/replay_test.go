package scim_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the answers of testdata anew")

// TestReplay plays what Okta and Entra send, by their public documentation, file by file in the order of their names, and compares the
// answers. In the files an id stands as <user 1>, in the order in which ids were seen, a time as <time> and a version as <version>.
func TestReplay(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"okta", "entra"} {
		t.Run(source, func(t *testing.T) {
			onBoth(t, func(t *testing.T, h *house) {
				files, err := filepath.Glob("testdata/" + source + "/*.txt")
				h.ok(err)
				if len(files) < 10 {
					t.Fatalf("found %d files", len(files))
				}
				r := replay{house: h, source: source, names: map[string]string{}}
				for _, file := range files {
					r.play(file)
				}
			})
		})
	}
}

type replay struct {
	*house
	source string
	names  map[string]string // of ids: "usr_…" to "<user 1>"
}

func (r *replay) play(file string) {
	r.Helper()
	a, err := txtar.ParseFile(file)
	r.ok(err)
	if len(a.Files) != 2 || a.Files[0].Name != "request" || a.Files[1].Name != "answer" {
		r.Fatalf("%s: want a request and an answer", file)
	}
	line, body, _ := strings.Cut(r.withIDs(string(a.Files[0].Data)), "\n")
	method, path, _ := strings.Cut(line, " ")
	path, query, _ := strings.Cut(path, "?")
	if query != "" {
		values, err := url.ParseQuery(query)
		r.ok(err)
		path += "?" + values.Encode()
	}
	got := r.answer(r.do(r.source, method, strings.TrimPrefix(path, "/scim/v2/"), strings.TrimSpace(body)))
	if want := string(a.Files[1].Data); got != want && *update {
		a.Files[1].Data = []byte(got)
		r.ok(os.WriteFile(file, txtar.Format(a), 0o644))
	} else if got != want {
		r.Errorf("%s (-want +got):\n%s", file, cmp.Diff(want, got))
	}
}

// withIDs puts the ids of this run for their names.
func (r *replay) withIDs(text string) string {
	for id, name := range r.names {
		text = strings.ReplaceAll(text, name, id)
	}
	return text
}

var (
	anID      = regexp.MustCompile(`(usr|grp)_[a-z2-7]{26}`)
	aTime     = regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`)
	aVersion  = regexp.MustCompile(`W/\\?"[0-9a-z]+\\?"`)
	kindNames = map[string]string{"usr": "user", "grp": "group"}
)

func (r *replay) answer(a reply) string {
	var out bytes.Buffer
	fmt.Fprintln(&out, a.status)
	for _, name := range []string{"Location", "ETag"} {
		if v := a.header.Get(name); v != "" {
			fmt.Fprintf(&out, "%s: %s\n", name, v)
		}
	}
	if a.body != "" {
		r.sortMembers(a.json)
		body, err := json.MarshalIndent(a.json, "", "  ")
		r.ok(err)
		fmt.Fprintf(&out, "%s\n", body)
	}
	text := aVersion.ReplaceAllString(aTime.ReplaceAllString(out.String(), `"<time>"`), "<version>")
	return anID.ReplaceAllStringFunc(text, r.nameOf)
}

// sortMembers puts members, which come by their ids, in the order of their names here: ids are random.
func (r *replay) sortMembers(resource map[string]any) {
	members, _ := resource["members"].([]any)
	slices.SortFunc(members, func(a, b any) int {
		return strings.Compare(r.names[a.(map[string]any)["value"].(string)], r.names[b.(map[string]any)["value"].(string)])
	})
	list, _ := resource["Resources"].([]any)
	for _, each := range list {
		r.sortMembers(each.(map[string]any))
	}
}

func (r *replay) nameOf(id string) string {
	if r.names[id] == "" {
		kind, n := kindNames[id[:3]], 1
		for other := range r.names {
			if other[:3] == id[:3] {
				n++
			}
		}
		r.names[id] = "<" + kind + " " + strconv.Itoa(n) + ">"
	}
	return r.names[id]
}
