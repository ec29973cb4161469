package rp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

const mark = "█"

// impersonation is a session and the app it goes on in, on an origin of its own.
func impersonation() (*App, *Session) {
	base := &site{origin: "https://app.example", host: "app.example", signsIn: true}
	own := &site{origin: "https://as-user.app.example", host: "as-user.app.example", acts: true}
	at := time.Date(2026, 3, 1, 22, 28, 0, 0, time.UTC)
	return &App{cfg: Config{Issuer: "https://id.example"}, base: base, acting: own, now: func() time.Time { return at.Add(12 * time.Minute) }, live: silent{}, ending: &endings{ctx: context.Background()}}, &Session{
		ID: "imp_abcdefghijklmnopqrstuvwxyz", Mode: oauth.ModeRead, Started: at, Expires: at.Add(30 * time.Minute),
		Subject: Person{Subject: "usr_john", Name: "John Doe", Email: "john@acme.test"},
		Actor:   Person{Subject: "usr_ann", Name: "Ann Lee", Email: "ann@acme.test"},
	}
}

// injected wraps h as Handler does. Each call of count is one header that went out.
func injected(h http.HandlerFunc, count func(status int)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, s := impersonation()
		v := &visit{app: a, site: a.acting, session: s}
		in := newInjector(w, r, v, func(in *injector, _ http.Header) bool { count(in.status); return true })
		defer in.finish()
		h(in, v.into(r))
	})
}

// answer is what h answers to r, with the banner as mark.
func answer(t testing.TB, r *http.Request, h http.HandlerFunc) (*http.Response, string) {
	t.Helper()
	rec := httptest.NewRecorder()
	var sent []int
	injected(h, func(status int) { sent = append(sent, status) }).ServeHTTP(rec, r)
	if len(sent) != 1 || sent[0] != rec.Code {
		t.Errorf("headers ran for %v, want once for %d", sent, rec.Code)
	}
	a, s := impersonation()
	return rec.Result(), strings.ReplaceAll(rec.Body.String(), bannerHTML(a.acting, s), mark)
}

func asking(dest string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://as-user.app.example/", nil)
	if dest != "" {
		r.Header.Set("Sec-Fetch-Dest", dest)
	}
	return r
}

func page(kind string, pieces ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		for _, p := range pieces {
			io.WriteString(w, p)
		}
	}
}

// TestInjectPlace writes each page whole, byte by byte, and flushing each. The mark is where the banner must be.
func TestInjectPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, dest, want string }{
		{"body", "", "<!doctype html><html><head><title>x</title></head><body>█<p>y"},
		{"upper case, attributes", "", "<!DOCTYPE HTML>\n<HTML>\n<BODY CLASS='a>b' data-x=\"</body>>\" y=z/ >█y"},
		{"odd attributes", "", `<html><body a"b='>' ="x>█'">`},
		{"quote in an unquoted value", "", `<html><body a=b"c>█"`},
		{"byte order mark", "", "\uFEFF <html><body>█"},
		{"comment first", "", "<!-- <body> --><!doctype html><!--><!---><!-- a -- > b --!><body>█"},
		{"processing instruction", "", `<?xml version="1.0"?><!DOCTYPE html><body>█`},
		{"in comment", "", "<!doctype html><!-- <body> <!-- --><body>█"},
		{"in script", "", "<!doctype html><script>a='<body>'</script ><body>█"},
		{"in escaped script", "", "<!doctype html><script><!-- w('<script><body></script>') <body> --></script><body>█"},
		{"in script that looks escaped", "", "<!doctype html><script>a='<!-- <script >'; b='-->'</script><body>█"},
		{"in style, title, noscript, template", "", "<html><style><body></style><title><body></titlex></title><noscript><body></noscript><template><body>x<template></template><p></template><body>█"},
		{"no body tag", "", "<!doctype html><title>x</title>\n<meta a><link b>█<p>y<body>"},
		{"text", "", "<!doctype html><title>x</title> \n█y"},
		{"letter like a byte order mark", "document", "█\uFF0C"},
		{"lone <", "", "<!doctype html>█< <body>"},
		{"end of html", "", "<!doctype html><title>x</title>█</html>"},
		{"other end tag", "", "<html></p></x><//><!x><body>█"},
		{"noscript after the head", "", "<html><head></head>█<noscript><body></noscript>"},
		{"nothing but a head", "", "<!doctype html><script>f()</script>█"},
		{"unfinished script", "", "<!doctype html><script>f()"},
		{"unfinished tag", "", "<!doctype html><body"},
		{"unfinished comment", "", "<!doctype html><!-- <body> "},
		{"frameset", "document", "<html><head></head><frameset><frame></frameset><noframes><body></noframes></html>"},
		{"fragment", "", "<p>x<body>"},
		{"fragment of a head", "", "<script>x</script><body>"},
		{"fragment of text", "", "x <!doctype html><body>"},
		{"fragment by its end tag", "", "</head><body>"},
		{"document without a doctype", "document", "<title>x</title>█<p>y"},
		{"iframe", "iframe", "█x"},
		{"for script", "empty", "<!doctype html><body>x"},
		{"object", "object", "<!doctype html><body>█x"},
		{"object, fragment", "object", "x"},
		{"utf-16", "document", "\xff\xfe<\x00b\x00o\x00d\x00y\x00>\x00"},
		{"empty", "document", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			in := strings.ReplaceAll(c.want, mark, "")
			for _, pieces := range [][]string{{in}, strings.Split(in, "")} {
				if _, got := answer(t, asking(c.dest), page("text/html; charset=utf-8", pieces...)); got != c.want {
					t.Errorf("in %d pieces: got %q, want %q", len(pieces), got, c.want)
				}
			}
			_, got := answer(t, asking(c.dest), func(w http.ResponseWriter, r *http.Request) {
				for _, p := range strings.Split(in, "") {
					page("text/html", p)(w, r)
					w.(http.Flusher).Flush()
				}
			})
			if got != c.want {
				t.Errorf("flushed after each byte: got %q, want %q", got, c.want)
			}
		})
	}
}

