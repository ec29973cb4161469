package main

import (
	"fmt"
	"os"
	"time"
)

// progress is the line on a terminal that tells how far it is. On anything else there is none.
type progress struct {
	out   *os.File
	step  string
	began time.Time // the step
	start int64     // what of it was done before
	last  time.Time
}

func (a *app) newProgress() *progress {
	if f, ok := a.stderr.(*os.File); ok && isTerminal(f) {
		return &progress{out: f}
	}
	return &progress{}
}

// show tells how many rows of what are done in a step, of so many; zero if nobody knows.
func (p *progress) show(step, what string, done, total int64) {
	t := time.Now()
	if p.step != step {
		p.step, p.began, p.start, p.last = step, t, done, time.Time{}
	}
	if p.out == nil || t.Sub(p.last) < 100*time.Millisecond { // nobody reads faster
		return
	}
	p.last = t
	rate := int64(float64(done-p.start) / max(t.Sub(p.began).Seconds(), 0.1))
	fmt.Fprintf(p.out, "\r\x1b[K%s %s  %s  %d/s", step, what, share(done, total), rate)
	if left := total - done; left > 0 && rate > 0 {
		fmt.Fprintf(p.out, "  %s left", (time.Duration(left/rate) * time.Second).String())
	}
}

func share(done, total int64) string {
	if total == 0 {
		return fmt.Sprintf("%d rows", done)
	}
	return fmt.Sprintf("%d of %d rows  %d%%", done, total, 100*done/total)
}

func (p *progress) end() {
	if p.out != nil {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
