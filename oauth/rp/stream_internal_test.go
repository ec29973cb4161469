package rp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// TestStreamTells: one look at a session serves until its end is told, and no session is back after that: not by a switch that is lifted, nor
// by an event that comes again, late or in another order, nor by what the issuer says when it is asked.
func TestStreamTells(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	for _, token := range []string{"a", "b", "c"} {
		x.begin(l, token)
	}
	before := x.asked("POST /introspect")
	for range 1000 {
		for _, token := range []string{"a", "b", "c"} {
			x.wantAlive(l, token, true)
		}
	}
	if n := x.asked("POST /introspect") - before; n > 0 {
		t.Errorf("%d introspections for 3000 requests; want none", n)
	}
	late := x.claims("j0", "imp_a")
	late["iat"] = time.Now().Add(-time.Hour).Unix()
	x.tell(map[string]string{"j1": x.revoked("j1", "imp_a"), "j2": x.revoked("j2", "imp_b")})
	until(t, "the ends are heard", func() bool { _, over := l.ends("imp_b"); return over })
	x.wantAlive(l, "a", false)
	x.wantAlive(l, "b", false)
	x.wantAlive(l, "c", true)
	until(t, "they are acknowledged", func() bool { return x.acked("j1") && x.acked("j2") })
	x.tell(map[string]string{"j0": x.sign(x.header(), late), "j1": x.revoked("j1", "imp_a")})
	until(t, "what comes again is acknowledged again", func() bool { return x.acked("j0") })
	x.wantAlive(l, "a", false)
	x.wantAlive(l, "c", true)
	verification := x.claims("j3", "imp_c")
	verification["events"] = map[string]any{uriVerified: map[string]any{}}
	verification["sub_id"] = map[string]string{"format": "opaque", "id": "str_1"}
	x.tell(map[string]string{"j3": x.sign(x.header(), verification)})
	until(t, "an event that ends nothing is acknowledged", func() bool { return x.acked("j3") })
	x.wantAlive(l, "c", true)
	if n := x.asked("POST /introspect") - before; n > 0 {
		t.Errorf("%d introspections; want none", n)
	}
	if strings.Contains(x.logs.String(), "level=WARN") {
		t.Errorf("a warning where all is well: %s", x.logs.String())
	}
}

// ends tells until when the end of a session is remembered.
func (l *introspected) ends(sid string) (time.Time, bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	at, over := l.told[sid]
	return at, over
}

func (x *transmitter) acked(jti string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.ContainsFunc(x.polls, func(p pollRequest) bool { return slices.Contains(p.Ack, jti) })
}

// TestStreamSnapshot: what ended before somebody listened is told at the start, and only for as long as it matters.
func TestStreamSnapshot(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	now := time.Now()
	x.set(func() {
		x.queue = []string{fmt.Sprintf(`{"snapshot":true,"sets":{},"moreAvailable":false,"understudy_state":%s,"understudy_ended":[{"sid":"imp_a","exp":%d},{"sid":"imp_b","exp":%d},{"sid":"imp_c","exp":253402300799},{"sid":"x","exp":%[2]d}]}`,
			fine, now.Add(time.Minute).Unix(), now.Add(-time.Second).Unix())}
	})
	l := x.receive()
	x.begin(l, "d")
	x.set(func() { x.alive["a"], x.alive["c"] = true, true })
	x.wantAlive(l, "a", false)
	x.wantAlive(l, "c", false)
	l.mu.RLock()
	n, last := len(l.told), l.told["imp_c"]
	l.mu.RUnlock()
	if n != 2 || last.After(x.now().Add(longest)) {
		t.Errorf("%d ends, one until %v; want 2 of sessions, none for longer than it can matter", n, last)
	}
	x.set(func() { x.off = longest + time.Minute })
	until(t, "they are forgotten", func() bool {
		x.set(func() { x.alive["d"] = true })
		l.Alive(t.Context(), "imp_d", "d")
		_, over := l.ends("imp_c")
		return !over
	})
}

// TestStreamSwitch: while a switch is moved every session is asked for anew, at once, and what it ended is not back when it is lifted.
func TestStreamSwitch(t *testing.T) {
	t.Parallel()
	for _, scope := range []string{"instance", "client", "actor", "subject", "organisation"} {
		t.Run(scope, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			l := x.receive()
			x.begin(l, "a")
			x.begin(l, "b")
			on := fmt.Sprintf(`{"epochs":[{"scope":%q,"id":"x"}],"vouches":true}`, scope)
			x.set(func() { x.alive["a"], x.state = false, on }) // and its SET is still to come
			x.tell(nil)
			until(t, "the switch is heard", func() bool { l.mu.RLock(); defer l.mu.RUnlock(); return len(l.epochs) == 1 })
			x.wantAlive(l, "a", false)
			x.wantAlive(l, "b", true)
			x.set(func() { x.state = fine })
			x.tell(nil)
			until(t, "the lift is heard", func() bool { l.mu.RLock(); defer l.mu.RUnlock(); return len(l.epochs) == 0 })
			x.wantAlive(l, "a", false)
			x.begin(l, "new")
		})
	}
}

