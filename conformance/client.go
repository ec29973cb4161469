package conformance

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/conformance/internal/jws"
)

const (
	maxAnswer  = 1 << 20         // bytes of an answer that are read
	maxPerCase = 400             // requests of one case
	perRequest = 5 * time.Second // unless Options say otherwise
)

// answer is what came back, read.
type answer struct {
	status  int
	header  http.Header
	body    string
	members map[string]any // of a JSON object, else nil
	twice   string         // a member that it has twice, "" if none
	at      *url.URL       // what was asked
	method  string         // how
}

// location is where the answer leads, resolved; nil if nowhere.
func (a *answer) location() *url.URL {
	where := a.header.Get("Location")
	if where == "" {
		return nil
	}
	u, err := a.at.Parse(where)
	if err != nil {
		return nil
	}
	return u
}

// text gives a member that is a string, "" for any other.
func (a *answer) text(name string) string {
	s, _ := a.members[name].(string)
	return s
}

func (a *answer) String() string {
	if e := a.text("error"); e != "" {
		return fmt.Sprintf("%d %s", a.status, e)
	}
	if a.text("access_token") != "" {
		return fmt.Sprintf("%d with an access token", a.status)
	}
	if where := a.location(); where != nil {
		return fmt.Sprintf("%d to %s://%s%s", a.status, where.Scheme, where.Host, where.Path)
	}
	return fmt.Sprint(a.status)
}

// newHTTP is a client that keeps no cookies, follows nothing, and gives up in time.
func newHTTP(o Options) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:       &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		Proxy:                 http.ProxyFromEnvironment,
		ResponseHeaderTimeout: o.RequestTimeout, MaxResponseHeaderBytes: 256 << 10, MaxIdleConnsPerHost: 64, IdleConnTimeout: 30 * time.Second,
	}
	return &http.Client{Transport: transport, Timeout: o.RequestTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// errTooMany ends a case that would go on for ever.
var errTooMany = errors.New("the case has made too many requests")

// send makes one request and keeps it as evidence. Only where no answer came it gives an error.
func (p *probe) send(req *http.Request, body string) (*answer, error) {
	p.mu.Lock()
	p.requests++
	n := p.requests
	p.mu.Unlock()
	if n > maxPerCase {
		return nil, errTooMany
	}
	if body != "" {
		req.Body = io.NopCloser(strings.NewReader(body))
		req.ContentLength = int64(len(body))
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	}
	req.Header.Set("User-Agent", "understudy-conformance ("+p.c.ID+")")
	began := time.Now()
	resp, err := p.run.http.Do(req)
	var a *answer
	if err == nil {
		a, err = read(resp)
	}
	p.keep(req, body, a, err, time.Since(began))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", req.Method, req.URL.Path, cause(err))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = append(p.seen, a)
	return a, nil
}

// patient waits as long as the server asks for, and reports whether it did: a limit is no fault. Without Retry-After, or for more than a minute, it does not.
func (p *probe) patient(a *answer) bool {
	seconds, err := strconv.Atoi(a.header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 60 {
		return false
	}
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
		return true
	case <-p.ctx.Done():
		return false
	}
}

// cause is err without the URL, which may hold a secret.
func cause(err error) error {
	if slow := net.Error(nil); errors.As(err, &slow) && slow.Timeout() {
		return errors.New("no answer in time")
	}
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}

func read(resp *http.Response) (*answer, error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, body: string(b), at: resp.Request.URL, method: resp.Request.Method}
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		if json.Unmarshal(b, &a.members) != nil {
			a.members = nil
		} else {
			a.twice = jws.Repeated(b)
		}
	}
	return a, nil
}

// keep adds to the evidence.
func (p *probe) keep(req *http.Request, body string, a *answer, err error, took time.Duration) {
	k := p.run.keeper()
	shownBody := k.text(body)
	if strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		shownBody = k.form(body)
	}
	e := Exchange{Method: req.Method, URL: k.url(req.URL), Header: k.header(req.Header), Body: shownBody, Duration: Duration(took)}
	switch {
	case err != nil:
		e.Error = k.text(cause(err).Error())
	default:
		e.Status, e.AnswerHeader, e.Answer = a.status, k.header(a.header), k.text(maskMembers(a.body))
	}
	if a != nil {
		p.look(req, a, e)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.evidence = append(p.evidence, e); len(p.evidence) > maxEvidence { // the first and the last of a burst tell it all
		p.evidence = append(p.evidence[:maxEvidence/2], p.evidence[maxEvidence/2+1:]...)
	}
}

// maxEvidence is how many exchanges of a case are kept.
const maxEvidence = 40

// get asks for a URL.
func (p *probe) get(to string, header ...string) *answer {
	return p.request(http.MethodGet, to, "", header...)
}

// request sends what it is told; header is names and values in turn. Where no answer comes the case ends as failed: a server that hangs up or keeps one waiting
// whatever it is sent does not do what is required.
func (p *probe) request(method, to, body string, header ...string) *answer {
	req, err := http.NewRequestWithContext(p.ctx, method, to, nil)
	if err != nil {
		p.blocked("%s cannot be asked: %v", to, err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	a, err := p.send(req, body)
	for err == nil && a.status == http.StatusTooManyRequests && p.patient(a) {
		a, err = p.send(req, body)
	}
	if err != nil {
		if p.ctx.Err() != nil {
			p.blocked("%v", context.Cause(p.ctx))
		}
		p.fail(Medium, "an answer", "%v", err)
	}
	return a
}
