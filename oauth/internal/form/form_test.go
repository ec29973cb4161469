package form_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/internal/form"
)

const urlencoded = "application/x-www-form-urlencoded"

func post(contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/oauth2/token", strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func TestBody(t *testing.T) {
	t.Parallel()
	rules := form.Rules{Repeatable: []string{"resource"}, Multiline: []string{"reason"}}
	cases := []struct {
		name        string
		contentType string
		body        string
		want        url.Values
		wantErr     string
		wantStatus  int
	}{
		{"two parameters", urlencoded, "a=1&b=x%20y", url.Values{"a": {"1"}, "b": {"x y"}}, "", 0},
		{"charset", urlencoded + "; charset=UTF-8", "a=1", url.Values{"a": {"1"}}, "", 0},
		{"empty counts as omitted", urlencoded, "a=&b=1", url.Values{"b": {"1"}}, "", 0},
		{"repeatable", urlencoded, "resource=x&resource=y", url.Values{"resource": {"x", "y"}}, "", 0},
		{"newline where a person types", urlencoded, "reason=a%0D%0Ab", url.Values{"reason": {"a\r\nb"}}, "", 0},
		{"repeated", urlencoded, "scope=a&scope=b", nil, "scope: given more than once (RFC 6749 §3.2)", 400},
		{"repeated with one empty", urlencoded, "scope=&scope=b", nil, "scope: given more than once (RFC 6749 §3.2)", 400},
		{"repeated in other spelling", urlencoded, "scope=a&s%63ope=b", nil, "scope: given more than once (RFC 6749 §3.2)", 400},
		{"not UTF-8", urlencoded, "scope=%ff", nil, "scope: not valid UTF-8 (RFC 6749 appendix B)", 400},
		{"NUL", urlencoded, "scope=a%00", nil, "scope: control characters are not allowed", 400},
		{"newline elsewhere", urlencoded, "scope=a%0a", nil, "scope: control characters are not allowed", 400},
		{"broken escape", urlencoded, "scope=%zz", nil, "scope: the percent-encoding is broken", 400},
		{"semicolon", urlencoded, "a=1;b=2", nil, "a semicolon must be percent-encoded", 400},
		{"name with a space", urlencoded, "a+b=1", nil, "not a parameter name: printable ASCII, at most 64 characters", 400},
		{"long value", urlencoded, "scope=" + strings.Repeat("a", form.MaxValue+1), nil, "scope: too long: a value may have 8192 bytes", 413},
		{"64 KiB", urlencoded, "a=1&scope=" + strings.Repeat("a", 64<<10), nil, "scope: too long: the body may have 32768 bytes", 413},
		{"many", urlencoded, strings.Repeat("a=1&", form.MaxParameters), nil, "more than 64 parameters", 400},
		{"JSON", "application/json", `{"a":1}`, nil, "the body must be application/x-www-form-urlencoded (RFC 6749 §3.2)", 415},
		{"multipart", "multipart/form-data; boundary=x", "--x--", nil, "the body must be application/x-www-form-urlencoded (RFC 6749 §3.2)", 415},
		{"no type", "", "a=1", nil, "the body must be application/x-www-form-urlencoded (RFC 6749 §3.2)", 415},
		{"latin-1", urlencoded + "; charset=iso-8859-1", "a=1", nil, "the charset must be UTF-8 (RFC 6749 appendix B)", 415},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := post(c.contentType, c.body)
			got, err := form.Body(httptest.NewRecorder(), r, rules)
			if c.wantErr != "" {
				fe, ok := err.(*form.Error)
				if !ok || fe.Error() != c.wantErr || fe.Status != c.wantStatus {
					t.Fatalf("Body = %v, %v; want status %d, %q", got, err, c.wantStatus, c.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(got, r.PostForm); diff != "" {
				t.Errorf("r.PostForm differs from the answer:\n%s", diff)
			}
		})
	}
}

func TestBodyRefusesQueryAndMethods(t *testing.T) {
	t.Parallel()
	r := post(urlencoded, "a=1")
	r.URL.RawQuery = "client_secret=x"
	if _, err := form.Body(httptest.NewRecorder(), r, form.Rules{}); err == nil || !strings.HasPrefix(err.Error(), "client_secret: ") {
		t.Errorf("query at a POST endpoint: got %v, want an error that names client_secret", err)
	}
	for _, m := range []string{http.MethodGet, http.MethodPut, http.MethodHead, http.MethodOptions} {
		w := httptest.NewRecorder()
		_, err := form.Body(w, httptest.NewRequest(m, "/oauth2/token", nil), form.Rules{})
		if fe, ok := err.(*form.Error); !ok || fe.Status != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: got %v, Allow %q; want 405 and POST", m, err, w.Header().Get("Allow"))
		}
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodGet, "/impersonate?a=1&b=2", nil)
	got, err := form.Query(r, form.Rules{})
	if diff := cmp.Diff(url.Values{"a": {"1"}, "b": {"2"}}, got); diff != "" || err != nil {
		t.Errorf("Query: %v\n%s", err, diff)
	}
	for query, want := range map[string]string{
		"a=1&a=1":                         "a: given more than once (RFC 6749 §3.2)",
		"q=" + strings.Repeat("a", 9<<10): "q: too long: the query may have 8192 bytes",
		"q=%ff":                           "q: not valid UTF-8 (RFC 6749 appendix B)",
	} {
		if _, err := form.Query(httptest.NewRequest(http.MethodGet, "/x?"+query, nil), form.Rules{}); err == nil || err.Error() != want {
			t.Errorf("Query(%.20q) = %v; want %q", query, err, want)
		}
	}
}

// FuzzBody holds that what is accepted is what net/url reads too: no second parser may see another request.
func FuzzBody(f *testing.F) {
	for _, s := range []string{"a=1&b=2", "a=&a=", "a=%ff", "%61=1&a=2", "a=1;b=2", "=x", "&&", "a=+%2B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := form.Body(httptest.NewRecorder(), post(urlencoded, body), form.Rules{})
		if err != nil {
			return
		}
		ref, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("accepted %q, which net/url refuses: %v", body, err)
		}
		for name, vs := range ref {
			if len(vs) != 1 {
				t.Fatalf("accepted %q with %s %d times", body, name, len(vs))
			}
			if got.Get(name) != vs[0] {
				t.Fatalf("%q: %s is %q here and %q in net/url", body, name, got.Get(name), vs[0])
			}
		}
	})
}
