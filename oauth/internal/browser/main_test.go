package browser_test

import (
	"os"
	"testing"

	"github.com/understudy-id/understudy/oauth/internal/browser"
)

func TestMain(m *testing.M) { os.Exit(browser.Main(m)) }