// TestStreamSwitchMeanwhile: what was asked before a switch was moved, and is answered after, is not remembered.
func TestStreamSwitchMeanwhile(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	x.begin(l, "a")
	asked, answer := make(chan struct{}), make(chan struct{})
	x.set(func() {
		x.alive["b"] = true
		x.bend = func(w http.ResponseWriter, r *http.Request, what string) bool {
			if what == "POST /introspect" && r.FormValue("token") == "b" {
				close(asked)
				<-answer
				fmt.Fprint(w, `{"active":true,"sid":"imp_b","client_id":"app"}`)
				return true
			}
			return false
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Alive(t.Context(), "imp_b", "b")
	}()
	<-asked
	x.set(func() { x.state, x.bend = `{"epochs":[{"scope":"actor","id":"ann"}],"vouches":true}`, nil })
	x.tell(nil)
	until(t, "the switch is heard", func() bool { l.mu.RLock(); defer l.mu.RUnlock(); return len(l.epochs) == 1 })
	x.set(func() { x.alive["b"] = false })
	close(answer)
	<-done
	x.wantAlive(l, "b", false)
}

// TestStreamDoubt: where the issuer does not vouch, has more to tell, or says nothing for 3 seconds, each session is asked for as without a
// stream.
func TestStreamDoubt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, body string }{
		{"vouches not", `{"sets":{},"moreAvailable":false,"understudy_state":{"epochs":[],"vouches":false}}`},
		{"does not say", `{"sets":{},"moreAvailable":false,"understudy_state":{"epochs":[]}}`},
		{"no state", `{"sets":{},"moreAvailable":false}`},
		{"more to come", `{"sets":{},"moreAvailable":true,"understudy_state":{"epochs":[],"vouches":true}}`},
		{"silent", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			l := x.receive()
			x.begin(l, "a")
			stuck := make(chan struct{})
			defer close(stuck)
			n := 0
			x.set(func() {
				x.bend = func(w http.ResponseWriter, _ *http.Request, what string) bool {
					if what != "POST /ssf/poll/str_1" {
						return false
					}
					x.set(func() { n++ })
					if c.body == "" {
						<-stuck
						return true
					}
					fmt.Fprint(w, c.body)
					return true
				}
			})
			x.say("")
			until(t, "the issuer is asked in doubt", func() bool { return !l.vouching("imp_a") })
			x.set(func() { x.off += believed; x.alive["a"] = false })
			x.wantAlive(l, "a", false)
			if c.body != "" {
				return
			}
			until(t, "the log says so", func() bool { return strings.Contains(x.logs.String(), "cannot be heard") })
			if strings.Contains(x.logs.String(), "str_1") {
				t.Errorf("the log tells where the stream is polled: %s", x.logs.String())
			}
		})
	}
}

// TestStreamBelievesForSilence: an answer vouches for 3 seconds from when it was asked for, and for no longer.
func TestStreamBelievesForSilence(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	x.begin(l, "a")
	l.mu.RLock()
	vouched := l.vouched
	l.mu.RUnlock()
	if ahead := vouched.Sub(x.now()); ahead > silence {
		t.Errorf("vouched for %v; want at most %v", ahead, silence)
	}
	x.set(func() { x.alive["a"], x.off = false, believed })
	x.wantAlive(l, "a", false)
}

// TestStreamOfOthers: of a session that another client started no stream of ours tells, so it counts as without one.
func TestStreamOfOthers(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	x.begin(l, "a")
	x.set(func() { x.owner, x.alive["b"] = "another", true })
	x.wantAlive(l, "b", true)
	if l.vouching("imp_b") {
		t.Error("another client's session is believed because of our stream")
	}
}

// TestStreamAsksAgain: a session that is used is asked for once a minute, though its stream vouches: the issuer takes it for idle else.
func TestStreamAsksAgain(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	x.set(func() { x.stands = time.Now() })
	l := x.receive()
	x.begin(l, "a")
	for _, c := range []struct {
		later time.Duration
		want  int
	}{{59 * time.Second, 0}, {time.Second, 1}, {59 * time.Second, 0}, {time.Second, 1}} {
		before := x.asked("POST /introspect")
		x.set(func() { x.off += c.later })
		until(t, "the stream vouches again", func() bool { return l.vouching("imp_a") })
		x.wantAlive(l, "a", true)
		if n := x.asked("POST /introspect") - before; n != c.want {
			t.Errorf("asked %d times %v later; want %d", n, c.later, c.want)
		}
	}
}

