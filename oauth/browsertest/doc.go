// Package browsertest drives a headless Chromium for tests: one process for all tests of a package, and for each test a
// browser context with its own cookies. Start with [Start], then [Page.Go], [Page.Follow] and [Page.Text]:
//
//	func TestMain(m *testing.M) { os.Exit(browsertest.Main(m)) }
//
//	func TestSignIn(t *testing.T) {
//		t.Parallel()
//		p := browsertest.Start(t)
//		p.Go(issuer.URL + "/sign-in")
//		p.Type("#email", "ann@acme.test")
//		p.Follow("button")
//		if got := p.Text("h1"); got != "Two steps" {
//			t.Errorf("heading %q", got)
//		}
//		p.Quiet()
//	}
//
// Every method either does what it says or ends the test, telling the page it was on and what it waited for: there are no
// errors to handle and no sleeps to tune. A selector is CSS and finds elements in open shadow roots too. Two kinds of click
// are told apart: [Page.Follow] must lead to a new document, [Page.Click] waits for none.
//
// It is for tests alone (no package of the product may import it), knows nothing of understudy, and drives no other browser.
package browsertest
