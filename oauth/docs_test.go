package oauth_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEverythingIsDocumented: each package has a doc comment that says more than its name, and each exported name and method a
// comment of its own or its group's.
func TestEverythingIsDocumented(t *testing.T) {
	t.Parallel()
	dirs := packages(t, "..")
	if len(dirs) < 10 {
		t.Fatalf("found %d packages; the walk is broken", len(dirs))
	}
	for _, dir := range dirs {
		t.Run(dir, func(t *testing.T) {
			t.Parallel()
			p := parse(t, dir)
			if len(strings.Fields(p.Doc)) < 12 {
				t.Errorf("the package comment is %q; want what it is, which names to use first, what it will not do", p.Doc)
			}
			if p.Name == "main" {
				return
			}
			for _, name := range undocumented(p) {
				t.Errorf("%s has no comment", name)
			}
		})
	}
}

// packages gives the directories below root that hold Go code which is not only tests, leaving out nested modules and testdata.
func packages(t *testing.T, root string) []string {
	var dirs []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); name == "testdata" || strings.HasPrefix(name, ".") && path != root {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != root {
			return fs.SkipDir
		}
		files, err := filepath.Glob(filepath.Join(path, "*.go"))
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") {
				dirs = append(dirs, path)
				break
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func parse(t *testing.T, dir string) *doc.Package {
	t.Helper()
	set := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	p, err := doc.NewFromFiles(set, files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func undocumented(p *doc.Package) (names []string) {
	values := func(vs []*doc.Value) {
		for _, v := range vs {
			for _, s := range v.Decl.Specs {
				if s := s.(*ast.ValueSpec); v.Doc == "" && s.Doc == nil && s.Comment == nil && ast.IsExported(s.Names[0].Name) {
					names = append(names, s.Names[0].Name)
				}
			}
		}
	}
	funcs := func(in string, fs []*doc.Func) {
		for _, f := range fs {
			if f.Doc == "" {
				names = append(names, in+f.Name)
			}
		}
	}
	values(p.Consts)
	values(p.Vars)
	funcs("", p.Funcs)
	for _, typ := range p.Types {
		if typ.Doc == "" {
			names = append(names, typ.Name)
		}
		values(typ.Consts)
		values(typ.Vars)
		funcs("", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
	}
	return names
}
