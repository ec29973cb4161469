package rp

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// part is one of a multipart body whose boundary is XyZ.
func part(head, content string) string { return "--XyZ\r\n" + head + "\r\n\r\n" + content + "\r\n" }

func field(name string) string {
	return part(`Content-Disposition: form-data; name="`+name+`"`, "DELETE")
}

const (
	urlencoded = "application/x-www-form-urlencoded"
	parts      = "multipart/form-data; boundary=XyZ"
	end        = "--XyZ--\r\n"
)

// TestHiddenMethod: a body counts as one that names no other method only where every framework reads it so.
func TestHiddenMethod(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", mostRead)
	file := part("Content-Disposition: form-data; name=\"file\"; filename=\"a b's.pdf\"\r\nContent-Type: application/pdf", "%PDF\n--Xy\r\n_method name=\"_method\"\x00")
	for _, c := range []struct {
		kind, body string
		want       bool
	}{
		{urlencoded, "", false}, {urlencoded, "a=b&_method_=x&payment_method=card&x=_method", false}, {urlencoded + "; charset=UTF-8", "a=%C3%A9&b=%zz", false}, {urlencoded, "a=" + long[2:], false},
		{urlencoded, "a=" + long[2:] + "&_method=DELETE", true}, {urlencoded, "a=" + long, true}, {urlencoded, "_method%00%zz=DELETE", true}, {urlencoded, "a=b;%5Fmethod=DELETE", true},
		{urlencoded + "; charset=utf-16", "a=b", true}, {urlencoded + "; charset=ibm037", "a=b", true}, {urlencoded + "; x", "a=b", true}, {urlencoded + "; a=/json", `{"_method":"DELETE"}`, true}, {urlencoded + ", text/plain", "a=b", true},
		{"", "_method=DELETE", true}, {"", "a=b", false}, // Rack takes a POST without a type for a form
		{"application/json", `{"a":{"_method":"DELETE"},"b":["_method"],"method":"_method"}`, false}, {"application/json", ` [{"_method":"DELETE"}] "_method" 7 null`, false}, {"application/x-ndjson", "{}\n{\"a\":1}\n", false},
		{"application/json", `{"a":"` + long[10:] + `"}`, false}, {"application/json", `{"a":"` + long + `","_method":"DELETE"}`, true}, {"application/json; charset=utf-8", `{"a":1,"_METHOD":"DELETE"}`, true},
		{"Application/Vnd.API+json", `{"\u005fmethod":"DELETE"}`, true}, {"text/json", `{"a":1}{"_method":"DELETE"}`, true}, {"application/json", `{"a":1,"_method":"DELETE",}`, true}, {"application/json", "\ufeff{\"_method\":\"DELETE\"}", true},
		{"application/json", `{"a":"` + "\xff" + `"}`, true}, {"application/json", `{"a":1`, true}, {"application/json; charset=utf-16", `{}`, true}, {"application/json", `{"_method":"PUT","_method":null}`, true},
		{parts, field("a") + file + end, false}, {parts, field("users[7][name]") + "--XyZ--", false}, {parts, end, false}, {parts, part("content-disposition: form-data; name=a\r\nContent-Length: 1\r\nContent-Transfer-Encoding: binary", "") + end, false},
		{`multipart/form-data; boundary="XyZ"`, part(`Content-Disposition: form-data; name=a; filename=a.txt; filename*=utf-8''a%20b.txt`, "x") + end, false},
		{parts, field("_method") + end, true}, {parts, field("a") + strings.Repeat("x", mostRead) + end, true}, {parts, file + field("_METHOD") + end, true}, {parts, field(`_\method`) + end, true}, {parts, field("%5fmethod") + end, true},
		{parts, field("=?utf-8?q?=5fmethod?=") + end, true}, {parts, field(`a"; name="_method`) + end, true}, {parts, field(`a"; filename="x; name=_method`) + end, true},
		{parts, part(`Content-Disposition: form-data; name="_method"; filename*=utf-8''x`, "DELETE") + end, true}, {parts, part(`Content-Disposition: form-data; name="_method"; filename="x"`, "DELETE") + end, true},
		{parts, part("Content-ID: _method", "DELETE") + end, true}, {parts, part("Content-Disposition: form-data; name=\"a\"\r\nContent-ID: _method", "DELETE") + end, true}, {parts, part("Content-Type: text/plain", "DELETE") + end, true},
		{parts, part("Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"b\"", "DELETE") + end, true}, {parts, part("Content-Disposition: attachment; name=\"_method\"", "DELETE") + end, true},
		{parts, part("Content-Disposition: form-data;\r\n name=\"_method\"", "DELETE") + end, true}, {parts, part("Content-Type: x\nContent-Disposition: form-data; name=\"_method\"\r\nContent-Disposition: form-data; name=\"a\"", "DELETE") + end, true},
		{parts, strings.ReplaceAll(field("a")+field("_method")+end, "\r\n", "\n"), true}, {parts, field("a") + "--XyZ\nContent-Disposition: form-data; name=\"_method\"\n\nDELETE\n" + end, true},
		{parts, field("a") + "--XyZ--\r\n" + field("_method") + end, true}, {parts, "x\r\n" + field("a") + end, true}, {parts, strings.TrimSuffix(field("a"), "\r\n") + end, true}, {parts, strings.Replace(field("a"), "\r\n", "", 1) + end, true}, {parts, field("a"), true}, {parts, "--XyZ", true}, {parts, "x", true}, {parts, field("a") + end + "x", true},
		{parts, part(`Content-Disposition: form-data; name="a"`, "x\r\n--XyZ \r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE") + end, true},
		{"multipart/form-data; boundary=XyZ; boundary=x", field("a") + end, true}, {"multipart/form-data; xboundary=x; boundary=XyZ", field("a") + end, true}, {"multipart/form-data; boundary*=utf-8''XyZ", field("a") + end, true}, {"multipart/form-data", field("a") + end, true},
		{"multipart/mixed; boundary=XyZ", field("_method") + end, true}, {"multipart/related; boundary=XyZ", field("a") + end, false}, {parts + "; a=+json", field("a") + end, true},
		{"text/plain", "_method=DELETE", false}, {"application/octet-stream", "_method=DELETE" + long, false}, {"application/xml", "<_method>", false}, {"application/grpc", "\x00", false},
		{"application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "_method=DELETE", false}, {"x", "a", false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(c.body))
		if c.kind != "" {
			r.Header.Set("Content-Type", c.kind)
		}
		if got := hidesMethod(r); got != c.want {
			t.Errorf("%s, %.80q: got %v, want %v", c.kind, c.body, got, c.want)
		}
		if left, err := io.ReadAll(r.Body); err != nil || string(left) != c.body {
			t.Errorf("%s, %.80q: left %.80q, %v", c.kind, c.body, left, err)
		}
	}
	for name, bend := range map[string]func(*http.Request){
		"two types": func(r *http.Request) { r.Header.Add("Content-Type", "text/plain") },
		"packed":    func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") },
		"broken":    func(r *http.Request) { r.Body = io.NopCloser(failing{err: io.ErrUnexpectedEOF}) },
	} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("a=b"))
		r.Header.Set("Content-Type", urlencoded)
		if bend(r); !hidesMethod(r) {
			t.Errorf("%s: taken for read", name)
		}
	}
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodPut, "/", strings.NewReader("_method=DELETE")), httptest.NewRequest(http.MethodPost, "/", nil), {Method: "POST"}} {
		if hidesMethod(r) {
			t.Errorf("%s without a type, or a body: refused", r.Method)
		}
	}
}