// TestStreamEnds: a stream is given back when the app ends, and when nobody is impersonated any longer; it comes again with the next.
func TestStreamEnds(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := x.receiveUntil(ctx)
	if n := x.asked("POST /ssf/streams"); n > 0 {
		t.Error("a stream before anybody was impersonated")
	}
	x.begin(l, "a")
	x.set(func() { x.off += idleStream })
	until(t, "an idle stream is given back", func() bool { return x.asked("DELETE /ssf/streams") == 1 && !l.events.running.Load() })
	x.begin(l, "b")
	if n := x.asked("POST /ssf/streams"); n != 2 {
		t.Errorf("%d streams; want the second one", n)
	}
	cancel()
	until(t, "the app's end gives it back", func() bool { return x.asked("DELETE /ssf/streams") == 2 && !l.events.running.Load() })
	x.set(func() { x.off += believed; x.alive["b"] = false })
	x.wantAlive(l, "b", false)
	if l.events.running.Load() {
		t.Error("it runs again after the app's end")
	}
}

// TestStreamRenews: a token is replaced before it runs out, and nothing else changes.
func TestStreamRenews(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	l := x.receive()
	x.begin(l, "a")
	x.set(func() { x.off += 270 * time.Second })
	polls := x.asked("POST /ssf/poll/str_1")
	until(t, "polls go on", func() bool { return x.asked("POST /ssf/poll/str_1") > polls+1 })
	if n := x.asked("POST /token"); n != 1 {
		t.Errorf("%d tokens before half of the first one's time", n)
	}
	x.set(func() { x.off += 30 * time.Second })
	until(t, "another token", func() bool { return x.asked("POST /token") == 2 })
	if n := x.asked("POST /ssf/streams"); n != 1 {
		t.Errorf("%d streams; want the first one", n)
	}
}

// TestStreamReconnects: a token that ran out is replaced; each connection has a stream of its own, and begins with what ended meanwhile.
func TestStreamReconnects(t *testing.T) {
	t.Parallel()
	for status, again := range map[int]string{
		http.StatusUnauthorized: "POST /token", http.StatusNotFound: "POST /ssf/streams", http.StatusBadRequest: "POST /ssf/streams", http.StatusServiceUnavailable: "POST /ssf/streams",
	} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			l := x.receive()
			x.begin(l, "a")
			before := x.asked(again)
			x.set(func() {
				x.bend = func(w http.ResponseWriter, _ *http.Request, what string) bool {
					if what != "POST /ssf/poll/str_1" {
						return false
					}
					x.set(func() {
						x.bend = nil
						x.queue = []string{fmt.Sprintf(`{"snapshot":true,"sets":{},"moreAvailable":false,"understudy_state":%s,"understudy_ended":[{"sid":"imp_a","exp":%d}]}`,
							fine, time.Now().Add(time.Minute).Unix())}
					})
					w.WriteHeader(status)
					return true
				}
			})
			until(t, "what ended meanwhile is heard", func() bool { _, over := l.ends("imp_a"); return over })
			if x.asked(again) <= before {
				t.Errorf("%s was not asked for again", again)
			}
			x.wantAlive(l, "a", false)
			x.begin(l, "b")
			x.mu.Lock()
			defer x.mu.Unlock()
			if len(x.queue) > 0 {
				t.Error("the connection did not begin with a snapshot")
			}
		})
	}
}

// TestStreamDoor: a stream is opened at the issuer alone, for this client alone and for what ends. Otherwise sessions are asked for, and our
// token is shown to nobody.
func TestStreamDoor(t *testing.T) {
	t.Parallel()
	elsewhere := "http://127.0.0.1:1"
	for name, f := range map[string]func(x *transmitter){
		"metadata of another": func(x *transmitter) { x.meta = map[string]any{"issuer": x.url + "/"} },
		"keys of another":     func(x *transmitter) { x.meta = map[string]any{"jwks_uri": elsewhere + "/jwks"} },
		"opened elsewhere":    func(x *transmitter) { x.meta = map[string]any{"configuration_endpoint": elsewhere + "/ssf/streams"} },
		"opened as somebody": func(x *transmitter) {
			x.meta = map[string]any{"configuration_endpoint": strings.Replace(x.url, "://", "://a@", 1) + "/ssf/streams"}
		},
		"polled elsewhere":   func(x *transmitter) { x.stream = delivery("urn:ietf:rfc:8936", elsewhere+"/ssf/poll/str_1") },
		"polled at a longer": func(x *transmitter) { x.stream = delivery("urn:ietf:rfc:8936", x.url+".test/ssf/poll/str_1") },
		"pushed":             func(x *transmitter) { x.stream = delivery("urn:ietf:rfc:8935", x.url+"/ssf/poll/str_1") },
		"another client's":   func(x *transmitter) { x.stream = map[string]any{"aud": "other"} },
		"another issuer's":   func(x *transmitter) { x.stream = map[string]any{"iss": "https://other.test"} },
		"without a name":     func(x *transmitter) { x.stream = map[string]any{"stream_id": ""} },
		"tells nothing":      func(x *transmitter) { x.stream = map[string]any{"events_delivered": []string{uriVerified}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			f(x)
			l := x.receive()
			x.set(func() { x.alive["a"] = true })
			x.wantAlive(l, "a", true)
			until(t, "the log says so", func() bool { return strings.Contains(x.logs.String(), "events cannot be heard") })
			if n := x.asked("POST /ssf/poll/str_1"); n > 0 {
				t.Errorf("polled %d times", n)
			}
			x.set(func() { x.off += believed; x.alive["a"] = false })
			x.wantAlive(l, "a", false)
		})
	}
}

