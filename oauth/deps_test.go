package oauth_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/understudy-id/understudy/"

// mayImport states what each package may import directly, beside the standard library: of ours, and from outside.
// Paths of ours are relative to the module. A path from outside allows what is below it too. "all" allows every one of ours.
//
// Do not widen a line to make a build pass: say first why the arrow should point there.
var mayImport = []struct{ pkg, ours, outside string }{
	{"oauth", "", ""},
	{"oauth/audit", "oauth", ""},
	{"oauth/policy", "oauth", ""},
	{"oauth/directory", "oauth", ""},
	{"oauth/impersonation", "oauth oauth/audit oauth/policy oauth/directory", ""},
	{"oauth/tokens", "oauth oauth/internal/seal", "github.com/go-jose/go-jose/v4 github.com/golang-jwt/jwt/v5"},
	{"oauth/tokenexchange", "oauth", "github.com/ory/fosite"},

	{"oauth/store", "oauth oauth/audit oauth/directory oauth/impersonation oauth/policy", ""},
	{"oauth/store/sqlite", "migrations oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/store", "modernc.org/sqlite"},
	{"oauth/store/postgres", "migrations oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/store", "github.com/jackc/pgx/v5"},
	{"oauth/store/transfer", "migrations oauth oauth/audit oauth/store oauth/store/postgres oauth/store/sqlite oauth/tokens oauth/internal/seal oauth/internal/totp",
		"github.com/jackc/pgx/v5"}, // it reads and writes tables: no store gives or takes a row as it is
	{"oauth/store/postgrestest", "migrations", "github.com/jackc/pgx/v5"},
	{"oauth/store/storetest", "oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/store",
		"github.com/google/go-cmp pgregory.net/rapid go.uber.org/goleak"},
	{"migrations", "", "github.com/pressly/goose/v3"},

	{"oauth/upstream", "oauth oauth/tokens oauth/internal/outbound", "github.com/coreos/go-oidc/v3 golang.org/x/oauth2"},

	{"oauth/page", "oauth oauth/audit oauth/directory oauth/impersonation oauth/internal/form oauth/internal/seal oauth/policy", ""},
	{"oauth/admin", "oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/scim oauth/store oauth/tokens " +
		"oauth/internal/password oauth/internal/seal oauth/internal/totp", ""},
	{"oauth/scim", "oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/store oauth/internal/pace", ""},
	{"oauth/server", "oauth oauth/audit oauth/directory oauth/impersonation oauth/page oauth/policy oauth/scim oauth/ssf oauth/store oauth/tokenexchange oauth/tokens oauth/upstream " +
		"oauth/internal/actions oauth/internal/form oauth/internal/outbound oauth/internal/pace oauth/internal/password oauth/internal/seal oauth/internal/totp oauth/internal/vouch",
		"github.com/ory/fosite golang.org/x/sync golang.org/x/time"},

	{"oauth/plugin", "oauth oauth/audit oauth/directory oauth/impersonation oauth/page oauth/policy oauth/store oauth/tokenexchange " +
		"oauth/internal/actions oauth/internal/form oauth/internal/pace oauth/internal/seal oauth/internal/vouch", "github.com/ory/fosite"},

	{"oauth/ssf", "oauth", ""},

	{"oauth/browsertest", "", "github.com/chromedp"},
	{"oauth/internal/form", "", ""},
	{"oauth/internal/outbound", "", ""},
	{"oauth/internal/seal", "", ""},
	{"oauth/internal/spool", "", ""},
	{"oauth/internal/password", "", "golang.org/x/crypto"},
	{"oauth/internal/totp", "", "github.com/pquerna/otp"},
	{"oauth/internal/vouch", "", "golang.org/x/sync"},
	{"oauth/internal/pace", "", "golang.org/x/time"},
	{"oauth/internal/actions", "oauth/impersonation oauth/internal/form", ""},
	{"oauth/internal/chaos", "oauth oauth/audit oauth/directory oauth/impersonation oauth/policy oauth/store oauth/store/sqlite", ""},
	{"oauth/internal/load", "oauth oauth/directory oauth/impersonation oauth/internal/chaos oauth/policy oauth/server oauth/store oauth/store/postgres " +
		"oauth/store/postgrestest oauth/store/sqlite", "github.com/jackc/pgx/v5"},

	{"oauth/rp", "oauth oauth/ssf oauth/tokens oauth/internal/seal oauth/internal/spool", ""}, // one strict reader of JWTs, not two: it costs go-jose, and no network
	{"oauth/rp/rptest", "oauth oauth/rp", ""},
	{"conformance", "conformance/internal/jws", "golang.org/x/net"}, // its html reads the pages of other people's servers
	{"conformance/internal/faulty", "", ""},                         // a server written anew: a mistake that it shared with another would find nothing
	{"conformance/internal/findings", "conformance", ""},
	{"conformance/internal/jws", "", ""},     // reads what servers sign: see faulty
	{"conformance/internal/meddler", "", ""}, // knows the clauses, and not what the cases look at
	{"cmd/understudy-conformance", "conformance", "github.com/spf13 go.yaml.in/yaml/v3"},
	{"cmd/understudy", "all", "github.com/spf13 go.yaml.in/yaml/v3 golang.org/x/sys"},
	{"cmd/understudy/internal/config", "all", "go.yaml.in/yaml/v3"},
	{"cmd/understudy/internal/acme", "oauth/rp", "modernc.org/sqlite"}, // what a stranger's app would
	{"cmd/understudy/internal/demo", "all", "github.com/pquerna/otp"},
	{"cmd/understudy/internal/userfile", "oauth oauth/admin", ""},
}

