package rp

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

const (
	maxHeld = 64 << 10 // how much of a page is looked at: where a head is longer, the page goes without a banner
	sniffed = 512      // what http.DetectContentType reads
)

// injector puts the banner into the page that a handler writes. What it holds back is the beginning of a page, until it is
// clear where the body begins; everything else passes as it comes, in the very slices of the handler. For the handler's own
// goroutine, as any http.ResponseWriter.
type injector struct {
	w       http.ResponseWriter
	r       *http.Request
	v       *visit
	headers func(i *injector, h http.Header) bool

	phase  phase
	status int // what the handler said, 0 before that
	sent   bool
	page   bool // the answer is one that a banner belongs into
	scan   scanner
	held   *[]byte // what the scanner has seen and the client has not; never nil
	gone   int     // how much of the page was sent before held
}

// phase is what happens to the next bytes.
type phase int

const (
	waiting  phase = iota // for the handler to say what it answers
	sniffing              // held, until there is enough to tell the type
	scanning              // held, until the scanner knows
	passing
)

// none is where nothing is held.
var none []byte

// buffers are the held beginnings.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

// newInjector wraps w for one answer to r. headers is called once, right before the header goes out; where it reports false it has
// answered itself, and nothing of the handler's goes out. finish must be deferred.
func newInjector(w http.ResponseWriter, r *http.Request, v *visit, headers func(i *injector, h http.Header) bool) *injector {
	return &injector{w: w, r: r, v: v, headers: headers, held: &none}
}

// Header is the handler's own; it is read when the header goes out, which may be after WriteHeader.
func (i *injector) Header() http.Header { return i.w.Header() }

// Unwrap lets http.ResponseController set deadlines.
func (i *injector) Unwrap() http.ResponseWriter { return i.w }

// WriteHeader keeps back the header of what may be a page. Informational answers are not the answer (RFC 9110 §15.2).
func (i *injector) WriteHeader(status int) {
	switch {
	case i.status != 0 && !i.sent:
		return
	case i.status != 0, status < 200 && status != http.StatusSwitchingProtocols:
		i.w.WriteHeader(status)
		return
	}
	i.status = status
	switch i.kind() {
	case "":
		i.phase = sniffing
	case "text/html":
		i.begin()
	default:
		i.pass()
	}
}

// kind is the type of the answer without parameters, "" if it must be guessed as net/http does, and "-" if the answer is
// none that a page could be in.
func (i *injector) kind() string {
	h := i.w.Header()
	types, said := h["Content-Type"]
	if !whole(i.status) || download(h) || value(h, "Content-Encoding") != "" || value(h, "Transfer-Encoding") != "" || said && len(types) == 0 {
		return "-"
	}
	if !said {
		if i.r.Method == http.MethodHead {
			return "-"
		}
		return ""
	}
	kind, parameters, _ := strings.Cut(types[0], ";")
	if kind = strings.ToLower(strings.TrimSpace(kind)); kind == "text/html" && strings.Contains(strings.ToLower(parameters), "utf-16") {
		return "-"
	}
	return kind
}

// download reports whether the answer is to be a file: a page in it is kept, so it stays as it is (RFC 6266 §4.2). Where the disposition has no type,
// browsers show what they get.
func download(h http.Header) bool {
	kind, _, _ := strings.Cut(value(h, "Content-Disposition"), ";")
	kind = strings.TrimSpace(kind)
	return kind != "" && !strings.EqualFold(kind, "inline") && !strings.Contains(kind, "=")
}

// whole tells the statuses whose answer can be a page as a whole: those of errors too, since a form with a fault in it is the
// page on which most is typed.
func whole(status int) bool {
	return status == http.StatusOK || status == http.StatusCreated || status == http.StatusAccepted || status >= 400
}

// begin starts to look for the body of a page, if the browser asked for one (Fetch Metadata, Sec-Fetch-Dest).
func (i *injector) begin() {
	switch value(i.r.Header, "Sec-Fetch-Dest") {
	case "document", "iframe", "frame":
		i.scan.doc = true
	case "", "embed", "object":
	default:
		if !takesOver(i.r) {
			i.pass()
			return
		}
	}
	i.page = true
	if i.phase = scanning; i.r.Method == http.MethodHead {
		i.pass()
	}
}

// Write passes p on, or holds it.
func (i *injector) Write(p []byte) (int, error) {
	if i.status == 0 {
		i.WriteHeader(http.StatusOK)
	}
	switch i.phase {
	case passing:
		return i.w.Write(p)
	case sniffing:
		return i.sniff(p)
	}
	return i.look(p)
}

// ReadFrom lets what is no page be sent as the server likes best, such as a file by the kernel.
func (i *injector) ReadFrom(src io.Reader) (int64, error) {
	if i.phase == passing {
		return io.Copy(i.w, src)
	}
	return io.Copy(struct{ io.Writer }{i}, src)
}

// sniff guesses the type of an answer that does not say it, from as much of it as net/http takes.
func (i *injector) sniff(p []byte) (int, error) {
	if len(*i.held) == 0 && len(p) >= sniffed {
		i.guess(p)
		return i.Write(p)
	}
	if i.hold(p); len(*i.held) < sniffed {
		return len(p), nil
	}
	return len(p), i.unsniff()
}