// TestInjectOnlyPages: whatever is no page of the app passes untouched, header and all.
func TestInjectOnlyPages(t *testing.T) {
	t.Parallel()
	const doc = "<!doctype html><body>"
	header := func(name, value string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Header().Set(name, value)
			w.WriteHeader(status)
			io.WriteString(w, doc)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"text":                      page("text/plain", doc),
		"json":                      page("application/json", doc),
		"xhtml":                     page("application/xhtml+xml", doc),
		"a part":                    header("X", "y", http.StatusPartialContent),
		"elsewhere":                 header("Location", "/", http.StatusSeeOther),
		"compressed":                header("Content-Encoding", "gzip", http.StatusOK),
		"a file":                    header("Content-Disposition", `Attachment; filename="inline.html"`, http.StatusOK),
		"a file of an unknown kind": header("Content-Disposition", "saved", http.StatusOK),
		"utf-16":                    header("Content-Type", "text/html; charset=UTF-16LE", http.StatusOK),
		"no type, on purpose": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			io.WriteString(w, doc)
		},
		"banner of its own": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			BannerHTML(r.Context())
			io.WriteString(w, doc)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tagged := func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Etag", `"1"`)
				w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
				h(w, r)
			}
			got, body := answer(t, asking("document"), tagged)
			if body != doc || got.Header.Get("Etag") != `"1"` || got.Header.Get("Content-Length") != strconv.Itoa(len(doc)) {
				t.Errorf("got %q, %v; want it untouched", body, got.Header)
			}
		})
	}
}

// TestInjectErrorPages: the app's own errors are pages too.
func TestInjectErrorPages(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusCreated, http.StatusNotFound, http.StatusUnprocessableEntity, http.StatusInternalServerError} {
		got, body := answer(t, asking("document"), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(status)
			io.WriteString(w, "<!doctype html><body>")
		})
		if got.StatusCode != status || body != "<!doctype html><body>█" {
			t.Errorf("%d: got %d %q", status, got.StatusCode, body)
		}
	}
}

func TestInjectGuessesTheType(t *testing.T) {
	t.Parallel()
	long := strings.Repeat(" ", sniffed)
	for _, c := range []struct {
		pieces []string
		want   string
	}{
		{[]string{"<!doctype html><body>x"}, "<!doctype html><body>█x"},
		{[]string{"\n", "<!doc", "type html><body>x"}, "\n<!doctype html><body>█x"},
		{[]string{"<!doctype html><body>", long}, "<!doctype html><body>█" + long},
		{[]string{"<!doctype html>" + long, "<body>"}, "<!doctype html>" + long + "<body>█"},
		{[]string{long, "<!doctype html><body>"}, long + "<!doctype html><body>"},
		{[]string{"<", "x"}, "<x"},
		{nil, ""},
	} {
		if _, got := answer(t, asking("document"), page("", c.pieces...)); got != c.want {
			t.Errorf("%q: got %q, want %q", c.pieces, got, c.want)
		}
	}
}