// FuzzHiddenMethod: where nothing is hidden, Go's own reading of the body finds no other method either, and the body is as it was.
func FuzzHiddenMethod(f *testing.F) {
	for _, kind := range []string{urlencoded, parts, "application/json", "", "multipart/mixed; boundary=XyZ", "multipart/form-data; boundary=\"XyZ\"", "text/plain"} {
		f.Add(kind, "a=b&_method=DELETE")
		f.Add(kind, field("a")+field("_method")+end)
		f.Add(kind, part("Content-Disposition: form-data; name=a; filename=x", "--XyZ\r\n")+end)
		f.Add(kind, `{"a":1,"_method":"DELETE"}`)
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		hides := hidesMethod(r)
		left, err := io.ReadAll(r.Body)
		if err != nil || string(left) != body {
			t.Fatalf("left %q of %q, %v", left, body, err)
		}
		if hides {
			return
		}
		if name := overriding(kind, left); name != "" {
			t.Fatalf("%s %q: names %q", kind, body, name)
		}
	})
}

// overriding is the name by which a body overrides a method, as Go reads it; "" for none.
func overriding(kind string, body []byte) string {
	media, params, _ := mime.ParseMediaType(kind)
	switch {
	case media == urlencoded || kind == "":
		form, _ := url.ParseQuery(string(body))
		for name := range form {
			if methodName(name) {
				return name
			}
		}
	case strings.HasPrefix(media, "multipart/"):
		for form := multipart.NewReader(bytes.NewReader(body), params["boundary"]); ; {
			p, err := form.NextRawPart()
			if err != nil {
				return ""
			}
			if methodName(p.FormName()) {
				return p.FormName()
			}
		}
	case strings.Contains(media, "json"):
		var members map[string]any
		_ = json.Unmarshal(body, &members)
		for name := range members {
			if methodName(name) {
				return name
			}
		}
	}
	return ""
}

