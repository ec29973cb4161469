package conformance

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"html"
	"io"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

// reportForms are the reports that there are, by the ends of their files.
var reportForms = []struct {
	end   string
	write func(*Report, io.Writer) error
}{
	{"txt", (*Report).WriteText}, {"json", (*Report).WriteJSON}, {"xml", (*Report).WriteJUnit}, {"sarif", (*Report).WriteSARIF}, {"html", (*Report).WriteHTML},
}

// sample has every member, and what a server could say to spoil a report. Its cases are none of Cases, whose words may change.
func sample() *Report {
	result := func(id string, s Status, more Result) Result {
		more.ID, more.Status, more.Level, more.Source, more.Requirement = id, s, Must, "RFC 8693 §2.1", "A sentence about "+id+"."
		more.Duration = Duration(1500 * time.Millisecond)
		if s == Failed {
			more.Kind = kind(Case{Level: more.Level, Profile: more.Profile})
		}
		return more
	}
	hostile := "</pre><script>alert(1)</script>]]>\x1b[2J\u202e & \"quoted\" \x00"
	return &Report{
		Schema: Schema, Target: "acme <staging>", Issuer: "https://login.example/t/1", Started: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
		Duration: Duration(83 * time.Second), Requests: 412, Cases: 8, Without: []Feature{FeatureDPoP, FeaturePAR}, Interrupted: true,
		Results: []Result{
			result("sample/passes", Passed, Result{Evidence: []Exchange{{Method: "GET", URL: "https://login.example/token", Status: 405, Duration: Duration(time.Millisecond)}}}),
			result("sample/in-the-wrong-way", Failed, Result{Severity: Low, Want: "Content-Type application/json", Got: `"text/html"`}),
			result("other/lets-in", Failed, Result{Severity: Critical, Profile: true, Want: "an hour at most", Got: hostile, KnownFrom: []string{"CVE-2026-0001, CVE-2026-0002 (one)", "CVE-2026-0003 (another)"}, Evidence: []Exchange{
				{Method: "GET", URL: "https://login.example/first", Status: 200},
				{Method: "POST", URL: "https://login.example/token?a=b#c", Header: []string{"Accept: application/json", "Cookie: a", "Cookie: b"}, Body: "grant_type=x&client_secret=[6 characters, 01234567]",
					Status: 200, AnswerHeader: []string{"Content-Type: text/html"}, Answer: hostile, Duration: Duration(12 * time.Millisecond)},
				{Method: "POST", URL: "https://login.example/token", Error: "no answer in time"},
			}}),
			result("other/stopped", Blocked, Result{Reason: "ann could not sign in: the server asks for the password again"}),
			result("other/stopped-too", Blocked, Result{Reason: "ann could not sign in: the server asks for the password again"}),
			result("third/left-out", Skipped, Result{Reason: "the target has no return-token"}),
			result("third/fails", Failed, Result{Severity: High, Want: "a", Got: strings.Repeat("b", 200)}),
		},
	}
}

