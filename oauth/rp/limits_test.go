package rp_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/rp"
)

// TestAllocations holds what a request may cost; the times are in the benchmarks. Not parallel: it counts for the process.
func TestAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, with which -short runs, empties pools at random")
	}
	app := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") })
	for _, which := range []form{apart, over} {
		h := setup(t, which, nil)
		b := h.ann()
		b.impersonate("john", "read")
		c := h.config
		c.NoStream, c.Recorder = true, yes{} // what is heard and told beside would be counted
		bare, err := rp.New(t.Context(), c)
		h.must(err)
		count := func(handler http.Handler, r *http.Request, cookies string) float64 {
			r.Host = r.URL.Host
			r.Header.Set("Cookie", cookies)
			w := &discard{http.Header{}}
			return testing.AllocsPerRun(200, func() {
				clear(w.h)
				w.h.Set("Content-Type", "text/plain")
				handler.ServeHTTP(w, r)
			})
		}
		acting := b.request(http.MethodGet, h.asUser+"/x", nil)
		none := count(app, acting, "a=b")
		if got := count(bare.Handler(app), acting, cookieHeader(b.cookies(h.asUser))) - none; got > 12 {
			t.Errorf("%s: %v allocations while impersonating, want at most 12", which, got)
		}
		if got := count(bare.Handler(app), b.request(http.MethodGet, h.app+"/x", nil), "theme=dark; session=0123456789") - none; got != 0 {
			t.Errorf("%s: %v allocations without a cookie of ours, want none", which, got)
		}
	}
}

// TestBearerAllocations holds what a request with a token that is known may cost an API.
func TestBearerAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector, with which -short runs, empties pools at random")
	}
	a := newAPI(t, func(c *rp.BearerConfig) { c.Recorder, c.Liveness = yes{}, yes{} })
	bare, err := rp.NewBearer(t.Context(), a.config)
	a.must(err)
	handler := bare.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for what, c := range map[string]struct {
		token string
		most  float64
	}{"own": {a.token(), 4}, "impersonating": {a.acting(), 12}} {
		r, w := a.request(http.MethodGet, "/me", c.token), &discard{http.Header{}}
		if got := testing.AllocsPerRun(200, func() { handler.ServeHTTP(w, r) }); got > c.most {
			t.Errorf("%s: %v allocations, want at most %v", what, got, c.most)
		}
	}
}

// mostNames are 40 for an app, and 20 more for an API.
const mostNames = 60

// TestExportedNames keeps the doors small: all names count, methods and those of interfaces among them.
func TestExportedNames(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	count := func(names ...*ast.Ident) {
		for _, name := range names {
			if name.IsExported() {
				n++
			}
		}
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil || exportedReceiver(d.Recv.List[0].Type) {
					count(d.Name)
				}
			case *ast.GenDecl:
				for _, s := range d.Specs {
					switch s := s.(type) {
					case *ast.ValueSpec:
						count(s.Names...)
					case *ast.TypeSpec:
						count(s.Name)
						if i, ok := s.Type.(*ast.InterfaceType); ok {
							for _, m := range i.Methods.List {
								count(m.Names...)
							}
						}
					}
				}
			}
		}
	}
	if n < 20 || n > mostNames {
		t.Errorf("%d exported names, want at most %d", n, mostNames)
	}
}

func exportedReceiver(e ast.Expr) bool {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	name, ok := e.(*ast.Ident)
	return ok && name.IsExported()
}
