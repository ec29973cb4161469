package rp_test

import (
	"context"
	"log"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// An app of net/http with rp in front of it. These are the README's lines.
func Example() {
	ctx, mux, secret := context.Background(), http.NewServeMux(), oauth.Secret(os.Getenv("CLIENT_SECRET"))
	deleteAccount := http.NotFoundHandler()

	app, err := rp.New(ctx, rp.Config{Issuer: "https://login.example", ClientID: "app", ClientSecret: secret, BaseURL: "https://app.example", Origin: "https://as-user.app.example"})
	if err != nil {
		log.Fatal(err)
	}
	mux.Handle("POST /account/delete", rp.Forbid(deleteAccount)) // nobody does this in somebody else's name
	http.ListenAndServe(":3000", app.Handler(app.RequireSignIn(mux)))
}

// TestReadme: what the README shows compiles, and is at most five lines beside the error's.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```go\n")
	block, _, found := strings.Cut(rest, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if !found || len(lines) > 6 || !strings.Contains(block, "rp.New(") {
		t.Fatalf("the README shows %q", block)
	}
	for _, line := range lines {
		if line = strings.TrimSpace(line); !strings.Contains(string(example), "\t"+line+"\n") {
			t.Errorf("not in the example: %s", line)
		}
	}
}