func TestInjectLooksOnlySoFar(t *testing.T) {
	t.Parallel()
	const doc, body = "<!doctype html>", "<body>"
	fits := strings.Repeat(" ", maxHeld-len(doc)-len(body))
	for space, want := range map[string]string{fits: doc + fits + body + mark, fits + " ": doc + fits + " " + body} {
		for _, pieces := range [][]string{{doc + space + body}, {doc, space, body}, {doc, space + body}} {
			if _, got := answer(t, asking(""), page("text/html", pieces...)); got != want {
				t.Errorf("%d spaces in %d pieces: the banner is there: %v", len(space), len(pieces), strings.Contains(got, mark))
			}
		}
	}
}

func TestInjectHeaders(t *testing.T) {
	t.Parallel()
	const doc = "<!doctype html><body>x"
	a, s := impersonation()
	h := func(w http.ResponseWriter, r *http.Request) {
		for name, value := range map[string]string{
			"Content-Type": "Text/HTML", "Content-Length": strconv.Itoa(len(doc)), "Etag": `"1"`, "Last-Modified": "yesterday", "Content-Security-Policy": "default-src 'none'",
			"Content-Disposition": "filename=page.html", "Accept-Ranges": "bytes", "Content-Digest": "sha-256=:x:", "Repr-Digest": "sha-256=:x:", "Digest": "x", "Content-MD5": "x",
		} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(http.StatusOK)
		w.WriteHeader(http.StatusTeapot) // superfluous
		if r.Method != http.MethodHead {
			io.WriteString(w, doc)
		}
	}
	want := map[string]string{
		http.MethodGet:  strconv.Itoa(len(doc) + len(bannerHTML(a.acting, s))),
		http.MethodPost: strconv.Itoa(len(doc) + len(bannerHTML(a.acting, s))),
		http.MethodHead: "",
	}
	for method, length := range want {
		r := asking("document")
		r.Method = method
		got, _ := answer(t, r, h)
		if got.StatusCode != 200 || got.Header.Get("Content-Length") != length || got.Header.Get("Etag")+got.Header.Get("Last-Modified") != "" {
			t.Errorf("%s: %d, %v; want length %q and no validators", method, got.StatusCode, got.Header, length)
		}
		for _, name := range []string{"Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
			if value := got.Header.Get(name); value != "" {
				t.Errorf("%s: %s %q of a page that is another now", method, name, value)
			}
		}
		if csp := got.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "style-src-elem "+a.acting.origin+stylePath) {
			t.Errorf("%s: CSP %q does not allow the banner's style", method, csp)
		}
	}
}

func TestInjectNothingWritten(t *testing.T) {
	t.Parallel()
	got, body := answer(t, asking("document"), func(http.ResponseWriter, *http.Request) {})
	if got.StatusCode != 200 || body != "" {
		t.Errorf("got %d, %q", got.StatusCode, body)
	}
}

// TestInjectFlush: what is flushed arrives before the handler has returned, and the banner is still in its place.
func TestInjectFlush(t *testing.T) {
	t.Parallel()
	read := make(chan struct{})
	srv := httptest.NewServer(injected(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Length", "31")
		io.WriteString(w, "<!doctype html><title></title><b")
		w.(http.Flusher).Flush()
		<-read
		io.WriteString(w, "ody>x")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
	}, func(int) {}))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 30)
	if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "<!doctype html><title></title>" {
		t.Errorf("flushed %q, %v", first, err)
	}
	close(read)
	rest, err := io.ReadAll(res.Body)
	a, s := impersonation()
	if got := strings.ReplaceAll(string(rest), bannerHTML(a.acting, s), mark); got != "<body>█x" || err != nil || res.ContentLength != -1 {
		t.Errorf("then %q, %v, length %d", got, err, res.ContentLength)
	}
}

// TestInjectPanic: what was held is dropped, so that whoever recovers still answers as they like.
func TestInjectPanic(t *testing.T) {
	t.Parallel()
	for _, value := range []any{http.ErrAbortHandler, "oops"} {
		rec := httptest.NewRecorder()
		func() {
			defer func() {
				if got := recover(); got != value {
					t.Errorf("recovered %v, want %v", got, value)
				}
				http.Error(rec, "sorry", http.StatusInternalServerError)
			}()
			injected(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, "<!doctype html>")
				panic(value)
			}, func(int) { t.Error("a header went out") }).ServeHTTP(rec, asking("document"))
		}()
		if rec.Code != 500 || rec.Body.String() != "sorry\n" {
			t.Errorf("%d %q, want what the one who recovered said", rec.Code, rec.Body)
		}
	}
}

