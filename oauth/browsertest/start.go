package browsertest

import (
	"context"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// names are what Chromium is called in Debian, in Alpine, and by those who install Chrome.
var names = []string{"chromium", "chromium-browser", "google-chrome"}

// process is the Chromium that all tests of one binary share: starting one costs seconds.
var process struct {
	sync.Mutex
	users int
	ctx   context.Context // nil while none runs
	close func()
}

// Main runs the tests of a package with one Chromium for all of them, started by the first that needs it and closed at
// the end. It answers the exit code, for os.Exit. A package without Main works too: its Chromium is closed when no test
// uses it, and the next test starts another.
func Main(m *testing.M) int {
	process.Lock()
	process.users++
	process.Unlock()
	defer release()
	return m.Run()
}

// Start opens a tab of 1200 by 900 pixels, light, scripts on, in a browser context without cookies, and closes both when t
// ends. It skips with -short and where there is no Chromium, but fails instead if the environment says CI. The
// environment's UNDERSTUDY_CHROMIUM is the program to run, else the PATH is searched for chromium, chromium-browser and
// google-chrome.
//
// Safe for concurrent use; the Page it returns is for the test's own goroutine.
func Start(t testing.TB) *Page {
	t.Helper()
	if testing.Short() {
		t.Skip("browser tests are left out with -short")
	}
	path := find(t)
	root, err := acquire(path)
	t.Cleanup(release)
	if err != nil {
		t.Fatalf("browser: starting %s: %v", path, err)
	}
	return open(t, root, chromedp.WithNewBrowserContext())
}

// find gives the program to run, or skips t.
func find(t testing.TB) string {
	t.Helper()
	if path := os.Getenv("UNDERSTUDY_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "there is no Chromium: install chromium, or name one in UNDERSTUDY_CHROMIUM"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// acquire counts one more user, whatever it answers, and starts Chromium if none runs.
func acquire(path string) (context.Context, error) {
	process.Lock()
	defer process.Unlock()
	process.users++
	if process.ctx != nil && process.ctx.Err() == nil {
		return process.ctx, nil
	}
	alloc, closeAlloc := chromedp.NewExecAllocator(context.Background(), flags(path)...)
	ctx, cancel := chromedp.NewContext(alloc)
	if err := chromedp.Do(ctx); err != nil { // binds the process to ctx, so it must have no deadline
		cancel()
		closeAlloc()
		return nil, err
	}
	process.ctx, process.close = ctx, func() { cancel(); closeAlloc() }
	return ctx, nil
}

// release closes Chromium after its last user.
func release() {
	process.Lock()
	defer process.Unlock()
	if process.users--; process.users == 0 && process.ctx != nil {
		process.close()
		process.ctx = nil
	}
}

// flags keep Chromium from talking to anybody but the test. chromedp adds an empty profile of its own, --no-sandbox for
// root, --disable-dev-shm-usage and the like.
func flags(path string) []chromedp.ExecAllocatorOption {
	return append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path),
		chromedp.DisableGPU,
		chromedp.Flag("headless", "new"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-lcd-text", true), // grey letters: screenshots with few colours
	)
}
