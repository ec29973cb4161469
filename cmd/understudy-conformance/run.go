package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/conformance"
)

// formats are the reports that run writes.
var formats = map[string]func(*conformance.Report, io.Writer) error{
	"text": (*conformance.Report).WriteText, "json": (*conformance.Report).WriteJSON, "junit": (*conformance.Report).WriteJUnit,
	"sarif": (*conformance.Report).WriteSARIF, "html": (*conformance.Report).WriteHTML,
}

// runFlags are what run is told.
type runFlags struct {
	target, format, output, ca string
	only, skip                 []string
	slow, destructive          bool
	timeout, request           time.Duration
}

func (a *app) runCmd() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use: "run", Short: "Try the cases against a target, and report", Args: cobra.NoArgs,
		Long: "Try the cases against the server that a target file names, and report.\n\n" +
			"Exit codes: 0 all that was tried held; 1 findings, or cases that could not be tried; 2 nothing could be run.",
		RunE: a.does(func(ctx context.Context, _ []string) error { return a.try(ctx, f) }),
	}
	p := cmd.Flags()
	p.SortFlags = false
	p.StringVar(&f.target, "target", "target.yaml", "the `file` that says which server; understudy-conformance init writes one")
	p.StringSliceVar(&f.only, "only", nil, "try only the cases that fit a `pattern`: an area, or an id in which * stands for anything but a slash")
	p.StringSliceVar(&f.skip, "skip", nil, "leave out the cases that fit a `pattern`")
	p.BoolVar(&f.slow, "slow", false, "try cases that wait for something to run out, too")
	p.BoolVar(&f.destructive, "allow-destructive", false, "try cases that leave something changed behind, too, such as a locked client")
	p.StringVar(&f.format, "format", "text", "`form` of the report: text, json, junit, sarif or html")
	p.StringVar(&f.output, "output", "", "write the report to a `file`")
	p.StringVar(&f.ca, "ca", "", "a `file` with certificates (PEM) that are trusted beside the system's")
	p.DurationVar(&f.timeout, "timeout", 10*time.Minute, "end the run after so long")
	p.DurationVar(&f.request, "request-timeout", 5*time.Second, "give up on one answer after so long")
	return cmd
}

func (a *app) try(ctx context.Context, f runFlags) error {
	write := formats[f.format]
	if write == nil {
		return fmt.Errorf("--format %q: must be text, json, junit, sarif or html", f.format)
	}
	if f.timeout <= 0 || f.request <= 0 {
		return errors.New("--timeout and --request-timeout must be more than nothing")
	}
	target, err := load(f.target, a.env)
	if err != nil {
		return err
	}
	o := conformance.Options{Only: f.only, Skip: f.skip, Slow: f.slow, Destructive: f.destructive, RequestTimeout: f.request, Progress: a.shown}
	if o.RootCAs, err = authorities(f.ca); err != nil {
		return err
	}
	out, err := a.open(f.output)
	if err != nil {
		return err
	}
	defer out.discard()
	timed, cancel := context.WithTimeoutCause(ctx, f.timeout, fmt.Errorf("the run took longer than %s", f.timeout))
	defer cancel()
	report, err := conformance.Run(timed, target, o)
	a.cleared()
	if err != nil {
		return err
	}
	if err := write(report, out); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := out.keep(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if f.output != "" {
		fmt.Fprintf(a.stderr, "%s\n", report.Summary())
	}
	tried := report.Count(conformance.Passed) + report.Count(conformance.Failed)
	switch {
	case report.OK():
		a.code = held
	case ctx.Err() != nil || tried > 0: // whoever interrupted knows why there is nothing
		a.code = found
	default:
		return fmt.Errorf("nothing could be tried: %s", why(timed, report))
	}
	return nil
}

// why tells what kept every case from being tried.
func why(ctx context.Context, r *conformance.Report) string {
	var all []string
	if r.Interrupted {
		all = append(all, context.Cause(ctx).Error())
	}
	for _, result := range r.Results {
		if !slices.Contains(all, result.Reason) {
			all = append(all, result.Reason)
		}
	}
	if rest := len(all) - 3; rest > 0 {
		all = append(all[:3], fmt.Sprintf("and %d more reasons, which the report has", rest))
	}
	return strings.Join(all, "; ")
}

// shown tells on a terminal how far the run is.
func (a *app) shown(c conformance.Case, n, of int) {
	if a.progress != nil {
		fmt.Fprintf(a.progress, "\r\x1b[K%.79s", fmt.Sprintf("%d/%d  %s", n+1, of, c.ID))
	}
}

func (a *app) cleared() {
	if a.progress != nil {
		fmt.Fprint(a.progress, "\r\x1b[K")
	}
}

// authorities are those of the system and of a file; nil, which is the system's alone, if there is none.
func authorities(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	b, err := readFile(file)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s has no certificate in PEM", file)
	}
	return pool, nil
}

// output is where the report goes. A file is there only once it is whole, and what was there before stays until then.
type output struct {
	io.Writer
	part *os.File // beside the file, nil if the report goes elsewhere
	name string
}

// open is before the run, so that nobody waits for a report that cannot be written.
func (a *app) open(name string) (*output, error) {
	if name == "" {
		return &output{Writer: a.stdout}, nil
	}
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(name, os.O_WRONLY, 0) // a pipe, or a terminal
		if err != nil {
			return nil, err
		}
		return &output{Writer: f}, nil
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".conformance-*")
	if err != nil {
		return nil, err
	}
	return &output{f, f, name}, nil
}

func (o *output) keep() error {
	if o.part == nil {
		return nil
	}
	if err := o.part.Close(); err != nil {
		return err
	}
	if err := os.Rename(o.part.Name(), o.name); err != nil {
		return err
	}
	o.part = nil
	return nil
}

func (o *output) discard() {
	if o.part != nil {
		o.part.Close()
		os.Remove(o.part.Name())
	}
}
