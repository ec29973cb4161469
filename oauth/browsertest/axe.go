package browsertest

import (
	"context"
	_ "embed"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// axeScript is axe-core, whose licence stands beside it.
//
//go:embed axe/axe.min.js
var axeScript string

// runAxe gives violations only: what axe could not decide, such as contrast over an image, is not one. target-size (WCAG 2.2
// §2.5.8, AA) is the one rule of that level which axe leaves off unless asked.
const runAxe = `axe.run(document, {resultTypes: ["violations"], rules: {"target-size": {enabled: true}}}).then(r => r.violations.flatMap(v => v.nodes.map(n => ({
	rule: v.id, impact: v.impact ?? "", help: v.help, where: n.target.flat().join(" "), html: n.html, why: n.failureSummary ?? ""}))))`

// Violation is one element that breaks one rule of axe-core.
type Violation struct {
	Rule, Impact, Help string // such as color-contrast, serious, and a sentence
	Where, HTML        string // a selector, and the element
	Why                string // what to mend, over several lines
}

// Axe runs the rules of axe-core for WCAG 2.2 A and AA and its best practices on the document and its open shadow roots. nil
// means that nothing is wrong. It runs in a JavaScript world of its own, so that no Content-Security-Policy stops it and the
// page does not notice; while NoScript holds it cannot run.
func (p *Page) Axe() []Violation {
	p.t.Helper()
	var found []Violation
	p.do("running axe", func(ctx context.Context) error {
		p.rec.mu.Lock()
		frame := p.rec.frame
		p.rec.mu.Unlock()
		world, err := chromedp.Call(ctx, page.CreateIsolatedWorld, page.CreateIsolatedWorldParams{FrameID: frame, WorldName: "axe"})
		if err != nil {
			return err
		}
		run := runtime.EvaluateParams{ContextID: world.ExecutionContextID}
		if run.Expression = `typeof axe`; evaluateString(ctx, run) != "object" { // a world of that name stays with its document
			run.Expression = axeScript
			if err := evaluate(ctx, nil, run); err != nil {
				return err
			}
		}
		run.Expression = runAxe
		return evaluate(ctx, &found, run)
	})
	if len(found) == 0 {
		return nil
	}
	return found
}

func evaluateString(ctx context.Context, e runtime.EvaluateParams) (s string) {
	evaluate(ctx, &s, e)
	return s
}