func TestInjectInformational(t *testing.T) {
	t.Parallel()
	var sent []int
	srv := httptest.NewServer(injected(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	}, func(status int) { sent = append(sent, status) }))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if srv.Close(); res.StatusCode != 204 || fmt.Sprint(sent) != "[204]" {
		t.Errorf("%d, headers ran for %v", res.StatusCode, sent)
	}
}

func TestInjectHijack(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(injected(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Errorf("a deadline behind us: %v", err)
		}
		c, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello")
	}, func(int) { t.Error("a header of ours went out") }))
	defer srv.Close()
	c, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	if got, err := io.ReadAll(bufio.NewReader(c)); err != nil || !strings.HasSuffix(string(got), "\r\n\r\nhello") {
		t.Errorf("%q, %v", got, err)
	}
	answer(t, asking(""), func(w http.ResponseWriter, _ *http.Request) {
		if _, _, err := w.(http.Hijacker).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("a server that can't: %v", err)
		}
	})
}

// sender is a server that knows a better way to send than Write.
type sender struct {
	*httptest.ResponseRecorder
	files int
}

func (s *sender) ReadFrom(r io.Reader) (int64, error) {
	s.files++
	return s.Body.ReadFrom(r)
}

func TestInjectReadFrom(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]struct {
		files int
		body  string
	}{"image/png": {1, "<html><body>x"}, "text/html": {0, "<html><body>█x"}} {
		s := &sender{ResponseRecorder: httptest.NewRecorder()}
		injected(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(http.StatusOK)
			io.Copy(w, io.LimitReader(strings.NewReader("<html><body>x"), 100))
		}, func(int) {}).ServeHTTP(s, asking("document"))
		a, session := impersonation()
		if got := strings.ReplaceAll(s.Body.String(), bannerHTML(a.acting, session), mark); got != want.body || s.files != want.files {
			t.Errorf("%s: %q, %d of them as a file; want %v", kind, got, s.files, want)
		}
	}
}

// FuzzInject: without the banner, the output is byte for byte the input, however it is cut and flushed; the banner is in it
// at most once, in the same place each time; and exactly once in a document that opens its body.
func FuzzInject(f *testing.F) {
	for _, s := range []string{"<!doctype html><title>x</title><body a='>'>x", "<html><script><!--<script></script>--></script><p>", "\uFEFF<!-- --!><body>", "<template><body></template>x", "<frameset>"} {
		f.Add([]byte(s), []byte{1, 7, 3}, true)
		f.Add([]byte(s), []byte{200}, false)
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, document bool) {
		dest := ""
		if document {
			dest = "document"
		}
		_, whole := answer(t, asking(dest), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.Write(in)
		})
		_, pieces := answer(t, asking(dest), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			rest := in
			for _, c := range cuts {
				n := min(int(c), len(rest))
				w.Write(rest[:n])
				if rest = rest[n:]; c%3 == 0 {
					w.(http.Flusher).Flush()
				}
			}
			w.Write(rest)
		})
		if bytes.Contains(in, []byte(mark)) {
			return
		}
		if whole != pieces || strings.Count(whole, mark) > 1 || strings.Replace(whole, mark, "", 1) != string(in) {
			t.Errorf("%q gives %q, in pieces %q", in, whole, pieces)
		}
		const head = "<!doctype html><title>x</title><body>"
		if _, got := answer(t, asking(dest), page("text/html", head, string(in))); got != head+mark+string(in) {
			t.Errorf("a document with a body gives %q", got)
		}
	})
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkInject is what the injector costs beyond the handler, for a page of 32 KiB with a head of 2 KiB.
func BenchmarkInject(b *testing.B) {
	head := "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Invoices</title>" +
		strings.Repeat("<link rel=\"stylesheet\" href=\"/assets/application-0123456789abcdef.css\">\n", 12) + "<script>" + strings.Repeat("window.a = 1; if (a < b) c();\n", 32) + "</script></head><body class=\"app\">"
	doc := []byte(head + strings.Repeat("<p>Hello, world.</p>\n", (32<<10-len(head))/21))
	a, s := impersonation()
	for name, size := range map[string]int{"whole": len(doc), "4KiB": 4 << 10, "512B": 512} {
		b.Run(name, func(b *testing.B) {
			w := discard{http.Header{"Content-Type": {"text/html; charset=utf-8"}}}
			r := asking("document")
			b.ReportAllocs()
			b.SetBytes(int64(len(doc)))
			for b.Loop() {
				v := visit{app: a, site: a.acting, session: s}
				in := newInjector(w, r, &v, func(*injector, http.Header) bool { return true })
				for at := 0; at < len(doc); at += size {
					in.Write(doc[at:min(at+size, len(doc))])
				}
				in.finish()
			}
		})
	}
}
