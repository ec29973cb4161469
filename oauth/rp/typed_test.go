package rp_test

import (
	"bytes"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var shown = regexp.MustCompile(`(?s)<bdi>([^<]*)</bdi></label><textarea[^>]*>\n(.*?)</textarea>`)

// typed is what a page shows of a form.
func typed(r reply) (out []string) {
	for _, m := range shown.FindAllStringSubmatch(r.body, -1) {
		out = append(out, m[1]+"="+m[2])
	}
	return out
}

// TestExpiryWhileTyping: a form that comes too late does nothing, and what was typed into it is shown for copying. Secrets are not.
func TestExpiryWhileTyping(t *testing.T) {
	t.Parallel()
	fields := url.Values{
		"a.text": {"Dear John,\r\n\r\n  <b>20 %</b> off & more.\r\nжду"}, "b[title]": {"Offer"}, "cMail": {"ann@acme.test"}, "empty": {" "},
		"password": {"hunter2"}, "user[new_Password]": {"hunter2"}, "passwort": {"hunter2"}, "PIN": {"hunter2"}, "apiKey": {"hunter2"}, "api_key": {"hunter2"}, "otp-code": {"hunter2"},
		"csrf_token": {"hunter2"}, "cardNumber": {"hunter2"}, "number": {"4111 1111 1111 1111"}, "blob": {"aGVsbG8gd29ybGQgaGVsbG8gd29ybGQ="}, "understudy_session": {"imp_x"},
	}
	want := []string{"a.text=Dear John,\n\n  &lt;b&gt;20 %&lt;/b&gt; off &amp; more.\nжду", "b[title]=Offer", "cMail=ann@acme.test"}
	var mp bytes.Buffer
	parts := multipart.NewWriter(&mp)
	file, err := parts.CreateFormFile("file", "a.txt")
	if err != nil {
		t.Fatal(err)
	}
	file.Write([]byte("not typed"))
	for _, name := range []string{"a.text", "b[title]", "cMail", "password", "blob"} {
		if err := parts.WriteField(name, fields.Get(name)); err != nil {
			t.Fatal(err)
		}
	}
	parts.Close()
	both(t, func(t *testing.T, h *house) {
		fields := maps.Clone(fields)
		b := h.ann()
		b.impersonate("john", "write")
		send := func(bend func(*http.Request)) reply {
			req := b.request(http.MethodPost, h.asUser+"/note", fields)
			bend(req)
			return b.send(req)
		}
		same := func(*http.Request) {}
		h.setDown(true)
		if r := send(same); r.status != http.StatusServiceUnavailable || !cmp.Equal(want, typed(r)) {
			t.Errorf("the issuer is away: %d, %s", r.status, cmp.Diff(want, typed(r)))
		}
		h.setDown(false)
		if h.app == h.asUser { // of another session than the one that goes on
			if r := send(func(r *http.Request) { r.Header.Set("X-Understudy-Session", "imp_y") }); r.status != http.StatusForbidden || !cmp.Equal(want, typed(r)) {
				t.Errorf("of another session: %d, %s", r.status, cmp.Diff(want, typed(r)))
			}
		}
		delete(fields, "understudy_session")
		h.kill()
		for name, c := range map[string]struct {
			bend func(*http.Request)
			want []string
		}{
			"a form": {same, want},
			"with a file": {func(r *http.Request) {
				r2 := b.request("POST", h.asUser+"/note", nil)
				*r = *r2
				setBody(r, mp.Bytes(), parts.FormDataContentType())
			}, want},
			"no fetch data": {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", h.asUser) }, want},
			"from another site": {func(r *http.Request) {
				r.Header.Set("Sec-Fetch-Site", "cross-site")
				r.Header.Set("Origin", "https://evil.test")
			}, nil},
			"from a sibling": {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, nil},
			"from nowhere":   {func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "null") }, nil},
			"a program's":    {func(r *http.Request) { r.Header.Set("Accept", "application/json") }, nil},
			"not a form":     {func(r *http.Request) { r.Header.Set("Content-Type", "application/json") }, nil},
			"too long": {func(r *http.Request) {
				setBody(r, []byte("a="+strings.Repeat("%D0%B6", 100_000)), "application/x-www-form-urlencoded")
			}, []string{"a=" + strings.Repeat("ж", 43690)}},
			"too many": {func(r *http.Request) {
				setBody(r, []byte(strings.Repeat("a=b&", 99)), "application/x-www-form-urlencoded")
			}, strings.Split(strings.Repeat("a=b ", 40)[:159], " ")},
		} {
			r := send(c.bend)
			if diff := cmp.Diff(c.want, typed(r)); r.status != http.StatusForbidden || diff != "" {
				t.Errorf("%s: %d (-want +got)\n%.2000s", name, r.status, diff)
			}
			if strings.Contains(r.body, "hunter2") || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %v\n%s", name, r.header, r.body)
			}
		}
		h.clock.advance(time.Hour)
		if r := send(same); !cmp.Equal(want, typed(r)) {
			t.Errorf("when the cookie has expired too: %s", cmp.Diff(want, typed(r)))
		}
		if seen := h.taken(&h.seen); strings.Contains(strings.Join(seen, "\n"), "/note") {
			t.Errorf("the app saw %v", seen)
		}
		if logs := h.logs.String(); strings.Contains(logs, "Dear") || strings.Contains(logs, "hunter2") {
			t.Errorf("the log has what was typed: %s", logs)
		}
	})
}

func setBody(r *http.Request, body []byte, kind string) {
	r.Header.Set("Content-Type", kind)
	r.Body, r.ContentLength = http.NoBody, 0
	if n, err := http.NewRequest(r.Method, r.URL.String(), bytes.NewReader(body)); err == nil {
		r.Body, r.ContentLength, r.GetBody = n.Body, n.ContentLength, n.GetBody
	}
}
