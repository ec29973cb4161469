package conformance

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteText writes the report for people to read on a terminal: the findings first, the worst of them at the top, with the last of their requests.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Summary())
	fmt.Fprintf(&b, "target   %s\nissuer   %s\nstarted  %s, took %s, %d requests\n", r.Target, r.Issuer, r.Started.Format(time.RFC3339), r.Duration, r.Requests)
	for _, result := range r.findings() {
		fmt.Fprintf(&b, "\n%-8s  %s\n", strings.ToUpper(string(result.Severity)), result.ID)
		explained(&b, result)
		evidence(&b, result.last(3), "  ")
	}
	for _, a := range r.reasons(Blocked) {
		fmt.Fprintf(&b, "\nNOT TRIED  %s\n", strings.ReplaceAll(a.Reason, "\n", "\n  "))
		ids(&b, a.IDs)
	}
	for _, a := range r.reasons(Skipped) {
		fmt.Fprintf(&b, "\nLEFT OUT  %s\n", strings.ReplaceAll(a.Reason, "\n", "\n  "))
		ids(&b, a.IDs)
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// explained writes what is wrong, and why that matters.
func explained(b *strings.Builder, r Result) {
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-5s %s\n", name, strings.ReplaceAll(text, "\n", "\n        "))
		}
	}
	line("is a", r.Called())
	line("rule", r.Requirement)
	line("want", r.Want)
	line("got", r.Got)
	c, _ := Find(r.ID)
	line("why", c.Why)
	line("mend", c.Mend)
	line("known", strings.Join(r.KnownFrom, "; "))
}

// evidence writes requests and their answers.
func evidence(b *strings.Builder, all []Exchange, indent string) {
	for _, e := range all {
		text := strings.TrimRight(e.Method+" "+e.URL+"\n"+e.Body, "\n") + "\n"
		if e.Status != 0 {
			text += strings.TrimRight(fmt.Sprintf("-> %d %s", e.Status, e.Answer), " \n")
		} else {
			text += "-> no answer: " + e.Error
		}
		b.WriteString(indent + "| " + strings.ReplaceAll(text, "\n", "\n"+indent+"|   ") + "\n")
	}
}

func ids(b *strings.Builder, all []string) {
	for _, id := range all {
		fmt.Fprintf(b, "  %s\n", id)
	}
}

// String is seconds, such as "1.2 s".
func (d Duration) String() string { return fmt.Sprintf("%.1f s", time.Duration(d).Seconds()) }
