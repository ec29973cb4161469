package rp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestSETsRefused: what is not a SET of this issuer for this client ends nothing. It is told to the issuer, it is in the log once, in a short
// line, and nothing else that comes by that connection counts: each session is asked for.
//
// Covers RFC8725-3.12-01, RFC8725-3.9-01, RFC8725-3.1-01.
func TestSETsRefused(t *testing.T) {
	t.Parallel()
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	payload := func(c map[string]any) string {
		raw, _ := json.Marshal(c)
		return string(raw)
	}
	with := func(x *transmitter, name string, value any) map[string]any {
		c := x.claims("j1", "imp_a")
		if c[name] = value; value == nil {
			delete(c, name)
		}
		return c
	}
	for _, c := range []struct {
		name, code string
		set        func(x *transmitter) string
	}{
		{"no signature", "invalid_key", func(x *transmitter) string {
			s := x.revoked("j1", "imp_a")
			return s[:strings.LastIndex(s, ".")+1] + strings.Repeat("A", 86)
		}},
		{"unsigned", "invalid_key", func(x *transmitter) string {
			s := x.sign(`{"alg":"none","typ":"secevent+jwt"}`, x.claims("j1", "imp_a"))
			return s[:strings.LastIndex(s, ".")+1]
		}},
		{"alg none", "", func(x *transmitter) string {
			return x.sign(`{"alg":"none","kid":"k1","typ":"secevent+jwt"}`, x.claims("j1", "imp_a"))
		}},
		{"alg HS256", "", func(x *transmitter) string {
			return x.sign(`{"alg":"HS256","kid":"k1","typ":"secevent+jwt"}`, x.claims("j1", "imp_a"))
		}},
		{"another key by this kid", "invalid_key", func(x *transmitter) string { return signES256(t, other, x.header(), payload(x.claims("j1", "imp_a"))) }},
		{"an unknown kid", "invalid_key", func(x *transmitter) string {
			return signES256(t, other, `{"alg":"ES256","kid":"k2","typ":"secevent+jwt"}`, payload(x.claims("j1", "imp_a")))
		}},
		{"no kid", "invalid_key", func(x *transmitter) string {
			return x.sign(`{"alg":"ES256","typ":"secevent+jwt"}`, x.claims("j1", "imp_a"))
		}},
		{"another kind of JWT", "invalid_request", func(x *transmitter) string {
			return x.sign(`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`, x.claims("j1", "imp_a"))
		}},
		{"a logout token", "invalid_request", func(x *transmitter) string {
			return x.sign(`{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`, x.claims("j1", "imp_a"))
		}},
		{"an ID token", "invalid_request", func(x *transmitter) string {
			return x.sign(`{"alg":"ES256","kid":"k1","typ":"JWT"}`, x.claims("j1", "imp_a"))
		}},
		{"no kind", "invalid_request", func(x *transmitter) string { return x.sign(`{"alg":"ES256","kid":"k1"}`, x.claims("j1", "imp_a")) }},
		{"a key in it", "invalid_request", func(x *transmitter) string {
			return x.sign(`{"alg":"ES256","kid":"k1","typ":"secevent+jwt","jku":"http://127.0.0.1:1/"}`, x.claims("j1", "imp_a"))
		}},
		{"another issuer", "invalid_issuer", func(x *transmitter) string { return x.sign(x.header(), with(x, "iss", x.url+"/")) }},
		{"no issuer", "invalid_issuer", func(x *transmitter) string { return x.sign(x.header(), with(x, "iss", nil)) }},
		{"another audience", "invalid_audience", func(x *transmitter) string { return x.sign(x.header(), with(x, "aud", "other")) }},
		{"two audiences", "invalid_audience", func(x *transmitter) string { return x.sign(x.header(), with(x, "aud", []string{"app", "other"})) }},
		{"no audience", "invalid_audience", func(x *transmitter) string { return x.sign(x.header(), with(x, "aud", nil)) }},
		{"another name", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "jti", "j2")) }},
		{"no time", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "iat", nil)) }},
		{"a sub", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "sub", "john")) }},
		{"an exp", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "exp", 253402300799)) }},
		{"no event", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "events", map[string]any{})) }},
		{"events in an array", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "events", []string{uriRevoked})) }},
		{"two events", "invalid_request", func(x *transmitter) string {
			return x.sign(x.header(), with(x, "events", map[string]any{uriRevoked: map[string]any{}, uriVerified: map[string]any{}}))
		}},
		{"the user alone", "invalid_request", func(x *transmitter) string {
			return x.sign(x.header(), with(x, "sub_id", map[string]string{"format": "iss_sub", "iss": x.url, "sub": "john"}))
		}},
		{"a session that is none", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), x.claims("j1", "*")) }},
		{"no SET", "invalid_request", func(*transmitter) string { return "x" }},
		{"an empty one", "invalid_request", func(*transmitter) string { return "" }},
		{"a long one", "invalid_request", func(x *transmitter) string { return x.sign(x.header(), with(x, "txn", strings.Repeat("a", 9<<10))) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			l := x.receive()
			x.begin(l, "a")
			x.begin(l, "b")
			asked := x.asked("POST /introspect")
			x.tell(map[string]string{"j1": c.set(x), "jb": x.revoked("jb", "imp_b")})
			until(t, "the issuer hears of it", func() bool { return x.refused("j1") != "" })
			if got := x.refused("j1"); c.code != "" && got != c.code {
				t.Errorf("refused with %q; want %q", got, c.code)
			}
			x.wantAlive(l, "a", true)
			if _, over := l.ends("imp_a"); over {
				t.Error("it was believed")
			}
			x.set(func() { x.alive["a"] = false; x.off += believed })
			x.wantAlive(l, "a", false)
			x.wantAlive(l, "b", false)
			if x.asked("POST /introspect") == asked {
				t.Error("nobody asked the issuer")
			}
			if x.acked("j1") || !x.acked("jb") {
				t.Error("what was refused was acknowledged, or what was right was not")
			}
			x.wantOneLine()
			x.begin(l, "c")
		})
	}
}

