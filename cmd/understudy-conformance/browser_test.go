package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/understudy-id/understudy/conformance"
	"github.com/understudy-id/understudy/oauth/browsertest"
)

// The page of a report is read by everybody, in the light and in the dark, on a screen and on a phone, and loads nothing.
func TestReportInBrowser(t *testing.T) {
	t.Parallel()
	p := browsertest.Start(t)
	f, err := os.Open("../../conformance/testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := conformance.ReadReport(f)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if err := r.WriteHTML(w); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	p.NoScript(true) // it needs none
	p.Go(s.URL)
	p.Click("summary")
	if got := p.Text("article.critical details[open] pre:last-of-type"); got != "no answer: no answer in time" {
		t.Errorf("the last answer is %q", got)
	}
	p.NoScript(false)
	for _, width := range []int{1200, 320} {
		for _, dark := range []bool{false, true} {
			p.Size(width, 900)
			p.Dark(dark)
			p.Go(s.URL)
			p.Click("summary")
			for _, v := range p.Axe() {
				t.Errorf("%d px, dark %v: %+v", width, dark, v)
			}
			var wide int
			if p.Eval("document.documentElement.scrollWidth", &wide); wide > width {
				t.Errorf("the page is %d px wide, on %d", wide, width)
			}
			if dark == (width == 320) {
				p.Document(fmt.Sprintf("testdata/report-%d.png", width))
			}
		}
	}
	if all := p.Requests(); len(all) != 5 {
		t.Errorf("%d requests for 5 looks at the page: %+v", len(all), all)
	}
	p.Quiet()
}