// FuzzSpellings: however often a path is disguised in ways that routers see through, a pattern that it matches is found; a plain one is found as it stands alone.
func FuzzSpellings(f *testing.F) {
	f.Add([]byte{})
	for i := range byte(disguises) {
		f.Add([]byte{i, 3})
		f.Add([]byte{i, 9, (i + 3) % disguises, 0, (i + 5) % disguises, 7})
	}
	f.Fuzz(func(t *testing.T, how []byte) {
		var blocked, other folded
		blocked.add("DELETE /Account/{ID}/keys")
		other.add("DELETE /account/{id}/key")
		u := &url.URL{Path: disguised("/account/7/keys", how)}
		u, err := url.ParseRequestURI(u.Path)
		if err != nil {
			t.Skip("no path that a server takes")
		}
		r := &http.Request{Method: "delete", URL: u}
		if !blocked.match(r) {
			t.Errorf("%s passes", u.EscapedPath())
		}
		if other.match(r) {
			t.Errorf("%s is taken for another", u.EscapedPath())
		}
	})
}

const disguises = 12

// disguised is path in other letters, with other slashes, dots, parameters, formats and scripts, at the places that how has.
func disguised(path string, how []byte) string {
	var formats, scripts, decodings int
	for i := 0; i+1 < len(how) && i < 40; i += 2 {
		slashes := strings.Count(path, "/")
		at, nth := 0, int(how[i+1])%slashes
		for n := -1; n < nth; at++ { // behind the slash
			if path[at] == '/' {
				n++
			}
		}
		switch how[i] % disguises {
		case 0:
			path = strings.ToUpper(path)
		case 1:
			path = path[:at] + "/" + path[at:]
		case 2:
			path = path[:at] + "./" + path[at:]
		case 3:
			path = path[:at] + "x/../" + path[at:]
		case 4:
			path += "/"
		case 5:
			path += ";a=b"
		case 6:
			if formats++; formats == 1 && strings.HasSuffix(strings.ToLower(path), "s") && !strings.Contains(path, ";") { // it is of a name
				path += ".json"
			}
		case 7:
			if scripts++; scripts == 1 {
				path = "/sub/index.php" + path
			}
		case 8:
			if at > 1 {
				path = path[:at-1] + ";v=1" + path[at-1:]
			}
		case 9:
			if at > 1 {
				path = path[:at-1] + `%5C` + path[at:]
			}
		case 10:
			if c := path[at%len(path)]; decodings < maxDecoded && c != '%' && c != '/' {
				path = path[:at] + fmt.Sprintf("%%%02x", c) + path[at+1:]
			}
		case 11:
			if decodings++; decodings < maxDecoded {
				path = strings.ReplaceAll(path, "%", "%25")
			}
		}
	}
	return path
}
