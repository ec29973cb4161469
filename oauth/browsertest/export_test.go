package browsertest

import "time"

// Hurry makes the page give up after d, for tests of giving up.
func (p *Page) Hurry(d time.Duration) { p.patience = d }
