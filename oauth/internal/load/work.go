package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// The names of what goes over HTTP.
const (
	workStart      = "start"
	workStop       = "stop"
	workIntrospect = "introspect"
	workAction     = "action"
	workBatch      = "actions in batches"
)

const formType, jsonType = "application/x-www-form-urlencoded", "application/json"

// post sends what the app says to the server, and wants a 200.
func (b *bench) post(c *conn, path, contentType string, body []byte) error {
	status, err := c.do("POST", path, b.headers[contentType], body)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("%s: got %d %s", path, status, c.body)
	}
	return err
}

// member finds a member of type string in a JSON object of ours without reading all of it: the generator shares the machine.
func member(object []byte, name string) (string, error) {
	_, rest, found := bytes.Cut(object, []byte(`"`+name+`":"`))
	value, _, closed := bytes.Cut(rest, []byte{'"'})
	if !found || !closed {
		return "", fmt.Errorf("no %s in %s", name, object)
	}
	return string(value), nil
}

// The constant parts of the forms. What is appended needs no escape: base64url and dots.
var (
	startForm = []byte(url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token_type": {string(oauth.TokenTypeTicket)},
		"actor_token_type": {string(oauth.TokenTypeAccessToken)}, "code_verifier": {verifier}}.Encode())
	stopForm = []byte(url.Values{"grant_type": {oauth.GrantTypeTokenExchange}, "subject_token_type": {string(oauth.TokenTypeReturnToken)}}.Encode())
)

// start spends a's ticket.
func (b *bench) start(c *conn, a *account) error {
	body := append(append(append([]byte(nil), startForm...), "&subject_token="...), a.ticket...)
	body = append(append(body, "&actor_token="...), a.token...)
	a.ticket = ""
	if err := b.post(c, "/oauth2/token", formType, body); err != nil {
		return err
	}
	var err [3]error
	a.access, err[0] = member(c.body, "access_token")
	a.ret, err[1] = member(c.body, "understudy_return_token")
	a.session, err[2] = member(c.body, "id")
	return errors.Join(err[:]...)
}

// stop spends a's return token. What it gives is the actor's token of the next start: none is ever used twice.
func (b *bench) stop(c *conn, a *account) (err error) {
	body := append(append(append([]byte(nil), stopForm...), "&subject_token="...), a.ret...)
	a.ret = ""
	if err := b.post(c, "/oauth2/token", formType, body); err != nil {
		return err
	}
	a.token, err = member(c.body, "access_token")
	return err
}

var active = []byte(`"active":true`)

// introspect asks about a's living token, as the server of its resource.
func (b *bench) introspect(c *conn, a *account) error {
	if err := b.post(c, "/oauth2/introspect", formType, append([]byte("token="), a.access...)); err != nil {
		return err
	}
	if !bytes.Contains(c.body, active) {
		return fmt.Errorf("introspecting a live session: %s", c.body)
	}
	return nil
}

// perSession is how many actions of one session a batch holds: an app gathers a second's, and a person's click is a few requests.
const perSession = 5

// act is the i-th record of n actions, as an app gathers them.
func (b *bench) act(c *conn, i, n int) error {
	now := time.Now().UTC().Format(time.RFC3339)
	body := []byte(`{"actions":[`)
	for k := range n {
		a := b.accounts[(i*n+k)/min(n, perSession)%len(b.accounts)]
		body = append(append(body, `{"id":"`...), oauth.NewID("act")...)
		body = append(append(body, `","sid":"`...), a.session...)
		body = strconv.AppendInt(append(body, `","writer":"load","seq":`...), int64(i*n+k+1), 10)
		body = append(append(body, `,"time":"`...), now...)
		body = append(body, `","phase":"before","route":"/projects/reports","method":"POST"},`...)
	}
	body = append(body[:len(body)-1], "]}"...)
	if err := b.post(c, "/impersonation/actions", jsonType, body); err != nil {
		return err
	}
	if bytes.Contains(c.body, []byte("false")) {
		return fmt.Errorf("recording in live sessions: %s", c.body)
	}
	return nil
}

// run measures everything once.
func (b *bench) run(number int) (rows []row) {
	rows = append(rows, b.raw()...)
	for _, n := range b.o.conns {
		rows = append(rows, b.floor(n))
	}
	for _, n := range b.o.conns {
		rows = append(rows, b.startsAndStops(n)...)
	}
	b.startAll()
	for _, n := range b.o.conns {
		rows = append(rows, b.over(meter{work: workIntrospect, conns: n}, func(c *conn, i int) error { return b.introspect(c, b.accounts[i%len(b.accounts)]) }))
	}
	for _, n := range b.o.conns {
		rows = append(rows, b.over(meter{work: workAction, conns: n}, func(c *conn, i int) error { return b.act(c, i, 1) }))
		rows = append(rows, b.over(meter{work: workBatch, conns: n, things: impersonation.MaxActions}, func(c *conn, i int) error { return b.act(c, i, impersonation.MaxActions) }))
	}
	b.stopAll()
	for i := range rows {
		rows[i].Run = number
	}
	return rows
}

// over measures what can be repeated without end.
func (b *bench) over(m meter, work func(c *conn, i int) error) row {
	b.call(&m, math.MaxInt, b.o.length, work)
	return b.finish(&m)
}

// startsAndStops measures both in turns: a start needs an actor without a session, and a stop one with.
func (b *bench) startsAndStops(conns int) []row {
	starts, stops := meter{work: workStart, conns: conns}, meter{work: workStop, conns: conns}
	for starts.elapsed < b.o.length && starts.errors+stops.errors == 0 {
		b.tickets()
		n := b.call(&starts, len(b.accounts), b.o.length-starts.elapsed, func(c *conn, i int) error { return b.start(c, b.accounts[i]) })
		b.call(&stops, n, forever, func(c *conn, i int) error { return b.stop(c, b.accounts[i]) })
	}
	return []row{b.finish(&starts), b.finish(&stops)}
}

// startAll leaves a live session in every account.
func (b *bench) startAll() {
	b.tickets()
	b.each(func(c *conn, i int) error { return b.start(c, b.accounts[i]) })
}

// stopAll stops those that live.
func (b *bench) stopAll() {
	b.each(func(c *conn, i int) error {
		if b.accounts[i].ret == "" {
			return nil
		}
		return b.stop(c, b.accounts[i])
	})
}
