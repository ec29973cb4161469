package server_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/ssf"
	"github.com/understudy-id/understudy/oauth/store"
)

// endMany starts n impersonations at client and ends each.
func (h *house) endMany(client string, n int) (sids []string) {
	h.t.Helper()
	for range n {
		s := h.start("ann", client, "john", "read")
		h.endSessions(impersonation.ScopeSession, s.sid)
		sids = append(sids, s.sid)
	}
	slices.Sort(sids)
	return sids
}

func (r *receiver) wantTold(what string, a polled, more bool, sids ...string) {
	r.t.Helper()
	if got := r.sessions(a); !slices.Equal(got, sids) || *a.MoreAvailable != more {
		r.t.Errorf("%s: told of %q, more %v; want %q, more %v", what, got, *a.MoreAvailable, sids, more)
	}
}

// TestPollBounds: as many SETs as the receiver asks for, the rest later, and none where it only acknowledges; what it acknowledges out of
// order, or does not take, is not told again, and what lies before is.
//
// Covers RFC8936-2.4-01.
func TestPollBounds(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r := h.receive("app")
		sids := h.endMany("app", 5)
		r.wantTold("all", r.now(), false, sids...)
		two := r.poll(`{"returnImmediately":true,"maxEvents":2}`)
		if len(two.Sets) != 2 || !*two.MoreAvailable {
			t.Errorf("of two at most: got %+v", two)
		}
		none := r.poll(`{"maxEvents":0}`)
		if len(none.Sets) != 0 || !*none.MoreAvailable {
			t.Errorf("of none: got %+v", none)
		}
		all := r.now()
		order := slices.SortedFunc(maps.Keys(all.Sets), func(a, b string) int { return strings.Compare(r.at(all.Sets[a]), r.at(all.Sets[b])) })
		last, bad := order[4], order[2]
		left := r.poll(fmt.Sprintf(`{"returnImmediately":true,"ack":[%q],"setErrs":{%q:{"err":"invalid_key","description":"d"}}}`, last, bad))
		delete(all.Sets, last)
		delete(all.Sets, bad)
		if diff := cmp.Diff(all.Sets, left.Sets); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		if !strings.Contains(h.logs.String(), "err=invalid_key") {
			t.Error("that a receiver does not take a SET is not in the log")
		}
		if after := r.ack(left); len(after.Sets) > 0 {
			t.Errorf("at the end: got %v", after.Sets)
		}
		var position, acked string
		h.must(h.base.admin.QueryRow(`SELECT position, acked FROM ssf_stream`).Scan(&position, &acked))
		if end, err := h.store.OutboxEnd(t.Context()); err != nil || fmt.Sprint(end) != position || len(acked) > 2 {
			t.Errorf("the stream is at %s, with %s behind it; want it at the end, %d, with nothing", position, acked, end)
		}
	})
}

// at is when what a SET tells happened, with its session to tell apart what happened in one second.
func (r *receiver) at(set string) string {
	_, c := claims(r.t, set)
	return fmt.Sprint(int64(c["iat"].(float64)), c["jti"])
}

// badPolls are bodies of a poll that are refused, with what the answer must name. %q is the jti of a SET that waits.
var badPolls = []struct {
	name, body, names string
	status            int
}{
	{"nothing", "", "the body must be", http.StatusBadRequest},
	{"no JSON", "ack=1", "the body must be", http.StatusBadRequest},
	{"an array", `["a"]`, "must be an object", http.StatusBadRequest},
	{"cut", `{"ack":[%q]`, "the body must be", http.StatusBadRequest},
	{"a wrong type", `{"ack":%q}`, "ack:", http.StatusBadRequest},
	{"a wrong type in it", `{"ack":[%q,1]}`, "ack:", http.StatusBadRequest},
	{"twice", `{"ack":[%q],"ACK":[]}`, "two members", http.StatusBadRequest},
	{"no number", `{"ack":[%q],"maxEvents":"1"}`, "maxEvents:", http.StatusBadRequest},
	{"less than none", `{"ack":[%q],"maxEvents":-1}`, "maxEvents:", http.StatusBadRequest},
	{"no wait", `{"ack":[%q],"understudy_wait":0}`, "understudy_wait:", http.StatusBadRequest},
	{"two things at once", `{"ack":[%q],"understudy_snapshot":true}`, "understudy_snapshot:", http.StatusBadRequest},
	{"an unknown SET", `{"ack":[%q,"set_aaaaaaaaaaaaaaaaaaaaaaaaaa"]}`, "ack:", http.StatusBadRequest},
	{"no SET at all", `{"ack":[%q,""]}`, "ack:", http.StatusBadRequest},
	{"an unknown SET in error", `{"ack":[%q],"setErrs":{"x":{"err":"y"}}}`, "setErrs:", http.StatusBadRequest},
	{"an error without a code", `{"setErrs":{%q:{}}}`, "setErrs.err:", http.StatusBadRequest},
	{"a megabyte", `{"ack":[%q],"x":"` + strings.Repeat("a", 1<<20) + `"}`, "too long", http.StatusRequestEntityTooLarge},
	{"fifty thousand arrays", `{"ack":[%q],"x":` + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000) + `}`, "the body", http.StatusBadRequest},
}

