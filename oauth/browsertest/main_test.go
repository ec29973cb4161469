package browsertest_test

import (
	"os"
	"testing"

	"github.com/understudy-id/understudy/oauth/browsertest"
)

func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }
