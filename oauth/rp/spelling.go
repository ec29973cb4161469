package rp

import (
	"cmp"
	"iter"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// folded are the patterns of Block, each in lower case and alone in its mux: two that differ in their case only would exclude each other.
type folded []*http.ServeMux

func (f *folded) add(pattern string) {
	mux := http.NewServeMux()
	mux.Handle(fold(pattern), listed{})
	*f = append(*f, mux)
}

// fold is a pattern in lower case, but for its method and the names of its wildcards.
func fold(pattern string) string {
	method, rest := "", pattern
	if i := strings.IndexAny(pattern, " \t"); i >= 0 {
		method, rest = strings.ToUpper(pattern[:i]), pattern[i:]
	}
	var b strings.Builder
	for rest != "" {
		literal, name, _ := strings.Cut(rest, "{")
		b.WriteString(strings.ToLower(literal))
		if len(literal) == len(rest) {
			break
		}
		name, rest, _ = strings.Cut(name, "}")
		b.WriteString("{" + name + "}")
	}
	return method + b.String()
}

// match reports whether some router could take r for what one of the patterns means.
func (f folded) match(r *http.Request) bool {
	probe := http.Request{Method: strings.ToUpper(r.Method), Host: strings.ToLower(r.Host), URL: new(url.URL)}
	for i, whole := range [...]string{r.URL.Path, segmented(r.URL)} {
		if i > 0 && whole == r.URL.Path {
			break
		}
		for p := range spellings(whole) {
			probe.URL.Path = p
			for _, mux := range f {
				if _, pattern := mux.Handler(&probe); pattern != "" {
					return true
				}
			}
		}
	}
	return false
}

// encodedSlash is what some routers decode once they have cut a path into its segments.
var encodedSlash = strings.NewReplacer("%2f", "_", "%2F", "_", "%5c", "_", "%5C", "_")

// segmented is the path of u as they cut it.
func segmented(u *url.URL) string {
	p, err := url.PathUnescape(encodedSlash.Replace(u.EscapedPath()))
	if err != nil {
		return u.Path
	}
	return p
}

// maxDecoded is how often a path is decoded in search of what it may mean: once by net/http, once by a proxy, once by what is behind that.
const maxDecoded = 3

// spellings are the paths for which routers could take p, which was decoded once: those that decode again, that know no case, to whom a backslash is a slash,
// or a segment ends at its parameters, or that do not mind a slash at the end. Dot segments count for what they lead to, and for segments like others. Each
// counts also without what names a format or a script.
func spellings(p string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for range maxDecoded {
			p = strings.ReplaceAll(strings.ToLower(p), `\`, "/")
			for i, q := range [...]string{p, withoutParameters(p)} {
				if i > 0 && q == p {
					break
				}
				q = "/" + strings.Trim(q, "/")
				clean, as := path.Clean(q), literal(q)
				if !readings(clean, yield) || as != clean && !readings(as, yield) { // a mux tells where there is something with a slash at the end
					return
				}
			}
			again, err := url.PathUnescape(p)
			if err != nil || again == p {
				return
			}
			p = again
		}
	}
}

// scripts are the ends of the files that servers run, and give the rest of a path to (RFC 3875 §4.1.5).
var scripts = strings.Fields("php php3 php4 php5 php7 php8 phtml cgi fcgi pl py rb asp aspx ashx jsp jspx cfm dll")

// readings yields p, which is in lower case, and what a router makes of it that knows formats (/users/7.json is /users/7), or that stands behind a script
// (/index.php/users/7). It reports whether to go on.
func readings(p string, yield func(string) bool) bool {
	if !strings.Contains(p, ".") {
		return yield(p)
	}
	for _, p := range behindScripts(p) {
		start := strings.LastIndexByte(p, '/') + 1
		first, last := strings.IndexByte(p[start:], '.'), strings.LastIndexByte(p[start:], '.')
		if !yield(p) || first > 0 && !yield(p[:start+first]) || last > first && !yield(p[:start+last]) {
			return false
		}
	}
	return true
}

// behindScripts gives p, and what stands behind the first and the last script in it, with what is before it and without. Between those two there
// are no files.
func behindScripts(p string) []string {
	all := []string{p}
	var last []string
	for start := 1; start <= len(p); {
		end := len(p)
		if i := strings.IndexByte(p[start:], '/'); i >= 0 {
			end = start + i
		}
		if i := strings.LastIndexByte(p[start:end], '.'); i >= 0 && slices.Contains(scripts, p[start+i+1:end]) {
			rest := cmp.Or(p[end:], "/")
			if last = []string{rest, p[:start-1] + rest}; len(all) == 1 {
				all = append(all, last...)
			}
		}
		start = end + 1
	}
	return append(all, last...)
}

// withoutParameters ends each segment of p at its first semicolon (RFC 3986 §3.3).
func withoutParameters(p string) string {
	if !strings.Contains(p, ";") {
		return p
	}
	segments := strings.Split(p, "/")
	for i, s := range segments {
		segments[i], _, _ = strings.Cut(s, ";")
	}
	return strings.Join(segments, "/")
}

// literal is p, for a mux that would clean it, as a router reads it that does not: dots and nothing are segments like any other there.
func literal(p string) string {
	if p == "/" {
		return p
	}
	segments := strings.Split(p[1:], "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." {
			segments[i] = "_"
		}
	}
	return "/" + strings.Join(segments, "/")
}

// plainly reports whether there is one way only to read p: where something is let through, it must not mean something else further on.
func plainly(u *url.URL) bool {
	p := u.Path
	if u.RawPath != "" || strings.ContainsFunc(p, func(c rune) bool { return c < ' ' || c == 0x7f || strings.ContainsRune(`\;%`, c) }) {
		return false
	}
	return p == "/" || path.Clean(p) == strings.TrimSuffix(p, "/")
}

// redirecting are the headers by which a request passes for another one than the guard sees and the trail says: for one of another method, or of another path.
var redirecting = [...]string{
	"X-Http-Method-Override", "X-Http-Method", "X-Method-Override",
	"X-Original-Url", "X-Rewrite-Url",
}

// unambiguous takes what is redirecting out of h, also in the spelling that gateways to other languages do not tell apart.
func unambiguous(h http.Header) {
	for _, name := range redirecting {
		delete(h, name)
	}
	for name := range h {
		if strings.IndexByte(name, '_') >= 0 && redirects(strings.ReplaceAll(name, "_", "-")) {
			delete(h, name)
		}
	}
}

func redirects(name string) bool {
	for _, r := range redirecting {
		if strings.EqualFold(name, r) {
			return true
		}
	}
	return false
}