// unsniff guesses from what is held, and goes on with that.
func (i *injector) unsniff() error {
	b := i.held
	i.held = &none
	defer release(b)
	i.guess(*b)
	_, err := i.Write(*b)
	return err
}

func (i *injector) guess(p []byte) {
	kind := http.DetectContentType(p)
	if !strings.HasPrefix(kind, "text/html") {
		i.pass()
		return
	}
	i.w.Header().Set("Content-Type", kind)
	i.begin()
}

// look shows p to the scanner, and holds it if that does not know yet.
func (i *injector) look(p []byte) (int, error) {
	switch i.scan.feed(p[:min(len(p), maxHeld-i.scan.seen)]) {
	case located:
		return len(p), i.put(p)
	case never:
		return len(p), i.letGo(p)
	}
	if i.scan.seen == maxHeld {
		return len(p), i.letGo(p)
	}
	i.hold(p)
	return len(p), nil
}

// put sends what is held and p with the banner in its place. The page itself is not copied.
func (i *injector) put(p []byte) error {
	if i.v.shown {
		return i.letGo(p)
	}
	i.v.shown = true
	banner := buffers.Get().(*[]byte)
	defer release(banner)
	*banner = appendBanner(*banner, i.v.site, i.v.session)
	if takesOver(i.r) {
		*banner = appendPlain(*banner, i.v.site, i.v.session)
	}
	h := i.w.Header()
	if n, err := strconv.ParseInt(value(h, "Content-Length"), 10, 64); err == nil {
		h.Set("Content-Length", strconv.FormatInt(n+int64(len(*banner)), 10))
	}
	i.pass()
	b := i.held
	i.held = &none
	defer release(b)
	at := i.scan.at - i.gone
	if n := len(*b); at >= n {
		return i.write(*b, p[:at-n], *banner, p[at-n:])
	}
	return i.write((*b)[:at], *banner, (*b)[at:], p)
}

// letGo sends what is held, then p, and lets the rest pass.
func (i *injector) letGo(p []byte) error {
	i.page = false
	i.pass()
	b := i.held
	i.held = &none
	defer release(b)
	return i.write(*b, p)
}

func (i *injector) write(pieces ...[]byte) error {
	for _, p := range pieces {
		if len(p) == 0 {
			continue
		}
		if _, err := i.w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

func (i *injector) pass() {
	i.phase = passing
	i.send()
}

// send lets the header go out, once.
func (i *injector) send() {
	if i.sent {
		return
	}
	i.sent = true
	h := i.w.Header()
	if i.page { // its bytes are not those that the app would give to anybody else
		for _, name := range [...]string{"Etag", "Last-Modified", "Accept-Ranges", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5"} {
			delete(h, name)
		}
	}
	if i.page && (i.phase != passing || i.r.Method == http.MethodHead) { // nobody knows how long it will be
		h.Del("Content-Length")
	}
	if i.page || i.v.shown {
		amendCSP(h, i.v.site.origin+stylePath, i.v.app.formEnds(i.v.site)...)
	}
	if !i.headers(i, h) {
		i.w = mute{i.w}
		return
	}
	i.w.WriteHeader(i.status)
}

// mute is where an answer goes that nobody may see.
type mute struct{ http.ResponseWriter }

func (mute) WriteHeader(int)             {}
func (mute) Write(p []byte) (int, error) { return len(p), nil }

// hold copies p, which belongs to the handler.
func (i *injector) hold(p []byte) {
	if i.held == &none {
		i.held = buffers.Get().(*[]byte)
	}
	*i.held = append(*i.held, p...)
}

func release(b *[]byte) {
	if b != &none {
		*b = (*b)[:0]
		buffers.Put(b)
	}
}

// FlushError sends what certainly stands before the banner, and holds the rest.
func (i *injector) FlushError() error {
	if i.status == 0 {
		i.WriteHeader(http.StatusOK)
	}
	if err := i.drain(); err != nil {
		return err
	}
	return http.NewResponseController(i.w).Flush()
}

func (i *injector) drain() error {
	if i.phase == sniffing {
		if err := i.unsniff(); err != nil {
			return err
		}
	}
	if i.phase == passing {
		return nil
	}
	i.send()
	n := i.scan.safe() - i.gone
	if n == 0 {
		return nil
	}
	err := i.write((*i.held)[:n])
	*i.held = (*i.held)[:copy(*i.held, (*i.held)[n:])]
	i.gone += n
	return err
}

// Flush is FlushError for those who do not ask.
func (i *injector) Flush() { _ = i.FlushError() }

// Hijack gives the connection away, if the server does. No banner and no header of ours are sent on it.
func (i *injector) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(i.w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	i.phase, i.sent = passing, true
	i.v.upgraded = true
	return bind(i.v.app.ending.ctx, c, i.v.tie()), rw, nil
}

// finish sends what is still held. After a panic it is dropped, so that whoever recovers can still answer with an error.
func (i *injector) finish() {
	if p := recover(); p != nil {
		release(i.held)
		panic(p)
	}
	if i.status == 0 && !i.sent {
		i.WriteHeader(http.StatusOK)
	}
	if i.phase == sniffing {
		_ = i.unsniff() // the client has gone: the handler was told by its own Write, or never wrote enough to care
	}
	switch {
	case i.phase == passing:
	case i.scan.eof() == located:
		_ = i.put(nil)
	default:
		_ = i.letGo(nil)
	}
}