// refused is the code with which a SET was refused.
func (x *transmitter) refused(jti string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.polls {
		if e, ok := p.Errors[jti]; ok {
			return e.Err
		}
	}
	return ""
}

// wantOneLine wants one short warning.
func (x *transmitter) wantOneLine() {
	x.t.Helper()
	until(x.t, "the log says so", func() bool { return strings.Contains(x.logs.String(), "level=WARN") })
	log := x.logs.String()
	if n := strings.Count(log, "level=WARN"); n != 1 || len(log) > 1000 {
		x.t.Errorf("%d warnings, %d bytes of log; want one short line", n, len(log))
	}
}

// TestAnswersRefused: an answer that is no answer to a poll tells nothing, and its connection goes no further.
func TestAnswersRefused(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range 101 {
		many[fmt.Sprint(i)] = "x"
	}
	tooMany, _ := json.Marshal(many)
	for _, c := range []struct {
		name string
		bend http.HandlerFunc
	}{
		{"garbage", func(w http.ResponseWriter, _ *http.Request) { w.Write(bytes.Repeat([]byte{0xff, 0}, 5000)) }},
		{"nothing", func(http.ResponseWriter, *http.Request) {}},
		{"half of it", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sets":{},"understudy_state":`+fine) }},
		{"an array", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `[]`) }},
		{"other types", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"sets":[],"understudy_state":`+fine+`}`) }},
		{"deep", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(`{"sets":`, 200_000)) }},
		{"too many SETs", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"sets":%s,"understudy_state":%s}`, tooMany, fine)
		}},
		{"50 MiB", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"sets":{},"understudy_state":`+fine+`,"x":"`)
			block := bytes.Repeat([]byte("a"), 1<<20)
			for range 50 {
				if _, err := w.Write(block); err != nil {
					return
				}
			}
			fmt.Fprint(w, `"}`)
		}},
		{"led elsewhere", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/ssf/elsewhere", http.StatusTemporaryRedirect)
		}},
		{"broken off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			fmt.Fprint(w, `{"sets":{}`)
			panic(http.ErrAbortHandler)
		}},
		{"another status", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprintf(w, `{"sets":{},"understudy_state":%s,"understudy_ended":[]}`, fine)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			l := x.receive()
			x.begin(l, "a")
			x.set(func() {
				x.bend = func(w http.ResponseWriter, r *http.Request, what string) bool {
					if what != "POST /ssf/poll/str_1" {
						return false
					}
					c.bend(w, r)
					return true
				}
			})
			until(t, "nothing counts because of the stream", func() bool { return !l.vouching("imp_a") })
			x.wantAlive(l, "a", true)
			x.set(func() { x.alive["a"] = false; x.off += believed })
			x.wantAlive(l, "a", false)
			x.wantOneLine()
			if n := x.asked("POST /ssf/elsewhere"); n > 0 {
				t.Error("followed where it was led")
			}
			x.set(func() { x.bend = nil })
			x.begin(l, "b")
		})
	}
}

