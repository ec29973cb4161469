package rp_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/rp"
)

// set of keys, each with its kid.
func jwks(keys ...signer) string {
	var all []string
	for _, k := range keys {
		all = append(all, k.jwk(`"kid":"`+k.kid+`"`))
	}
	return `{"keys":[` + strings.Join(all, ",") + `]}`
}

func (a *api) publish(keys ...signer) { a.set(func() { a.jwks = jwks(keys...) }) }

// by is john's own token, signed by another key.
func (a *api) by(k signer) string {
	return k.sign(`{"alg":"ES256","kid":"`+k.kid+`","typ":"at+jwt"}`, a.claims())
}

// TestIssuerRotatesKeys: a new key counts at its first use, an old one no longer than its issuer publishes it, and what was verified with it neither.
//
// Covers OIDC-10.1.1-01.
func TestIssuerRotatesKeys(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	second, third := newSigner(t, "k2"), newSigner(t, "k3")
	old := a.token()
	a.yes("first", a.get("/me", old), "john", "john")
	a.clock.advance(10 * time.Second)
	a.publish(a.key, second)
	a.yes("new", a.get("/me", a.by(second)), "john", "john")
	a.yes("old", a.get("/me", old), "john", "john")
	if n := a.asked("/jwks"); n != 2 {
		t.Errorf("the keys were asked for %d times, want twice", n)
	}
	a.publish(second)
	a.clock.advance(10 * time.Second)
	a.no("not published", a.get("/me", a.by(third)), http.StatusUnauthorized, "invalid_token")
	a.no("taken back, and remembered", a.get("/me", old), http.StatusUnauthorized, "invalid_token")
	a.yes("stays", a.get("/me", a.by(second)), "john", "john")
	a.asked("/jwks")
	for i := range 200 {
		a.no("made up", a.get("/me", a.by(signer{fmt.Sprint("made up ", i), third.private})), http.StatusUnauthorized, "invalid_token")
	}
	if n := a.asked("/jwks"); n > 0 {
		t.Errorf("made up kids had the keys asked for %d times", n)
	}
	a.clock.advance(10 * time.Second)
	for i := range 20 {
		a.get("/me", a.by(signer{fmt.Sprint("made up ", i), third.private}))
	}
	if n := a.asked("/jwks"); n != 1 {
		t.Errorf("made up kids had the keys asked for %d times in 10 s, want once", n)
	}
}

// TestKeyTakenBack: without any sign of it, a key that is no longer published counts for five minutes.
func TestKeyTakenBack(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	old := a.token()
	a.yes("before", a.get("/me", old), "john", "john")
	a.publish(newSigner(t, "k2"))
	a.clock.advance(5 * time.Minute)
	a.get("/me", old) // has them asked for, and does not wait
	a.eventually("asked for", func() bool { return a.asked("/jwks") > 0 })
	a.eventually("refused", func() bool { return a.get("/me", old).status == http.StatusUnauthorized })
}

// eventually waits for what happens beside the test.
func (a *api) eventually(what string, happened func() bool) {
	a.t.Helper()
	for end := time.Now().Add(10 * time.Second); !happened(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			a.t.Fatalf("%s: not within 10 s", what)
		}
	}
}

// TestKeysAway: what was read serves while the issuer gives no good answer, for an hour and five minutes; without any, nobody is told that a
// token is bad.
func TestKeysAway(t *testing.T) {
	t.Parallel()
	second := newSigner(t, "k2")
	for name, answer := range map[string]string{
		"nothing": "", "garbage": "<html>", "no keys": `{"keys":[]}`, "a secret one": `{"keys":[` + second.jwk(`"kid":"k2"`, `"d":"AA"`) + `]}`,
		"two of one kid": jwks(second, second), "300 KiB": `{"keys":[],"x":"` + strings.Repeat("x", 300<<10) + `"}`, "two lists": `{"keys":[],"keys":[` + second.jwk() + `]}`,
		"off the curve": `{"keys":[{"kty":"EC","crv":"P-256","kid":"k2","x":"` + b64(make([]byte, 32)) + `","y":"` + b64(make([]byte, 32)) + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			good := a.jwks
			bad := func() { a.jwks, a.down["/jwks"] = answer, answer == "" }
			a.set(bad)
			a.no("none yet", a.get("/me", a.token()), http.StatusServiceUnavailable, "unavailable")
			a.no("none yet, at once", a.get("/me", a.token()), http.StatusServiceUnavailable, "unavailable")
			if n := a.asked("/jwks"); n != 1 {
				t.Errorf("asked %d times within 2 s, want once", n)
			}
			a.set(func() { a.jwks, a.down["/jwks"] = good, false })
			a.clock.advance(2 * time.Second)
			a.yes("good", a.get("/me", a.token()), "john", "john")
			a.set(bad)
			a.clock.advance(64 * time.Minute)
			a.yes("stale", a.get("/me", a.token()), "john", "john")
			a.eventually("asked for", func() bool { return a.asked("/jwks") > 0 })
			a.eventually("told of", func() bool { return strings.Count(a.logs.String(), "understudy's keys could not be read") >= 2 })
			a.no("a kid that nobody can know", a.get("/me", a.by(second)), http.StatusServiceUnavailable, "unavailable")
			a.clock.advance(2 * time.Minute)
			a.no("too old", a.get("/me", a.token()), http.StatusServiceUnavailable, "unavailable")
		})
	}
}

// TestKeysOnce: many who come at once have the keys asked for once, and who gives up waits no longer.
func TestKeysOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t, nil)
	var all sync.WaitGroup
	codes := make([]int, 50)
	for i := range codes {
		all.Go(func() { codes[i] = a.get("/me", a.token("jti", fmt.Sprint(i))).status })
	}
	all.Wait()
	for _, code := range codes {
		if code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
	if n := a.asked("/jwks"); n != 1 {
		t.Errorf("the keys were asked for %d times, want once", n)
	}
}

// TestKeysHang: an issuer that never answers keeps nobody longer than they wait, and no fetch for longer than five seconds.
func TestKeysHang(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *rp.BearerConfig) { c.Client = &http.Client{Transport: hanging{}} })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	a.no("who waits 20 ms", a.do(a.request("GET", "/me", a.token()).WithContext(ctx)), http.StatusServiceUnavailable, "unavailable")
	a.no("who waits", a.get("/me", a.token()), http.StatusServiceUnavailable, "unavailable")
	if logs := a.logs.String(); !strings.Contains(logs, "understudy's keys could not be read") {
		t.Errorf("the fetch goes on: %s", logs)
	}
}

// hanging answers when nobody waits any more.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestOtherMetadata: an issuer that calls itself otherwise, or has its keys fetched in the clear, has no keys here.
func TestOtherMetadata(t *testing.T) {
	t.Parallel()
	for name, change := range map[string][2]string{
		"of another":  {`"issuer":"http`, `"issuer":"https`},
		"in the open": {`"jwks_uri":"`, `"jwks_uri":"http://keys.acme.test/","x":"`},
		"nowhere":     {`"jwks_uri"`, `"x"`},
	} {
		a := newAPI(t, nil)
		a.set(func() { a.bend = change })
		a.no(name, a.get("/me", a.token()), http.StatusServiceUnavailable, "unavailable")
		if n := a.asked("/jwks"); n > 0 {
			t.Errorf("%s: the keys were asked for", name)
		}
	}
}