func delivery(method, url string) map[string]any {
	return map[string]any{"delivery": map[string]string{"method": method, "endpoint_url": url}}
}

// TestStreamNowhere: an issuer that tells no events, has no stream left or no token for us, is asked as ever, now and then once more.
func TestStreamNowhere(t *testing.T) {
	t.Parallel()
	for what, status := range map[string]int{"GET /.well-known/ssf-configuration": http.StatusNotFound, "POST /ssf/streams": http.StatusConflict, "POST /token": http.StatusBadRequest} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			x := newTransmitter(t)
			x.bend = func(w http.ResponseWriter, _ *http.Request, asked string) bool {
				if asked == what {
					http.Error(w, strings.Repeat("x", 10_000), status)
				}
				return asked == what
			}
			l := x.receive()
			x.set(func() { x.alive["a"] = true })
			x.wantAlive(l, "a", true)
			until(t, "it is tried again", func() bool { return x.asked(what) >= 3 })
			if lines := strings.Split(strings.TrimSpace(x.logs.String()), "\n"); len(lines) != 1 || len(lines[0]) > 1000 {
				t.Errorf("%d lines of log, the first of %d bytes; want one short one", len(lines), len(lines[0]))
			}
			x.set(func() { x.bend = nil })
			x.begin(l, "b")
			x.set(func() { x.off += believed; x.alive["a"] = false })
			x.wantAlive(l, "a", false)
		})
	}
}

// TestStreamPace: an issuer that never lets a poll wait is asked ten times a second, not as often as it answers.
func TestStreamPace(t *testing.T) {
	t.Parallel()
	x := newTransmitter(t)
	x.bend = func(w http.ResponseWriter, r *http.Request, what string) bool {
		if what == "POST /ssf/poll/str_1" {
			fmt.Fprintf(w, `{"sets":{},"moreAvailable":true,"understudy_state":%s,"understudy_ended":[]}`, fine)
			return true
		}
		return false
	}
	l := x.receive()
	x.set(func() { x.alive["a"] = true })
	x.wantAlive(l, "a", true)
	already, began := x.asked("POST /ssf/poll/str_1"), time.Now()
	until(t, "it is polled again and again", func() bool { return x.asked("POST /ssf/poll/str_1") >= already+20 })
	if took := time.Since(began); took < time.Second {
		t.Errorf("20 polls in %v; want ten a second at most", took)
	}
}

// TestStreamBounds: more ends than are remembered are no ends that are believed away: the stream then no longer counts.
func TestStreamBounds(t *testing.T) {
	t.Parallel()
	now := time.Now()
	l := &introspected{now: func() time.Time { return now }}
	many := func(from, n int) map[string]time.Time {
		out := make(map[string]time.Time, n)
		for i := range n {
			out[fmt.Sprintf("imp_%d", from+i)] = now.Add(time.Minute)
		}
		return out
	}
	if err := l.hear(news{ended: many(0, maxEnded), vouched: now.Add(silence)}); err != nil || l.vouched.IsZero() {
		t.Fatalf("as many as fit: %v", err)
	}
	if err := l.hear(news{ended: many(maxEnded, 1), vouched: now.Add(silence)}); err == nil || !l.vouched.IsZero() || len(l.told) > maxEnded {
		t.Errorf("one more: got %v, vouched %v, %d remembered", err, l.vouched, len(l.told))
	}
	now = now.Add(2 * time.Minute)
	if err := l.hear(news{ended: many(maxEnded, 1), vouched: now.Add(silence)}); err != nil || len(l.told) != 1 {
		t.Errorf("once they no longer matter: got %v, %d remembered", err, len(l.told))
	}
	for i := range 3 * maxBelieved {
		l.remember(fmt.Sprint(i), sighting{token: oauth.Secret("t"), at: now})
	}
	if len(l.seen) > maxBelieved {
		t.Errorf("%d sessions remembered; want at most %d", len(l.seen), maxBelieved)
	}
}
