package conformance

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"sync"
	"time"
)

// Options say how a target is tested. The zero value tries every case that neither waits nor destroys.
type Options struct {
	// Only and Skip are patterns of ids as path.Match has them, where one without a slash stands for a whole area. Without Only all are tried.
	Only, Skip []string
	// Slow tries cases that wait for something to run out, too.
	Slow bool
	// Destructive tries cases that leave something changed that no other needs, too.
	Destructive bool
	// RequestTimeout is how long one answer may take, 5 s if 0. CaseTimeout is how long one case may take, 2 minutes if 0: a server may ask to wait.
	RequestTimeout, CaseTimeout time.Duration
	// RootCAs verify the target's certificate; nil means the system's.
	RootCAs *x509.CertPool
	// Progress, if not nil, is called before each case, with how many came before it and how many there are.
	Progress func(c Case, n, of int)
	// Done, if not nil, is called after each case.
	Done func(Result)
}

// ErrTarget is wrapped by errors of Run that tell that nothing could be tried: the target is incomplete, does not answer, or has no metadata.
var ErrTarget = errors.New("the target cannot be tested")

// Run tries the cases against a target and reports what came of each. Its error, which wraps ErrTarget, tells that nothing could be tried; a target that fails
// cases is no error. Where ctx ends first the report has what came before, and says so. Cases run one after the other.
func Run(ctx context.Context, target Target, o Options) (*Report, error) {
	if err := target.Check(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	cases, err := o.choose()
	if err != nil {
		return nil, err
	}
	o.RequestTimeout, o.CaseTimeout = cmp.Or(o.RequestTimeout, perRequest), cmp.Or(o.CaseTimeout, 2*time.Minute)
	r := &run{target: target, options: o, http: newHTTP(o), logins: make(map[string]*login), tokens: make(map[string]string), codes: make(map[string]int64), refused: make(map[string]string), odd: make(map[string]oddity)}
	defer r.http.CloseIdleConnections()
	report := &Report{Schema: Schema, Target: cmp.Or(target.Name, target.Issuer), Issuer: target.Issuer, Started: time.Now().UTC().Truncate(time.Second), Cases: len(cases), Without: []Feature{}, Results: []Result{}}
	began := time.Now()
	defer func() { report.Requests, report.Duration = r.requests, Duration(time.Since(began)) }()
	if r.meta, err = r.discover(ctx); ctx.Err() != nil {
		report.Interrupted = true
		return report, nil
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTarget, err)
	}
	r.has = target.has(r.meta)
	for f, has := range r.has {
		if !has {
			report.Without = append(report.Without, f)
		}
	}
	slices.Sort(report.Without)
	for i, c := range cases {
		if ctx.Err() != nil {
			report.Interrupted = true
			break
		}
		if o.Progress != nil {
			o.Progress(c, i, len(cases))
		}
		result := r.try(ctx, c)
		report.Results = append(report.Results, result)
		if o.Done != nil {
			o.Done(result)
		}
		if ctx.Err() != nil && result.Status == Blocked {
			report.Interrupted = true
			break
		}
	}
	return report, nil
}

// choose gives the cases that are asked for. A pattern that fits none is a mistake.
func (o Options) choose() (chosen []Case, err error) {
	all := Cases()
	for _, patterns := range [][]string{o.Only, o.Skip} {
		for _, pattern := range patterns {
			if _, err := path.Match(pattern, ""); err != nil {
				return nil, fmt.Errorf("%w: %q is no pattern", ErrTarget, pattern)
			}
			if !slices.ContainsFunc(all, func(c Case) bool { return matches(pattern, c) }) {
				return nil, fmt.Errorf("%w: no case is called %q", ErrTarget, pattern)
			}
		}
	}
	for _, c := range all {
		fits := func(pattern string) bool { return matches(pattern, c) }
		if (len(o.Only) == 0 || slices.ContainsFunc(o.Only, fits)) && !slices.ContainsFunc(o.Skip, fits) {
			chosen = append(chosen, c)
		}
	}
	return chosen, nil
}

func matches(pattern string, c Case) bool {
	ok, _ := path.Match(pattern, c.ID)
	return ok || pattern == string(c.Area())
}

// run is what the cases of one run share.
type run struct {
	target  Target
	options Options
	http    *http.Client
	meta    *metadata
	has     map[Feature]bool

	requests int
	logins   map[string]*login // by account and client: who has signed in
	tokens   map[string]string // of the actor, by client, that cases may share since none ends them
	codes    map[string]int64  // the last step of a second factor that was used, by its secret
	refused  map[string]string // why an account or a client is not let in: trying it again in each case would lock it
	forgets  *bool             // whether the server asks for the password at each sign-in; nil if nobody has looked
	silent   bool              // whether introspection calls a fresh token of a sign-in inactive
	nonce    string            // what the server wants to see in the next proof (RFC 9449 §8)
	elapsed  time.Duration     // what Target.Elapse has let pass

	rounded bool // each endpoint was asked for what answerCases look at

	mu   sync.Mutex
	kept keeper
	odd  map[string]oddity // what is wrong with answers, by the id of the case that tells it
}

