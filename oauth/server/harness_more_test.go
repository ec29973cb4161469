package server_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// setupSeen is setup with the handler called without sockets. Its tests look into the database: a test that claims that nothing
// was written must not ask the code that writes.
func setupSeen(t testing.TB, o options) *house {
	t.Helper()
	h := setup(t, o)
	h.http.Transport = inProcess{h.handler}
	return h
}

// inProcess carries requests to a handler by a call. A socket adds nothing to what these tests ask, and a body that the server
// refuses to read to its end may be cut off there before the answer arrives.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr, in.Host = r.URL.RequestURI(), "192.0.2.1:1234", r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	p.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

// call is a request in parts, so that a test can bend one of them.
type call struct {
	method, path string
	query, body  url.Values // nil body: none
	header       http.Header
}

func (c call) clone() call {
	c.query, c.body, c.header = cloneValues(c.query), cloneValues(c.body), c.header.Clone()
	return c
}

func cloneValues(v url.Values) url.Values {
	if v == nil {
		return nil
	}
	out := make(url.Values, len(v))
	for name, values := range v {
		out[name] = slices.Clone(values)
	}
	return out
}

// with gives c with a header set.
func (c call) with(name, value string) call {
	c = c.clone()
	if c.header == nil {
		c.header = make(http.Header)
	}
	c.header.Set(name, value)
	return c
}

// as gives c with the Basic authentication of client.
func (h *house) as(client string, c call) call {
	r := http.Request{Header: make(http.Header)}
	r.SetBasicAuth(client, h.secrets[client])
	return c.with("Authorization", r.Header.Get("Authorization"))
}

func (h *house) send(c call) reply {
	h.t.Helper()
	target := h.url + c.path
	if len(c.query) > 0 {
		target += "?" + c.query.Encode()
	}
	req, err := http.NewRequest(c.method, target, strings.NewReader(c.body.Encode()))
	h.must(err)
	if c.body != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, values := range c.header {
		req.Header[name] = values
	}
	return h.do(req)
}

// table is the rows of one table, as text.
type table []string

// tables lists those of the database.
func (b *base) tables(t testing.TB) []string {
	t.Helper()
	if b.superuser != "" {
		return query(t, b.admin, `SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'`)
	}
	return query(t, b.admin, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'`)
}

// dump reads the whole database: the trail in its order, all else sorted.
func (b *base) dump(t testing.TB) map[string]table {
	t.Helper()
	out := make(map[string]table)
	for _, name := range b.tables(t) {
		if name == "audit_entry" {
			out[name] = query(t, b.admin, `SELECT * FROM audit_entry ORDER BY seq`)
			continue
		}
		out[name] = query(t, b.admin, `SELECT * FROM "`+name+`"`)
		slices.Sort(out[name])
	}
	return out
}

// query gives a line a row.
func query(t testing.TB, db *sql.DB, q string) (lines table) {
	t.Helper()
	rows, err := db.Query(q)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		var cells []string
		for _, v := range values {
			cells = append(cells, cell(*v.(*any)))
		}
		lines = append(lines, strings.Join(cells, "|"))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}

func cell(v any) string {
	if b, ok := v.([]byte); ok {
		return string(b) // so that a secret kept as bytes is found too
	}
	return fmt.Sprint(v)
}

// version changes with each commit of somebody else; it is cheap, where a dump is not. It must always come from the one connection.
func version(t testing.TB, db *sql.DB) string {
	t.Helper()
	db.SetMaxOpenConns(1)
	return query(t, db, `PRAGMA data_version`)[0]
}

// onlyAudit demands that two dumps differ by nothing but new audit entries of the given kinds.
func onlyAudit(t testing.TB, what string, before, after map[string]table, kinds ...string) {
	t.Helper()
	was, is := before["audit_entry"], after["audit_entry"]
	for _, line := range is[len(was):] {
		if !slices.ContainsFunc(kinds, func(k string) bool { return strings.Contains(line, "|"+k+"|") }) {
			t.Errorf("%s: wrote the entry %s; want none but %v", what, line, kinds)
		}
	}
	for name := range after {
		if name == "audit_entry" {
			continue
		}
		if diff := cmp.Diff(before[name], after[name]); diff != "" {
			t.Errorf("%s: wrote to %s, -before +after:\n%s", what, name, diff)
		}
	}
}

var aJWT = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+`)

// gaveNothing demands that an answer holds nothing with which anybody could go on: no token, code, ticket or cookie, but for the
// token that they sent themselves.
func gaveNothing(t testing.TB, what string, r reply, sent string) {
	t.Helper()
	if r.status >= 500 {
		t.Errorf("%s: got %d %s; want no failure of ours", what, r.status, r.body)
	}
	for _, member := range []string{"access_token", "refresh_token", "id_token", "understudy_return_token", "understudy_session", "code", "ticket"} {
		if _, ok := r.json[member]; ok {
			t.Errorf("%s: got %d with %s: %s", what, r.status, member, r.body)
		}
		if r.location != nil && (r.location.Query().Has(member) || strings.Contains(r.location.Fragment, member+"=")) && !strings.HasPrefix(r.location.Path, "/sign-in") {
			t.Errorf("%s: sent to %v; want no %s", what, r.location, member)
		}
	}
	if found := aJWT.FindString(r.body); found != "" && found != sent {
		t.Errorf("%s: the answer %d holds a JWT: %s", what, r.status, r.body)
	}
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.MaxAge >= 0 && c.Value != "" {
			t.Errorf("%s: got %d with a cookie %s", what, r.status, c.Name)
		}
	}
}