// TestBadPolls: what is not a poll is refused by the name of what is wrong with it, and changes nothing.
//
// Covers RFC8936-2.5.1-01.
func TestBadPolls(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r, other := h.receive("app"), h.receive("other")
		h.endMany("other", 1)
		theirs := slices.Collect(maps.Keys(other.now().Sets))[0]
		h.endMany("app", 1)
		jti := slices.Collect(maps.Keys(r.now().Sets))[0]
		before := h.base.dump(t)
		same := func(name string) {
			t.Helper()
			if diff := cmp.Diff(before, h.base.dump(t)); diff != "" {
				t.Errorf("%s: wrote (-before +after):\n%s", name, diff)
			}
		}
		for _, c := range badPolls {
			got := r.call(http.MethodPost, r.url, strings.Replace(c.body, "%q", `"`+jti+`"`, 1))
			if got.status != c.status || got.str("error") != "invalid_request" || !strings.Contains(got.str("error_description"), c.names) || strings.Contains(got.body, jti) {
				t.Errorf("%s: got %d %s; want %d that names %s and quotes nothing", c.name, got.status, got.body, c.status, c.names)
			}
		}
		same("what is no poll")
		for name, got := range map[string]reply{
			"another client's SET":    r.call(http.MethodPost, r.url, `{"ack":["`+jti+`","`+theirs+`"]}`),
			"another client's stream": other.call(http.MethodPost, r.url, `{"ack":["`+theirs+`"],"returnImmediately":true}`),
			"no stream":               r.call(http.MethodPost, "/ssf/poll/str_none", `{"returnImmediately":true}`),
			"a form":                  h.form(r.url, "", nil),
			"GET":                     r.call(http.MethodGet, r.url, ""),
			"a token in the URL":      r.callAs("", http.MethodPost, r.url+"?access_token="+r.token, `{}`),
			"two tokens":              r.call(http.MethodPost, r.url+"?access_token="+r.token, `{}`),
		} {
			if got.status < 400 || got.status > 499 || got.json["sets"] != nil {
				t.Errorf("%s: got %d %s", name, got.status, got.body)
			}
		}
		same("what is not theirs")
		for _, authorization := range []string{"", "Bearer x", "Basic " + jti} {
			got := r.callAs(authorization, http.MethodPost, r.url, `{"ack":["`+jti+`"]}`)
			if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer ") {
				t.Errorf("%q: got %d %s, WWW-Authenticate %q; want 401", authorization, got.status, got.body, got.header.Get("WWW-Authenticate"))
			}
		}
		same("who is nobody")
		if a := r.now(); len(a.Sets) != 1 || a.Sets[jti] == "" {
			t.Errorf("after all that: got %v; want the SET that waited", a.Sets)
		}
	})
}

// TestPollWaits: the answer comes at the first event, at a kill that tells of no session of the client, and else in time.
func TestPollWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		stop := h.running()
		r := h.receive("app")
		r.poll(`{"understudy_wait":1}`) // until the server looks
		begun := time.Now()
		if a := r.poll(`{"understudy_wait":1}`); len(a.Sets) > 0 || time.Since(begun) < time.Second {
			t.Errorf("got %+v after %v; want nothing, after a second", a, time.Since(begun))
		}
		polling := func() <-chan polled {
			out := make(chan polled, 1)
			go func() { out <- r.poll(`{"understudy_wait":25}`) }()
			return out
		}
		soon := func(what string, out <-chan polled) polled {
			t.Helper()
			select {
			case a := <-out:
				return a
			case <-time.After(time.Minute): // also of one that begins only when there is nothing more to wait for: it waits 25 s
				t.Fatalf("%s: a poll that waits got no answer", what)
			}
			return polled{}
		}
		live := h.start("ann", "app", "john", "read")
		out := polling()
		h.endSessions(impersonation.ScopeSession, live.sid)
		a := soon("an end", out)
		r.wantTold("an end", a, false, live.sid)
		r.ack(a)

		// A poll that comes only after the kill has nothing to wait for but the next change: then once more.
		var killed *polled
		for try := 0; killed == nil && try < 5; try++ {
			out = polling()
			e := h.write()
			e.Events = []impersonation.Event{{Kind: "kill.on", Time: e.Now}}
			_, err := h.store.End(t.Context(), impersonation.EndWrite{Write: e, Scope: impersonation.ScopeInstance, Reason: impersonation.EndKilled, Issuer: h.issuer, Kill: true})
			h.must(err)
			select {
			case a := <-out:
				killed = &a
			case <-time.After(8 * time.Second):
				h.lifted(impersonation.ScopeInstance, "")
				soon("a lift", out)
			}
		}
		if killed == nil || len(killed.State.Epochs) != 1 || killed.State.Epochs[0].Scope != "instance" || killed.State.Epochs[0].ID != "" {
			t.Errorf("a kill: got %+v; want it in the state", killed)
		}
		h.lifted(impersonation.ScopeInstance, "")
		if a := r.now(); len(a.State.Epochs) != 0 {
			t.Errorf("lifted: got %+v", a.State)
		}

		out = polling()
		stop()
		soon("the server stops", out)
	})
}

