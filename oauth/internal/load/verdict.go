package main

import (
	"fmt"
	"strings"
)

// verdict compares what was reached with what must be.
type verdict struct {
	Store string `json:"store"`
	What  string `json:"what"`
	Got   string `json:"got"`
	Want  string `json:"want"`
	Met   bool   `json:"met"`
}

func (v verdict) word() string {
	if v.Met {
		return "MET"
	}
	return "MISSED"
}

// judge collects verdicts.
type judge struct {
	r     *report
	found []verdict
}

// verdicts judges what was measured, and passes over what was not.
func (r *report) verdicts() []verdict {
	j := judge{r: r}
	for _, n := range []int{16, 64} {
		j.ratio(n)
	}
	j.most("postgres", workStart, 1, "p50 ms", 1.2, 0.8, func(w *row) float64 { return w.P50 })
	j.most("postgres", workStart, 64, "p99 ms", 40, 25, func(w *row) float64 { return w.P99 })
	for _, n := range []int{16, 64} {
		j.most("postgres", workStart, n, "server + database µs", 400, 265, func(w *row) float64 { return w.Server + w.Database })
	}
	j.least("sqlite", workStart, 64, 3000, 6000)
	for _, store := range []string{"postgres", "sqlite"} {
		for _, n := range []int{16, 64} {
			if start := r.find(store, workStart, n); start != nil {
				j.least(store, workStop, n, start.Rate, start.Rate)
			}
		}
	}
	j.least("postgres", workIntrospect, 64, 9000, 14000)
	j.most("postgres", workIntrospect, 64, "p99 ms", 25, 25, func(w *row) float64 { return w.P99 })
	j.least("postgres", workBatch, 64, 10_000, 50_000)
	j.most("postgres", workAction, 1, "p99 ms", 8, 4, func(w *row) float64 { return w.P99 })
	for _, m := range r.Memory {
		most, aim := 40.0, 40.0
		if m.Starts > 0 {
			most, aim = 96, 64
		}
		j.add(m.Store, fmt.Sprintf("RSS after %d starts, MB", m.Starts), m.RSS, "at most", most, aim, m.RSS <= most)
	}
	errors := 0
	for _, w := range r.Rows {
		errors += w.Errors
	}
	j.add("", "errors", float64(errors), "at most", 0, 0, errors == 0)
	return j.found
}

// ratio holds starts against the commits of that run.
func (j *judge) ratio(conns int) {
	start := j.r.find("postgres", workStart, conns)
	for _, work := range []string{rawPgbench, rawPgx} {
		raw := j.r.find("postgres", work, conns)
		if start == nil || raw == nil {
			continue
		}
		got := start.Rate / raw.Rate
		j.add("postgres", fmt.Sprintf("start / %s, %d conns", strings.TrimPrefix(work, "raw insert, "), conns), got, "at least", 0.20, 0.28, start.sound() && got >= 0.20)
	}
}

// sound reports whether a figure says anything: refusals are quick.
func (w *row) sound() bool { return w.Errors == 0 && w.Calls > 0 }

func (j *judge) least(store, work string, conns int, least, aim float64) {
	if w := j.r.find(store, work, conns); w != nil {
		j.add(store, fmt.Sprintf("%s per second, %d conns", work, conns), w.Rate, "at least", least, aim, w.sound() && w.Rate >= least)
	}
}

func (j *judge) most(store, work string, conns int, unit string, most, aim float64, figure func(*row) float64) {
	if w := j.r.find(store, work, conns); w != nil {
		got := figure(w)
		j.add(store, fmt.Sprintf("%s %s, %d conns", work, unit, conns), got, "at most", most, aim, w.sound() && got <= most)
	}
}

func (j *judge) add(store, what string, got float64, how string, bound, aim float64, met bool) {
	j.found = append(j.found, verdict{store, what, number(got), fmt.Sprintf("%s %s, better %s", how, number(bound), number(aim)), met})
}

// number has three digits that count, or all before the point.
func number(f float64) string {
	if f >= 100 {
		return fmt.Sprintf("%.0f", f)
	}
	return fmt.Sprintf("%.3g", f)
}