// walls states what a package must not reach by any way through packages of ours, and why. Each name stands for what is below it too.
var walls = []struct{ pkg, never, why string }{
	{"oauth", "net/http database/sql", "it is the vocabulary: a relying app, an auditor and a fosite provider all link it"},
	{"oauth/audit", "net/http database/sql github.com/ory oauth/store oauth/server", "an auditor links only this, to verify offline"},
	{"oauth/policy", "net/http database/sql github.com/ory", "rules that are values can be tested in microseconds"},
	{"oauth/directory", "net/http database/sql github.com/ory oauth/policy", "it says who there is, not what they may do"},
	{"oauth/impersonation", "net/http database/sql github.com/ory oauth/store", "the same, and the store is whatever keeps its small interface"},
	{"oauth/tokens", "database/sql github.com/ory", "what we sign and accept must not change with a framework"},
	{"oauth/tokens", "net/http", "no header of a token can make it fetch anything: not jku, not x5u"},
	{"oauth/tokenexchange", "oauth/impersonation oauth/policy oauth/audit oauth/store oauth/server oauth/page database/sql", "anyone with a fosite provider can use it"},
	{"oauth/upstream", "github.com/ory oauth/store oauth/server oauth/page oauth/impersonation oauth/policy oauth/directory oauth/audit database/sql",
		"it tells what others say; what follows from it is decided elsewhere"},
	{"oauth/page", "github.com/ory oauth/store oauth/server database/sql", "pages ask small interfaces: they serve any backend and any provider"},
	{"oauth/admin", "github.com/ory oauth/server oauth/page oauth/store/sqlite oauth/store/postgres database/sql", "the command line works without a server, on any backend"},
	{"oauth/scim", "github.com/ory oauth/server oauth/page oauth/admin oauth/tokens oauth/store/sqlite oauth/store/postgres database/sql", "it is a door to the directory: it mints nothing, and serves any backend"},
	{"oauth/ssf", "net/http database/sql github.com/ory oauth/store oauth/server oauth/impersonation oauth/tokens", "it is the wire alone, which a receiver may link too"},
	{"oauth/store", "github.com/ory net/http database/sql oauth/store/sqlite oauth/store/postgres modernc.org github.com/jackc", "it is what backends implement"},
	{"oauth/store/postgres", "github.com/ory net/http oauth/server oauth/page oauth/store/sqlite oauth/store/postgrestest modernc.org", "a backend keeps things, it does not answer anybody"},
	{"oauth/store/sqlite", "github.com/ory net/http oauth/server oauth/page", "a backend keeps things, it does not answer anybody"},
	{"oauth/store/transfer", "github.com/ory net/http oauth/server oauth/page oauth/admin oauth/store/postgrestest", "it moves rows, whoever serves them"},
	{"oauth/store/storetest", "github.com/ory database/sql oauth/store/sqlite oauth/store/postgres", "the contract is one for all backends"},
	{"oauth/server", "database/sql modernc.org github.com/jackc oauth/store/sqlite oauth/store/postgres migrations", "the command line chooses the backend"},
	{"oauth/plugin", "oauth/server database/sql modernc.org github.com/jackc oauth/store/sqlite oauth/store/postgres migrations", "it lives in other people's providers, over whatever store they open"},
	{"oauth/rp", "github.com/ory github.com/jackc/pgx database/sql oauth/store oauth/server", "it is compiled into other people's programs"},
	{"oauth/rp/rptest", "github.com/ory database/sql oauth/store oauth/server oauth/impersonation", "it is a fake: what it shares with the real issuer it could not find wrong"},
	{"cmd/understudy", "oauth/rp/rptest", "everybody may impersonate everybody there, for tests alone"},
	{"cmd/understudy", "oauth/browsertest", "it drives Chromium and carries axe-core, for tests alone"},
	{"cmd/understudy", "oauth/store/postgrestest", "it starts servers, for tests alone"},
	{"cmd/understudy-conformance", "oauth migrations", "it is for whoever did not write the server, and runs anywhere"},
	{"conformance", "oauth migrations cmd", "a shared constant would let a typo pass on both sides"},
}