// TestNoSnapshot: a connection that does not say what ended before it is none.
func TestNoSnapshot(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	x.bend = func(w http.ResponseWriter, _ *http.Request, what string) bool {
		if what == "POST /ssf/poll/str_1" {
			fmt.Fprintf(w, `{"sets":{},"moreAvailable":false,"understudy_state":%s}`, fine)
			return true
		}
		return false
	}
	l := x.receive()
	x.set(func() { x.alive["a"] = true })
	x.wantAlive(l, "a", true)
	x.wantOneLine()
	if l.vouching("imp_a") {
		t.Error("the stream counts")
	}
}

// TestSETKeys: a SET by a new key is read with it, and where the keys cannot be had nobody says that it is wrong.
func TestSETKeys(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	x.begin(l, "a")
	x.begin(l, "b")
	x.set(func() {
		x.bend = func(w http.ResponseWriter, _ *http.Request, what string) bool {
			if what == "GET /jwks" {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return what == "GET /jwks"
		}
	})
	x.tell(map[string]string{"j1": x.revoked("j1", "imp_a")})
	until(t, "the stream no longer counts", func() bool { return !l.vouching("imp_a") })
	if got := x.refused("j1"); got != "" || x.acked("j1") {
		t.Errorf("refused with %q, or acknowledged, though nobody could tell", got)
	}
	x.set(func() { x.bend = nil })
	hear := func(jti, sid string) {
		until(t, jti+" is heard", func() bool {
			x.tell(map[string]string{jti: x.revoked(jti, sid)})
			time.Sleep(50 * time.Millisecond)
			x.set(func() { x.off += time.Second; x.alive["c"] = true })
			l.Alive(t.Context(), "imp_c", "c")
			_, over := l.ends(sid)
			return over
		})
	}
	hear("j2", "imp_a")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x.set(func() { x.key, x.keyID = key, "k2" })
	hear("j3", "imp_b")
}

// FuzzSET: what the issuer did not sign ends nothing, and what is refused is refused in a short line.
func FuzzSET(f *testing.F) {
	x := newTransmitter(f)
	l := x.receive()
	whole := x.revoked("j1", "imp_a")
	f.Add(whole)
	f.Add("")
	f.Add("..")
	f.Add(strings.Replace(whole, ".", "..", 1))
	f.Add(x.sign(`{"alg":"none"}`, x.claims("j1", "imp_a")))
	f.Add(x.sign(x.header(), map[string]any{}))
	f.Fuzz(func(t *testing.T, set string) {
		_, sid, err := l.events.set(t.Context(), x.now(), set)
		switch {
		case err == nil && (sid != "imp_a" || set != whole):
			t.Errorf("%q ends %q", set, sid)
		case err != nil && len(brief(err)) > 400:
			t.Errorf("%q: a long line", set)
		}
	})
}
