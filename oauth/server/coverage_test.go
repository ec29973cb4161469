package server_test

import (
	"cmp"
	"encoding/csv"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/requirements.golden anew")

// TestRequirements holds the tests of the whole repository to testdata/requirements.csv, which has what the standards ask of an
// authorization server, of an app behind rp.App and of an API behind rp.Bearer, one row a requirement: each is covered by a test that says so in its doc comment, no test covers what is no
// requirement, and none that covers something may skip itself. The golden file is the list for readers.
func TestRequirements(t *testing.T) {
	t.Parallel()
	known := requirementIDs(t)
	covered := coverage(t)
	var golden strings.Builder
	for _, id := range known {
		if len(covered[id]) == 0 {
			t.Errorf("%s: no test says that it covers it", id)
		}
		fmt.Fprintf(&golden, "%s %s\n", id, strings.Join(covered[id], " "))
	}
	for _, id := range slices.Sorted(maps.Keys(covered)) {
		if !slices.Contains(known, id) {
			t.Errorf("%s: %v cover it, and it is not in requirements.csv", id, covered[id])
		}
	}
	const file = "testdata/requirements.golden"
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if on, err := os.ReadFile(file); err != nil || string(on) != golden.String() {
		t.Errorf("%s is not what the tests say (%v); go test ./oauth/server -run TestRequirements -update writes it", file, err)
	}
}

// requirementIDs are the ids, in the order of the file, each once.
func requirementIDs(t *testing.T) (ids []string) {
	t.Helper()
	f, err := os.Open("testdata/requirements.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows[1:] {
		if slices.Contains(ids, row[0]) {
			t.Errorf("%s stands there twice", row[0])
		}
		ids = append(ids, row[0])
	}
	return ids
}

// coverage gives the tests that cover each requirement, as directory and name, sorted.
func coverage(t *testing.T) map[string][]string {
	t.Helper()
	covered := make(map[string][]string)
	eachTest(t, func(name string, f *ast.FuncDecl) {
		for _, id := range covers(f.Doc.Text()) {
			if skips(f) {
				t.Errorf("%s covers %s, and may skip itself", name, id)
			}
			covered[id] = append(covered[id], name)
		}
	})
	for id, names := range covered {
		slices.SortFunc(names, cmp.Compare[string])
		covered[id] = slices.Compact(names)
	}
	return covered
}

// eachTest calls f with each test of the whole repository, named by its directory.
func eachTest(t *testing.T, f func(name string, test *ast.FuncDecl)) {
	t.Helper()
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".") && path != root):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		for _, decl := range file.Decls {
			if test, ok := decl.(*ast.FuncDecl); ok && isTest(test) {
				f(filepath.ToSlash(dir)+"."+test.Name.Name, test)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func isTest(f *ast.FuncDecl) bool {
	return f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz"))
}

var (
	coversLine = regexp.MustCompile(`(?m)^Covers ([A-Z][\w.-]+(?:,\s[A-Z][\w.-]+)*)[,.]$`)
	someID     = regexp.MustCompile(`[A-Z][A-Za-z0-9]*-[A-Za-z0-9.-]*[A-Za-z0-9]`)
)

// covers reads lines such as "Covers RFC8693-2.1-04, RFC8693-2.1-06." of a doc comment.
func covers(doc string) (ids []string) {
	for _, line := range coversLine.FindAllStringSubmatch(doc, -1) {
		ids = append(ids, someID.FindAllString(line[1], -1)...)
	}
	return ids
}

// skips reports whether the test itself calls Skip, Skipf or SkipNow.
func skips(f *ast.FuncDecl) (found bool) {
	ast.Inspect(f.Body, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok && strings.HasPrefix(sel.Sel.Name, "Skip") && sel.Sel.Name != "SkipDir" {
			found = true
		}
		return true
	})
	return found
}