// TestPollOutlastsRequest: a server that gives requests little time to arrive lets a poll wait all the same.
func TestPollOutlastsRequest(t *testing.T) {
	t.Parallel()
	h := setup(t, options{})
	strict := httptest.NewUnstartedServer(h.handler)
	strict.Config.ReadTimeout = time.Second
	strict.Start()
	t.Cleanup(strict.Close)
	r := h.receive("app")
	at := *h
	at.url = strict.URL
	there := *r
	there.house = &at
	if a := there.poll(`{"understudy_wait":3}`); len(a.Sets) > 0 || !*a.State.Vouches {
		t.Errorf("got %+v; want an answer with nothing", a)
	}
}

// TestStreamReplicas: a poll at another server is as good, and an acknowledgement there counts here.
func TestStreamReplicas(t *testing.T) {
	t.Parallel()
	o := options{on: onPostgres}
	h := setup(t, o)
	h2 := h.replica(o)
	h.running()
	h2.running()
	r := h.receive("app")
	there := *r
	there.house = h2
	sids := h.endMany("app", 1)
	here := r.poll(`{"understudy_wait":10}`)
	r.wantTold("here", here, false, sids...)
	if a := there.now(); !cmp.Equal(a.Sets, here.Sets) {
		t.Errorf("there: got %v, want the very same as here: %v", a.Sets, here.Sets)
	}
	there.ack(here)
	r.wantTold("acknowledged there", r.now(), false)
	live := h.start("ann", "app", "john", "read")
	var both sync.WaitGroup
	for _, p := range []*receiver{r, &there} {
		both.Go(func() { p.wantTold("both at once", p.poll(`{"understudy_wait":10}`), false, live.sid) })
	}
	h2.endSessions(impersonation.ScopeSession, live.sid)
	both.Wait()
}

// TestStreamReset: who is too slow starts anew, from a snapshot, and is told so; then all goes on.
func TestStreamReset(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r, quick := h.receive("app"), h.receive("app")
		sids := h.endMany("app", 2)
		h.outboxOf("app", ssf.MaxPending-1)
		a := r.now()
		if a.Sets == nil || len(a.Sets) != 0 || len(a.Ended) != 2 || *a.MoreAvailable {
			t.Fatalf("got %d SETs, %v; want none and a snapshot of two", len(a.Sets), a.Ended)
		}
		var got []string
		for _, e := range a.Ended {
			got = append(got, e.Session)
		}
		if slices.Sort(got); !slices.Equal(got, sids) {
			t.Errorf("the snapshot has %q, want %q", got, sids)
		}
		next := h.endMany("app", 1)
		a = r.now()
		if r.wantTold("after it", a, false, next...); a.Ended != nil {
			t.Errorf("after it: got a snapshot again")
		}
		// Nor does a receiver that acknowledges all but the first make the list of what it did ever longer.
		var first int64
		h.must(h.base.admin.QueryRow(`SELECT min(position) FROM outbox WHERE kind = 'session.ended'`).Scan(&first))
		var many []int64
		for i := range ssf.MaxPending + 1 {
			many = append(many, first+1+int64(i))
		}
		h.must(h.store.MoveStream(t.Context(), quick.id, h.streamOf(quick.id).Cursor, store.Cursor{Position: first - 1, Acked: many}, h.clock.Now()))
		if a := quick.now(); a.Ended == nil {
			t.Errorf("with too many acknowledged: got no snapshot")
		}
	})
}

func (h *house) streamOf(id string) store.Stream {
	h.t.Helper()
	s, err := h.store.Stream(h.t.Context(), id)
	h.must(err)
	return s
}

