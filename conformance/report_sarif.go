package conformance

import (
	"cmp"
	"encoding/json"
	"io"
	"net/url"
	"strings"
	"time"
)

// sarifSchema is where the schema of SARIF 2.1.0 is published.
const sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool struct {
			Driver sarifDriver `json:"driver"`
		} `json:"tool"`
		Invocations []sarifInvocation `json:"invocations"`
		Results     []sarifResult     `json:"results"` // [] says that nothing was found, its absence that nothing was tried
	}
	sarifDriver struct {
		Name  string      `json:"name"`
		Rules []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID         string         `json:"id"`
		Short      sarifText      `json:"shortDescription"`
		Full       *sarifText     `json:"fullDescription,omitempty"`
		Help       *sarifText     `json:"help,omitempty"`
		Properties sarifRuleProps `json:"properties"`
	}
	sarifRuleProps struct {
		Tags    []string `json:"tags"`
		Source  string   `json:"source"`
		Level   Level    `json:"requirementLevel"`
		Profile bool     `json:"profile"`
		Known   []string `json:"knownFrom,omitempty"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifInvocation struct {
		Successful    bool                `json:"executionSuccessful"`
		Started       string              `json:"startTimeUtc"`
		Ended         string              `json:"endTimeUtc"`
		Notifications []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string        `json:"level"`
		Message sarifText     `json:"message"`
		Rule    *sarifRuleRef `json:"associatedRule,omitempty"`
	}
	sarifRuleRef struct {
		ID    string `json:"id"`
		Index int    `json:"index"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Kind         string            `json:"kind"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Request      *sarifRequest     `json:"webRequest,omitempty"`
		Response     *sarifResponse    `json:"webResponse,omitempty"`
		Properties   sarifResultProps  `json:"properties"`
	}
	sarifResultProps struct {
		Kind     Kind     `json:"kind"`
		Severity Severity `json:"severity"`
	}
	sarifLocation struct {
		Physical struct {
			Artifact struct {
				URI string `json:"uri"`
			} `json:"artifactLocation"`
		} `json:"physicalLocation"`
	}
	sarifRequest struct {
		Method  string            `json:"method"`
		Target  string            `json:"target"`
		Headers map[string]string `json:"headers,omitempty"`
		Body    *sarifText        `json:"body,omitempty"`
	}
	sarifResponse struct {
		Status     int               `json:"statusCode,omitempty"`
		NoResponse bool              `json:"noResponseReceived,omitempty"`
		Headers    map[string]string `json:"headers,omitempty"`
		Body       *sarifText        `json:"body,omitempty"`
	}
)

// WriteSARIF writes the report as SARIF 2.1.0: a rule a case, a result a failure. Its level is error for critical and high, warning for medium, note for low.
// What could not be tried is a notification of the run. A result is at the address that was asked last, and has that request and its answer.
func (r *Report) WriteSARIF(w io.Writer) error {
	run := sarifRun{Results: []sarifResult{}}
	run.Tool.Driver = sarifDriver{Name: "understudy-conformance", Rules: []sarifRule{}}
	call := sarifInvocation{Successful: !r.Interrupted, Started: sarifTime(r.Started), Ended: sarifTime(r.Started.Add(time.Duration(r.Duration)))}
	for i, result := range r.Results {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(result))
		switch result.Status {
		case Failed:
			run.Results = append(run.Results, r.sarif(result, i))
		case Blocked:
			call.Notifications = append(call.Notifications, sarifNotification{"warning", sarifText{result.ID + " could not be tried: " + printable(result.Reason)}, &sarifRuleRef{result.ID, i}})
		}
	}
	if r.Interrupted {
		call.Notifications = append(call.Notifications, sarifNotification{"error", sarifText{r.Summary()}, nil})
	}
	run.Invocations = []sarifInvocation{call}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{sarifSchema, "2.1.0", []sarifRun{run}})
}

func sarifRuleOf(r Result) sarifRule {
	rule := sarifRule{ID: r.ID, Short: sarifText{r.Requirement}, Properties: sarifRuleProps{Tags: []string{"security", string(Case{ID: r.ID}.Area())}, Source: r.Source, Level: r.Level, Profile: r.Profile, Known: r.KnownFrom}}
	if c, ok := Find(r.ID); ok {
		rule.Full, rule.Help = sarifTextOf(c.Why), sarifTextOf(cmp.Or(c.Mend, "See "+r.Source+"."))
	}
	return rule
}

// sarif is one failure, whose rule is the i-th.
func (r *Report) sarif(f Result, i int) sarifResult {
	out := sarifResult{
		RuleID: f.ID, RuleIndex: i, Kind: "fail", Level: map[Severity]string{Critical: "error", High: "error", Low: "note"}[f.Severity],
		Message:      sarifText{printable(f.Requirement + " Want " + f.Want + ", got " + f.Got + ". This is a " + f.Called() + ".")},
		Fingerprints: map[string]string{"caseAtIssuer/v1": f.ID + "@" + r.Issuer},
		Properties:   sarifResultProps{f.Kind, f.Severity},
	}
	out.Level = cmp.Or(out.Level, "warning")
	at := r.Issuer
	for _, e := range f.last(1) {
		at = sarifURI(e.URL, at)
		out.Request = &sarifRequest{e.Method, printable(e.URL), sarifHeaders(e.Header), sarifTextOf(e.Body)}
		out.Response = &sarifResponse{Status: e.Status, NoResponse: e.Status == 0, Headers: sarifHeaders(e.AnswerHeader), Body: sarifTextOf(e.Answer)}
	}
	var location sarifLocation
	location.Physical.Artifact.URI = at
	out.Locations = []sarifLocation{location}
	return out
}

// sarifURI is the address without its query, so that it stays the same from run to run.
func sarifURI(from, otherwise string) string {
	u, err := url.Parse(from)
	if err != nil {
		return otherwise
	}
	u.RawQuery, u.Fragment, u.RawFragment, u.ForceQuery = "", "", "", false
	return u.String()
}

// sarifHeaders makes an object of lines; what comes more than once is one line with commas, as RFC 9110 §5.3 joins it.
func sarifHeaders(lines []string) map[string]string {
	if len(lines) == 0 {
		return nil
	}
	out := make(map[string]string)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if had, twice := out[name]; twice {
			value = had + ", " + value
		}
		out[name] = printable(value)
	}
	return out
}

func sarifTextOf(s string) *sarifText {
	if s == "" {
		return nil
	}
	return &sarifText{printable(s)}
}

func sarifTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