func TestDependencies(t *testing.T) {
	t.Parallel()
	imports := readModule(t, "..")
	for pkg := range imports {
		checkDirect(t, pkg, imports[pkg])
	}
	for _, r := range mayImport {
		if imports[r.pkg] == nil {
			t.Logf("%s does not exist yet: its line is checked once it does", r.pkg)
		}
	}
	for _, w := range walls {
		reached := reach(imports, w.pkg)
		for _, r := range slices.Sorted(maps.Keys(reached)) {
			if r != w.pkg && within(r, w.never) {
				t.Errorf("%s reaches %s through %s, and must not: %s", w.pkg, r, reached[r], w.why)
			}
		}
	}
}

func checkDirect(t *testing.T, pkg string, imports []string) {
	for _, r := range mayImport {
		if r.pkg != pkg {
			continue
		}
		for _, path := range imports {
			first, _, _ := strings.Cut(path, "/")
			standard := !strings.Contains(first, ".") && !ours(path)
			allowed := r.ours == "all" && ours(path) || slices.Contains(strings.Fields(r.ours), path)
			if !standard && !allowed && (ours(path) || !within(path, r.outside)) {
				t.Errorf("%s imports %s, which its line in mayImport does not allow", pkg, path)
			}
		}
		return
	}
	t.Errorf("%s has no line in mayImport: say what it may import", pkg)
}

// reach gives all that pkg imports, directly or through packages of ours, each with the package that does it.
func reach(imports map[string][]string, pkg string) map[string]string {
	reached := map[string]string{}
	for todo := []string{pkg}; len(todo) > 0; todo = todo[1:] {
		for _, path := range imports[todo[0]] {
			if reached[path] == "" {
				reached[path] = todo[0]
				todo = append(todo, path)
			}
		}
	}
	return reached
}

// within reports whether path is one of the space-separated names, or below one.
func within(path, names string) bool {
	return slices.ContainsFunc(strings.Fields(names), func(n string) bool { return path == n || strings.HasPrefix(path, n+"/") })
}

// ours reports whether path is one of our packages, relative to the module as readModule gives it.
func ours(path string) bool { return within(path, "oauth cmd conformance migrations") }

// readModule gives the imports of each of our packages, files of every platform but no tests. It reads the files itself,
// since go test would keep a result of "go list" in its cache after one of the packages has changed.
func readModule(t *testing.T, root string) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch name := d.Name(); {
		case err != nil:
			return err
		case d.IsDir() && path != root && (name == "testdata" || name[0] == '.' || name[0] == '_' || exists(filepath.Join(path, "go.mod"))):
			return fs.SkipDir // not part of the module
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, _ := filepath.Rel(root, filepath.Dir(path))
		pkg := filepath.ToSlash(dir)
		if imports[pkg] == nil {
			imports[pkg] = []string{} // it is there, also if it imports nothing
		}
		for _, s := range f.Imports {
			p, _ := strconv.Unquote(s.Path.Value)
			imports[pkg] = append(imports[pkg], strings.TrimPrefix(p, module))
		}
		return nil
	})
	if err != nil || imports["oauth"] == nil {
		t.Fatalf("reading the module: %v, %d packages", err, len(imports))
	}
	return imports
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
