package plugin_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/plugin"
)

// paging gives John and somebody whom the page leaves out, with a cursor of that one as a directory may make it.
type paging struct {
	directory.Directory
	after chan string
}

func (d paging) Search(ctx context.Context, q directory.Query) ([]directory.User, string, error) {
	d.after <- q.After
	john, err := d.Get(ctx, "u-2")
	boss := directory.User{ID: "u-secret", Name: "Hidden Boss", Email: "boss@globex.example", Organisation: "globex", Enabled: true, Protected: true}
	return []directory.User{john, boss}, "Hidden Boss,u-secret", err
}

// TestSearchCursorTellsNothing: the link to the next page of a search names nobody, leads on, and opens only if it was made here.
func TestSearchCursorTellsNothing(t *testing.T) {
	t.Parallel()
	after := make(chan string, 1000)
	h := setup(t, options{change: func(c *plugin.Config) { c.Directory = paging{c.Directory, after} }})
	link := regexp.MustCompile(`after=([A-Za-z0-9_-]+)`).FindStringSubmatch(h.get(impersonatePage("shop") + "&q=john").body)
	if link == nil {
		t.Fatal("no link to the next page")
	}
	if raw, _ := base64.RawURLEncoding.DecodeString(link[1]); strings.Contains(string(raw)+link[1], "Boss") {
		t.Errorf("the link to the next page names whom nobody may know of: %q", raw)
	}
	for len(after) > 0 {
		<-after
	}
	h.get(impersonatePage("shop") + "&q=john&after=" + link[1])
	if got := <-after; got != "Hidden Boss,u-secret" {
		t.Errorf("the link leads on after %q", got)
	}
	for len(after) > 0 {
		<-after
	}
	h.get(impersonatePage("shop") + fmt.Sprintf("&q=john&after=%s", base64.RawURLEncoding.EncodeToString([]byte("Hidden Boss,u-secret"))))
	for len(after) > 0 {
		if got := <-after; got != "" {
			t.Errorf("a cursor of nobody's making leads on after %q", got)
		}
	}
}