// outboxOf writes n ends into the outbox, past the store.
func (h *house) outboxOf(client string, n int) {
	h.t.Helper()
	row := fmt.Sprintf("('session.ended', 'imp_x', '', '', '%s', 'stopped', %d)", client, h.clock.Now().UnixMilli())
	h.base.run(h.t, `INSERT INTO outbox (kind, session, actor, subject, client, reason, time_at) VALUES `+strings.Repeat(row+", ", n-1)+row)
}

// unready is a store that reads, and that tells whether it takes writes.
type unready struct {
	store.Store
	bad atomic.Bool
}

func (u *unready) Ready(ctx context.Context) (time.Time, error) {
	if u.bad.Load() {
		return time.Time{}, errors.New("read only")
	}
	return u.Store.Ready(ctx)
}

// TestStreamVouches: a server that could not end a session says so in every answer, takes no acknowledgement and gives no snapshot; what it
// knows it still tells.
func TestStreamVouches(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		var st *unready
		h := setup(t, o.wrapped(func(s store.Store) store.Store { st = &unready{Store: s}; return st }))
		r := h.receive("app")
		sids := h.endMany("app", 1)
		st.bad.Store(true)
		within(t, "noticing", func() error {
			if *r.now().State.Vouches {
				return errors.New("it vouches")
			}
			return nil
		})
		before, a := h.base.dump(t), r.now()
		r.wantTold("meanwhile", a, false, sids...)
		r.wantTold("acknowledged meanwhile", r.ack(a), false, sids...)
		if a := r.poll(`{"understudy_snapshot":true,"returnImmediately":true}`); a.Ended != nil || *a.State.Vouches {
			t.Errorf("a snapshot meanwhile: got %+v", a)
		}
		if diff := cmp.Diff(before, h.base.dump(t)); diff != "" {
			t.Errorf("meanwhile it wrote (-before +after):\n%s", diff)
		}
		st.bad.Store(false)
		if a := r.ack(a); len(a.Sets) > 0 || !*a.State.Vouches {
			t.Errorf("afterwards: got %+v", a)
		}
	})
}

// TestStreamLease: a stream that nobody polls is gone, with all that it did not tell, and its place is free.
func TestStreamLease(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r := h.receive("app")
		for range 5 { // which keeps it
			h.clock.advance(50 * time.Second)
			r.now()
		}
		for range ssf.MaxStreams - 1 {
			r.openStream()
		}
		if got := r.call(http.MethodPost, "/ssf/streams", `{}`); got.status != http.StatusConflict {
			t.Errorf("one too many: got %d %s; want 409", got.status, got.body)
		}
		h.receive("other") // another client has its own
		h.clock.advance(61 * time.Second)
		if got := r.call(http.MethodPost, r.url, `{"returnImmediately":true}`); got.status != http.StatusNotFound || got.str("error") == "" {
			t.Errorf("a minute later: got %d %s; want 404", got.status, got.body)
		}
		if got := r.call(http.MethodGet, "/ssf/streams", ""); got.body != "[]" {
			t.Errorf("the streams a minute later: got %s", got.body)
		}
		r.openStream()
	})
}

// TestKillsInState: a kill is in every answer for as long as it is on, for the clients that it concerns.
func TestKillsInState(t *testing.T) {
	onBoth(t, func(t *testing.T, o options) {
		h := setup(t, o)
		r, other := h.receive("app"), h.receive("other")
		live := h.start("ann", "app", "john", "read")
		h.killed(impersonation.ScopeSubject, "john")
		for range 2 {
			a := r.now()
			if len(a.State.Epochs) != 1 || a.State.Epochs[0].Scope != "subject" || a.State.Epochs[0].ID != "john" {
				t.Errorf("got %+v; want the kill of john", a.State)
			}
			if len(a.Sets) > 0 {
				r.wantTold("the end", a, false, live.sid)
				r.ack(a)
			}
		}
		if a := other.now(); len(a.State.Epochs) != 0 {
			t.Errorf("a client without a session of john's: got %+v", a.State)
		}
		// A process that starts now hears of both.
		late := h.receiverOf("app")
		late.openStream()
		if a := late.poll(`{"understudy_snapshot":true}`); len(a.Ended) != 1 || a.Ended[0].Session != live.sid || len(a.State.Epochs) != 1 {
			t.Errorf("a process that starts after the kill: got %+v", a)
		}
		h.killed(impersonation.ScopeClient, "app")
		if got := r.call(http.MethodPost, r.url, `{"returnImmediately":true}`); got.status != http.StatusUnauthorized {
			t.Errorf("a client that is killed: got %d %s; want 401", got.status, got.body)
		}
	})
}
