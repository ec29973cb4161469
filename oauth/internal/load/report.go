package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"text/tabwriter"
)

// held is the memory of a server after so many starts.
type held struct {
	Store  string `json:"store"`
	Starts int    `json:"starts"`
	Live   int    `json:"live_sessions"`
	memory
}

// report is everything that was measured.
type report struct {
	Cores    int       `json:"cores"`
	Rows     []row     `json:"median"`
	Memory   []held    `json:"memory"`
	Verdicts []verdict `json:"verdicts"`
	Runs     []row     `json:"runs"`
}

// sum fills in the medians and the verdicts.
func (r *report) sum() {
	r.Cores = runtime.NumCPU()
	type key struct {
		store, work string
		conns       int
	}
	var order []key
	by := map[key][]row{}
	for _, w := range r.Runs {
		k := key{w.Store, w.Work, w.Conns}
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], w)
	}
	for _, k := range order {
		r.Rows = append(r.Rows, middle(by[k]))
	}
	r.Verdicts = r.verdicts()
}

// middle is the median of each figure by itself; errors are all of them.
func middle(rows []row) row {
	median := func(f func(row) float64) float64 {
		var values []float64
		for _, w := range rows {
			values = append(values, f(w))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	m := row{
		Store: rows[0].Store, Work: rows[0].Work, Conns: rows[0].Conns,
		Calls: int(median(func(w row) float64 { return float64(w.Calls) })), Rate: median(func(w row) float64 { return w.Rate }),
		P50: median(func(w row) float64 { return w.P50 }), P99: median(func(w row) float64 { return w.P99 }),
		Server: median(func(w row) float64 { return w.Server }), Database: median(func(w row) float64 { return w.Database }),
		Generator: median(func(w row) float64 { return w.Generator }), Others: median(func(w row) float64 { return w.Others }),
	}
	for _, w := range rows {
		m.Errors += w.Errors
	}
	return m
}

// find gives a median, nil where it was not measured.
func (r *report) find(store, work string, conns int) *row {
	i := slices.IndexFunc(r.Rows, func(w row) bool { return w.Store == store && w.Work == work && w.Conns == conns })
	if i < 0 {
		return nil
	}
	return &r.Rows[i]
}

// print writes the tables.
func (r *report) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "store\twork\tconns\tper second\tp50 ms\tp99 ms\tserver µs\tdatabase µs\tgenerator µs\tothers\terrors")
	for _, w := range r.Rows {
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\t%d\n", w.Store, w.Work, w.Conns, w.Rate, w.P50, w.P99, w.Server, w.Database, w.Generator, w.Others, w.Errors)
	}
	fmt.Fprintln(t, "\nserver's memory\tstarts\tlive\tRSS MB\tpeak MB") // a line without a tab begins a table
	for _, m := range r.Memory {
		fmt.Fprintf(t, "%s\t%d\t%d\t%.1f\t%.1f\n", m.Store, m.Starts, m.Live, m.RSS, m.Peak)
	}
	fmt.Fprintln(t, "\nmust\treached\trequired")
	for _, v := range r.Verdicts {
		fmt.Fprintf(t, "%s %s\t%s\t%s\t%s\n", v.Store, v.What, v.Got, v.Want, v.word())
	}
	if most := slices.MaxFunc(r.Rows, func(a, b row) int { return cmp.Compare(a.Others, b.Others) }).Others; most > quiet {
		fmt.Fprintf(t, "\nOthers kept up to %.1f of %d cores busy meanwhile: measure again on a quiet machine.\n", most, r.Cores)
	}
	return t.Flush()
}

// quiet is how much of a core may be busy with others, the kernel's own threads included, before figures say more about them.
const quiet = 0.25

// save writes everything as JSON.
func (r *report) save(path string) error {
	b, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(b, '\n'), 0o644)
}
