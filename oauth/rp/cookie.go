package rp

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/understudy-id/understudy/oauth/internal/seal"
)

const (
	// maxCookie is how long name and value of one cookie may be: browsers drop those beyond 4,096 bytes without a word.
	maxCookie = 3800
	// maxCookies is how much of a request may be cookies. What a browser keeps for one site, 180 cookies of 4 KiB, is below it:
	// script in the user's page must not be able to fill it up and so take Stop away. The server in front must let it pass too,
	// as net/http does unless told otherwise.
	maxCookies = 1 << 20
	// maxFlows is how many starts and sign-ins one browser may have under way.
	maxFlows = 4
	// openedCookies is how many values of one cookie one half of what is remembered holds: with what they hold, 2 MB a cookie at most, and of usual ones a third.
	openedCookies = 256
	// flowLifetime is how long the person may take at the issuer, in seconds.
	flowLifetime = 600
)

var errTooLarge = errors.New("rp: what must be kept does not fit a cookie")

// cookie is one of ours on one site.
type cookie struct {
	name string
	seal seal.Bound // to name, client and host, beside the key
	// opened is what its values hold that came before: decoding and decrypting one costs more than all else that a request does here.
	opened *remembered[string]
}

func (st *site) cookie(box *seal.Box, name, client string) cookie {
	full := st.prefix + name
	return cookie{name: full, seal: box.For(strings.Join([]string{"rp1", full, client, st.host}, "\x00"))}
}

// kept is c that remembers: for what comes with each request.
func (c cookie) kept() cookie {
	c.opened = newRemembered[string](openedCookies, maxCookie)
	return c
}

// found is what a request says under one name.
type found struct {
	value string
	n     int // how often; more than once counts as damaged, since somebody else may have put one of them there
}

// jar is all that a request holds of ours.
type jar struct {
	acting, held, signIn found
	flows                int
	large                bool
}

func (j jar) empty() bool { return j.acting.n+j.held.n+j.signIn.n == 0 }

// read finds our cookies by the bytes of their names: what other parsers trim or unquote into such a name is not ours.
// It allocates nothing, also not for a thousand cookies of somebody else.
func (st *site) read(r *http.Request) (j jar) {
	size := 0
	for _, line := range r.Header["Cookie"] {
		if size += len(line); size > maxCookies {
			return jar{large: true}
		}
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			if strings.HasPrefix(name, st.prefix) {
				st.sort(&j, name, value)
			}
		}
	}
	return j
}

func (st *site) sort(j *jar, name, value string) {
	var f *found
	switch {
	case name == st.acting.name:
		f = &j.acting
	case name == st.held.name:
		f = &j.held
	case name == st.signIn.name:
		f = &j.signIn
	case strings.HasPrefix(name, st.flow.name):
		j.flows++
		return
	default:
		return
	}
	f.value = value
	f.n++
}

// find gives the one cookie called name.
func find(r *http.Request, name string) (f found) {
	for _, line := range r.Header["Cookie"] {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if have, value, _ := strings.Cut(strings.Trim(pair, " \t"), "="); have == name {
				f.value, f.n = value, f.n+1
			}
		}
	}
	return f
}

var encoding = base64.RawURLEncoding.Strict()

// open opens what seal made for the same cookie of the same site and client. Anything else is seal.ErrOpen.
func (c cookie) open(f found) (string, error) {
	if f.n != 1 || len(f.value) > maxCookie {
		return "", seal.ErrOpen
	}
	if plain, ok := c.opened.find(f.value); ok {
		return plain, nil
	}
	b := scratches.Get().(*scratch)
	defer scratches.Put(b)
	n, err := encoding.Decode(b.sealed[:], []byte(f.value))
	if err != nil {
		return "", seal.ErrOpen
	}
	out, err := c.seal.Append(b.plain[:0], b.sealed[:n])
	if err != nil {
		return "", err
	}
	plain := string(out)
	c.opened.add(strings.Clone(f.value), plain)
	return plain, nil
}

// scratch is room for opening one cookie: what is not remembered needs it.
type scratch struct{ sealed, plain [maxCookie]byte }

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// set puts plain, sealed, into the browser for as long as it runs, or for maxAge seconds if that is not 0.
func (c cookie) set(w http.ResponseWriter, st *site, plain []byte, maxAge int) error {
	value := encoding.EncodeToString(c.seal.Seal(plain))
	if len(c.name)+len(value) > maxCookie {
		return errTooLarge
	}
	http.SetCookie(w, st.httpCookie(c.name, value, maxAge))
	return nil
}

func (st *site) expire(w http.ResponseWriter, names ...string) {
	for _, name := range names {
		http.SetCookie(w, st.httpCookie(name, "", -1))
	}
}

// httpCookie has Lax, since people come back from the issuer by a top-level GET (draft-ietf-oauth-browser-based-apps
// §6.1.3 asks for Strict, under which that request would look like nobody's).
func (st *site) httpCookie(name, value string, maxAge int) *http.Cookie {
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: st.secure, SameSite: http.SameSiteLaxMode}
}
