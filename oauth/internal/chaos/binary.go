package chaos

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/understudy-id/understudy"

// built is the one binary of a test run.
var built struct {
	sync.Once
	dir, path string
	err       error
}

// Main runs the tests of a package and removes what Binary built. It answers the exit code, for os.Exit.
func Main(m *testing.M) int {
	code := m.Run()
	built.Do(func() {}) // no build may begin now
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	return code
}

// Binary gives the path of the understudy command, built at the first call in a test process. It works from a nested test
// module too. The test fails if it does not build. Safe for concurrent use.
func Binary(t testing.TB) string {
	t.Helper()
	built.Do(func() { built.dir, built.path, built.err = build() })
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

func build() (dir, path string, err error) {
	// A nested module's own go.mod need not list what the command needs, so it is built from where the command lives.
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", "", fmt.Errorf("finding module %s: %w", module, err)
	}
	if dir, err = os.MkdirTemp("", "understudy"); err != nil {
		return "", "", err
	}
	path = filepath.Join(dir, "understudy")
	cmd := exec.Command("go", "build", "-o", path, "./cmd/understudy")
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, "", fmt.Errorf("building the command: %w\n%s", err, out)
	}
	return dir, path, nil
}
