package conformance

import (
	_ "embed"
	"html/template"
	"io"
	"strings"
)

//go:embed report.html
var pageSource string

// page is parsed once. It has no script and loads nothing, so that it can be mailed, kept and opened anywhere.
var page = template.Must(template.New("report").Parse(pageSource))

// pageFinding is a failure with what the page says of it.
type pageFinding struct {
	Result
	Called, Why, Mend string
	Last              []Exchange
}

// WriteHTML writes the report as one HTML page that needs nothing else.
func (r *Report) WriteHTML(w io.Writer) error {
	data := struct {
		*Report
		Summary  string
		Findings []pageFinding
		Blocked  []alike
		Areas    []area
		Kinds    map[string]bool // that there are
	}{r, r.Summary(), nil, r.reasons(Blocked), r.areas(), make(map[string]bool)}
	for _, f := range r.findings() {
		c, _ := Find(f.ID)
		data.Findings = append(data.Findings, pageFinding{f, f.Called(), c.Why, c.Mend, f.last(5)})
		data.Kinds[string(f.Kind)] = true
	}
	var b strings.Builder
	if err := page.Execute(&b, data); err != nil {
		return err
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}