func rendered(t *testing.T, r *Report, write func(*Report, io.Writer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(r, &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestReports: each form is what it was. A change of report.json beyond a new member is one of Schema too.
func TestReports(t *testing.T) {
	t.Parallel()
	for _, f := range reportForms {
		got, file := rendered(t, sample(), f.write), "testdata/report."+f.end
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v; got\n%s", file, err, got)
		}
	}
}

// TestReadReport: a report that was written in the past is read, and nothing else is.
func TestReadReport(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("testdata/report.json")
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadReport(bytes.NewReader(golden))
	want := sample()
	want.Results[2].Got = strings.ToValidUTF8(want.Results[2].Got, "\ufffd")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	later := strings.Replace(string(golden), `"schema": 1`, `"schema": 1, "added_later": true`, 1)
	if _, err := ReadReport(strings.NewReader(later)); err != nil {
		t.Errorf("with a member that was added: %v", err)
	}
	for name, text := range map[string]string{
		"empty": "", "another schema": strings.Replace(string(golden), `"schema": 1`, `"schema": 2`, 1), "no schema": "{}", "something behind it": string(golden) + "{}", "HTML": "<html>", "cut": string(golden[:len(golden)/2]),
	} {
		if _, err := ReadReport(strings.NewReader(text)); err == nil {
			t.Errorf("%s: is read", name)
		}
	}
}

// TestProfileIsNoViolation: in no form is a miss of what the clause does not say called a violation, as it is where the clause does.
func TestProfileIsNoViolation(t *testing.T) {
	t.Parallel()
	breaks := regexp.MustCompile(`(?i)violat|breach|non.?complian|breaks`)
	for _, f := range reportForms {
		for _, profile := range []bool{true, false} {
			r := sample()
			r.Results = r.Results[2:3]
			r.Results[0].Profile, r.Results[0].Kind = profile, kind(Case{Level: Must, Profile: profile})
			got := rendered(t, r, f.write)
			if breaks.MatchString(got) == profile || strings.Contains(got, "security finding") != profile {
				t.Errorf("%s, profile %v:\n%s", f.end, profile, got)
			}
		}
	}
}

// TestReportsExplain: what is known of a case is beside its failure.
func TestReportsExplain(t *testing.T) {
	t.Parallel()
	c := Cases()[0]
	r := sample()
	r.Results[1].ID = c.ID
	for _, f := range reportForms {
		if got := rendered(t, r, f.write); f.end != "json" && !strings.Contains(html.UnescapeString(got), c.Why) {
			t.Errorf("%s does not say why %s matters:\n%s", f.end, c.ID, got)
		}
	}
}

// TestKind: only a MUST can be violated.
func TestKind(t *testing.T) {
	t.Parallel()
	for _, level := range []Level{Must, MustNot, Should, ShouldNot, May} {
		want := Departure
		if level == Must || level == MustNot {
			want = Violation
		}
		if got := kind(Case{Level: level}); got != want {
			t.Errorf("%s: got %q, want %q", level, got, want)
		}
		if got := kind(Case{Level: level, Profile: true}); got != SecurityFinding {
			t.Errorf("profile, %s: got %q, want %q", level, got, SecurityFinding)
		}
	}
}

// TestJUnit: the counts are those of the cases, and everything is XML.
func TestJUnit(t *testing.T) {
	t.Parallel()
	var got junitSuites
	if err := xml.Unmarshal([]byte(rendered(t, sample(), (*Report).WriteJUnit)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Tests != 7 || got.Failures != 3 || got.Errors != 2 || got.Skipped != 1 || got.Time != "83.000" {
		t.Errorf("%+v", got.junitCounts)
	}
	sum := junitCounts{Time: got.Time}
	for _, s := range got.Suites {
		sum.Tests, sum.Failures, sum.Errors, sum.Skipped = sum.Tests+s.Tests, sum.Failures+s.Failures, sum.Errors+s.Errors, sum.Skipped+s.Skipped
		if len(s.Cases) != s.Tests {
			t.Errorf("%s has %d cases, and says %d", s.Name, len(s.Cases), s.Tests)
		}
	}
	if sum != got.junitCounts {
		t.Errorf("the suites have %+v, all %+v", sum, got.junitCounts)
	}
	f := got.Suites[1].Cases[0].Failure
	if f == nil || f.Type != "security finding" || !strings.Contains(f.Text, "no answer in time") || !strings.Contains(f.Text, "alert(1)") || strings.ContainsAny(f.Text, "\x1b\u202e") {
		t.Errorf("%+v", f)
	}
}

// TestSARIF holds what the published schema of 2.1.0 asks of the parts that we write: members that are required, the words that a member may be, the kinds of
// JSON, the forms of times and addresses, indexes that lead where they say, and no member that the schema does not know.
func TestSARIF(t *testing.T) {
	t.Parallel()
	var log map[string]any
	if err := json.Unmarshal([]byte(rendered(t, sample(), (*Report).WriteSARIF)), &log); err != nil {
		t.Fatal(err)
	}
	if log["version"] != "2.1.0" || !strings.HasSuffix(log["$schema"].(string), "sarif-schema-2.1.0.json") || len(log) != 3 {
		t.Fatalf("%v", log)
	}
	run := members(t, log["runs"].([]any)[0], "tool invocations results")
	driver := members(t, members(t, run["tool"], "driver")["driver"], "name rules")
	var ids []string
	for _, v := range driver["rules"].([]any) {
		rule := members(t, v, "id shortDescription fullDescription? help? properties")
		members(t, rule["shortDescription"], "text")
		if tags := rule["properties"].(map[string]any)["tags"].([]any); len(tags) == 0 {
			t.Error("a rule has no tags")
		}
		if slices.Contains(ids, rule["id"].(string)) {
			t.Errorf("%s comes twice", rule["id"])
		}
		ids = append(ids, rule["id"].(string))
	}
	if len(ids) != 7 {
		t.Errorf("%d rules for 7 cases", len(ids))
	}
	refers := func(id, index any) {
		t.Helper()
		if i := int(index.(float64)); i < 0 || i >= len(ids) || ids[i] != id {
			t.Errorf("rule %v is not %v", index, id)
		}
	}
	call := members(t, run["invocations"].([]any)[0], "executionSuccessful startTimeUtc endTimeUtc toolExecutionNotifications?")
	began, err1 := time.Parse(time.RFC3339, call["startTimeUtc"].(string))
	ended, err2 := time.Parse(time.RFC3339, call["endTimeUtc"].(string))
	if err1 != nil || err2 != nil || ended.Sub(began) != 83*time.Second || call["executionSuccessful"] != false {
		t.Errorf("%v", call)
	}
	var notes []any
	for _, v := range call["toolExecutionNotifications"].([]any) {
		n := members(t, v, "level message associatedRule?")
		if !slices.Contains([]any{"none", "note", "warning", "error"}, n["level"]) || members(t, n["message"], "text")["text"] == "" {
			t.Errorf("%v", n)
		}
		if ref, ok := n["associatedRule"]; ok {
			r := members(t, ref, "id index")
			refers(r["id"], r["index"])
			notes = append(notes, r["id"])
		}
	}
	if !reflect.DeepEqual(notes, []any{"other/stopped", "other/stopped-too"}) {
		t.Errorf("not tried: %v", notes)
	}
	levels := map[any]any{}
	for _, v := range run["results"].([]any) {
		r := members(t, v, "ruleId ruleIndex kind level message locations partialFingerprints webRequest? webResponse? properties")
		refers(r["ruleId"], r["ruleIndex"])
		if r["kind"] != "fail" || members(t, r["message"], "text")["text"] == "" {
			t.Errorf("%v", r)
		}
		for _, print := range r["partialFingerprints"].(map[string]any) {
			_ = print.(string)
		}
		at := members(t, members(t, members(t, r["locations"].([]any)[0], "physicalLocation")["physicalLocation"], "artifactLocation")["artifactLocation"], "uri")["uri"]
		if uri := at.(string); !strings.HasPrefix(uri, "https://login.example/") || strings.ContainsAny(uri, "?#") {
			t.Errorf("at %s", uri)
		}
		if r["webRequest"] != nil {
			members(t, r["webRequest"], "method target headers? body?")
			answer := members(t, r["webResponse"], "statusCode? noResponseReceived? headers? body?")
			if answer["noResponseReceived"] != true {
				t.Errorf("the last request had no answer: %v", answer)
			}
		}
		levels[r["ruleId"]] = r["level"]
	}
	if want := (map[any]any{"sample/in-the-wrong-way": "note", "other/lets-in": "error", "third/fails": "error"}); !reflect.DeepEqual(levels, want) {
		t.Errorf("levels %v", levels)
	}
}

// members gives an object that has the members of a list, those with a question mark perhaps, and no others.
func members(t *testing.T, v any, list string) map[string]any {
	t.Helper()
	o, ok := v.(map[string]any)
	if !ok {
		t.Fatalf("%v is no object", v)
	}
	known := map[string]bool{}
	for name := range strings.FieldsSeq(list) {
		name, optional := strings.CutSuffix(name, "?")
		known[name] = true
		if _, has := o[name]; !has && !optional {
			t.Errorf("%v has no %s", o, name)
		}
	}
	for name := range o {
		if !known[name] {
			t.Errorf("%v has %s, which is none of: %s", o, name, list)
		}
	}
	return o
}

// TestHTML: nothing that a server says becomes markup, and nothing is loaded.
func TestHTML(t *testing.T) {
	t.Parallel()
	got := rendered(t, sample(), (*Report).WriteHTML)
	for _, never := range []string{"<script", "\x1b", "\u202e", "<link", "<img", " src=", "url(", "@import", " href=", "<staging>"} {
		if strings.Contains(got, never) {
			t.Errorf("%q is in the page", never)
		}
	}
	if !strings.Contains(got, "&lt;script&gt;alert(1)") {
		t.Error("what the server said is not in the page")
	}
}

// TestEmptyReport: where nothing was tried each form says so.
func TestEmptyReport(t *testing.T) {
	t.Parallel()
	r := &Report{Schema: Schema, Target: "t", Issuer: "https://t.test", Interrupted: true, Cases: 3}
	for _, f := range reportForms {
		if got := rendered(t, r, f.write); !strings.Contains(got, "0") || f.end == "sarif" && !strings.Contains(got, `"results": []`) {
			t.Errorf("%s: %s", f.end, got)
		}
	}
	if r.OK() || !strings.HasSuffix(r.Summary(), "of 3 cases 0 passed, 0 failed, 0 could not be tried, 0 left out; the run was ended after 0") {
		t.Error(r.Summary())
	}
}

// TestCompare: each case is where it belongs.
func TestCompare(t *testing.T) {
	t.Parallel()
	report := func(status map[string]Status) *Report {
		r := new(Report)
		for _, id := range []string{"a/1", "a/2", "a/3", "a/4", "a/5", "a/6", "a/7", "a/8", "a/9"} {
			if s := status[id]; s != "" {
				r.Results = append(r.Results, Result{ID: id, Status: s})
			}
		}
		return r
	}
	before := report(map[string]Status{"a/1": Passed, "a/2": Failed, "a/3": Passed, "a/4": Blocked, "a/5": Failed, "a/6": Passed, "a/7": Skipped})
	after := report(map[string]Status{"a/1": Failed, "a/2": Passed, "a/3": Blocked, "a/4": Passed, "a/5": Failed, "a/7": Failed, "a/8": Failed, "a/9": Passed})
	d := Compare(before, after)
	list := func(all []Result) (out []string) {
		for _, r := range all {
			out = append(out, r.ID)
		}
		return out
	}
	for name, x := range map[string]struct {
		got  []Result
		want []string
	}{
		"failing": {d.NewlyFailing, []string{"a/1", "a/7", "a/8"}}, "passing": {d.NewlyPassing, []string{"a/2", "a/4"}}, "not tried": {d.NotTried, []string{"a/3"}},
		"added": {d.Added, []string{"a/8", "a/9"}}, "gone": {d.Gone, []string{"a/6"}},
	} {
		if got := list(x.got); !slices.Equal(got, x.want) {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	if d := Compare(after, after); !reflect.DeepEqual(d, Diff{}) {
		t.Errorf("the same twice: %+v", d)
	}
}