func (r *run) keeper() *keeper {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &keeper{secrets: slices.Clone(r.kept.secrets)}
}

// secret makes evidence hide what it is told.
func (r *run) secret(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, v := range values {
		r.kept.add(v)
	}
}

// tidy ends what the case has started: nothing shall go on, and whoever acts may have so many sessions at once. What that gives is no part of the case. It has
// time also where the case has none left, but less: whoever interrupts a run waits for it.
func (r *run) tidy(p *probe) {
	if r.meta.Revocation == "" || len(p.begun) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 2*r.options.RequestTimeout)
	defer cancel()
	hurry := context.AfterFunc(p.ctx, func() { time.AfterFunc(2*time.Second, cancel) })
	defer hurry()
	for token, c := range p.begun {
		quiet := &probe{ctx: ctx, run: r, c: p.c}
		func() {
			defer func() {
				if v := recover(); v != nil {
					if _, ok := v.(verdict); !ok {
						panic(v)
					}
				}
			}()
			quiet.post(r.meta.Revocation, c, url.Values{"token": {token}})
		}()
		r.requests += quiet.requests
	}
}

// probe is one case being tried.
type probe struct {
	ctx context.Context
	run *run
	c   Case

	mu       sync.Mutex
	evidence []Exchange
	seen     []*answer  // all that came, as it came
	form     url.Values // of a start, that a case tries again and again and never with success
	requests int
	kind     Kind               // what a failure from here on is called at the worst, "" for what the case is
	looked   map[string]bool    // of the tokens that cases share: whether this one has looked if they live
	begun    map[string]*Client // the tokens of starts, and the clients that got them
}

// elapse waits until what lasts d is over, and a little more. What cases share is over then, too.
func (p *probe) elapse(d time.Duration) {
	d += 2 * time.Second
	if p.run.target.Elapse != nil {
		p.run.target.Elapse(d)
		p.run.elapsed += d
		clear(p.run.tokens)
		return
	}
	if most := p.run.options.CaseTimeout - 10*time.Second; d > most {
		p.skip("it would wait for %v, and a case may take %v", d, p.run.options.CaseTimeout)
	}
	select {
	case <-time.After(d):
		clear(p.run.tokens)
	case <-p.ctx.Done():
		p.blocked("waiting for %v: %v", d, context.Cause(p.ctx))
	}
}

// verdict ends a case.
type verdict struct {
	status   Status
	severity Severity
	want     string
	text     string
	kind     Kind // what the failure is called at the worst, "" for what the case is
}

// fail ends the case: the target does not do what is required.
func (p *probe) fail(s Severity, want, got string, args ...any) {
	panic(verdict{status: Failed, severity: s, want: want, text: fmt.Sprintf(got, args...)})
}

// should demands what holds, as a clause of less force than the case's own has it: missing it is no more than kind.
func (p *probe) should(holds bool, kind Kind, s Severity, want, got string, args ...any) {
	if !holds {
		panic(verdict{Failed, s, want, fmt.Sprintf(got, args...), kind})
	}
}

// blocked ends the case: it could not be tried.
func (p *probe) blocked(why string, args ...any) {
	panic(verdict{status: Blocked, text: fmt.Sprintf(why, args...)})
}

// skip ends the case: the target has not what it needs, as only trying showed.
func (p *probe) skip(why string, args ...any) {
	panic(verdict{status: Skipped, text: fmt.Sprintf(why, args...)})
}

// try tries one case.
func (r *run) try(ctx context.Context, c Case) (result Result) {
	result = Result{ID: c.ID, Source: c.Source, Level: c.Level, Profile: c.Profile, Requirement: c.Requirement, Status: Passed}
	skipped := func(why string) Result {
		result.Status, result.Reason = Skipped, why
		return result
	}
	switch {
	case c.Slow && !r.options.Slow:
		return skipped("it is slow, and slow cases were not asked for")
	case c.Destructive && !r.options.Destructive:
		return skipped("it changes the target for good, which was not allowed")
	}
	for _, f := range c.Needs {
		if !r.has[f] {
			return skipped(fmt.Sprintf("the target has no %s", f))
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.options.CaseTimeout, fmt.Errorf("the case took longer than %v", r.options.CaseTimeout))
	defer cancel()
	p := &probe{ctx: ctx, run: r, c: c, begun: make(map[string]*Client), looked: make(map[string]bool)}
	began := time.Now()
	defer r.tidy(p)
	defer func() {
		result.Duration, result.Evidence = Duration(time.Since(began)), p.evidence
		r.requests += p.requests
		switch v := recover().(type) {
		case nil:
		case verdict:
			k := r.keeper()
			result.Status, result.Severity = v.status, v.severity
			if v.status == Failed {
				result.Kind, result.Want, result.Got = kind(c), v.want, k.text(v.text)
				for _, w := range c.KnownFrom() {
					result.KnownFrom = append(result.KnownFrom, w.String())
				}
				if most := cmp.Or(v.kind, p.kind); most != "" && result.Kind == Violation {
					result.Kind = most
				}
			} else {
				result.Reason = k.text(v.text)
			}
		default:
			panic(v)
		}
	}()
	c.try(p)
	return result
}
