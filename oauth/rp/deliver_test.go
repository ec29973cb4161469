package rp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// clerk is a Recorder that refuses as an issuer does.
type clerk struct {
	mu      sync.Mutex
	refuse  func(batch []Action) error
	kept    map[string]bool // by session and number
	batches [][]string
}

func name(a Action) string { return fmt.Sprintf("%s/%d", a.Session, a.Seq) }

func (c *clerk) Record(context.Context, Action) (bool, error) { return true, nil }

func (c *clerk) RecordAll(_ context.Context, batch []Action) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, a := range batch {
		names = append(names, name(a))
	}
	c.batches = append(c.batches, names)
	if err := c.refuse(batch); err != nil {
		return nil, err
	}
	for _, n := range names {
		c.kept[n] = true
	}
	return []string{"over"}, nil
}

// desk is a journal before a clerk, which nothing delivers by itself.
func desk(t *testing.T, refuse func([]Action) error) (*journal, *clerk, *strings.Builder) {
	t.Helper()
	c := &clerk{refuse: refuse, kept: make(map[string]bool)}
	log := new(strings.Builder)
	j, err := newJournal(Config{SpoolBytes: 16 << 20, Logger: slog.New(slog.NewTextHandler(log, nil))}, c, func(string) {}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return j, c, log
}

func (j *journal) mustKeep(t *testing.T, sid string, n int) {
	t.Helper()
	for range n {
		if err := j.keep(Action{ID: "act_x", Session: sid, Route: "/"}, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
}

// namedRefusal is how the issuer refuses an action of a batch.
func namedRefusal(status int) error {
	return fmt.Errorf("recording: %w", &issuerError{Status: status, Code: "invalid_request", Description: "actions[0].sid: no session of this client"})
}

func refusal(status int) error { return fmt.Errorf("recording: %w", &issuerError{Status: status}) }

// TestOneBadActionKeepsNoOther: what the issuer will never take is told in the log, by session and number, and all beside it is on record.
func TestOneBadActionKeepsNoOther(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge} {
		j, c, log := desk(t, func(batch []Action) error {
			if slices.ContainsFunc(batch, func(a Action) bool { return name(a) == "b/17" || a.Session == "c" }) {
				return namedRefusal(status)
			}
			return nil
		})
		for _, sid := range []string{"a", "b", "c"} {
			j.mustKeep(t, sid, 30)
		}
		if err := j.drain(t.Context()); err != nil || j.rest() != 0 {
			t.Errorf("%v, %d left", err, j.rest())
		}
		if len(c.kept) != 59 || c.kept["b/17"] || !c.kept["b/16"] || !c.kept["b/18"] {
			t.Errorf("%d are on record, want 59", len(c.kept))
		}
		if n := strings.Count(log.String(), "will not put an action on record"); n != 31 || !strings.Contains(log.String(), "session=b writer="+j.writer+" seq=17") {
			t.Errorf("%d lines:\n%s", n, log)
		}
		if n := j.sessions["b"].queued; n != 0 {
			t.Errorf("%d of the session count as waiting", n)
		}
	}
}

// TestOnlyTheIssuerDrops: whatever else answers 400 or 413 drops nothing. What it will not let through is kept, and what is of other sessions is told.
func TestOnlyTheIssuerDrops(t *testing.T) {
	t.Parallel()
	for name, cause := range map[string]error{
		"a proxy":            refusal(http.StatusBadRequest),
		"a proxy's limit":    refusal(http.StatusRequestEntityTooLarge),
		"a gateway":          fmt.Errorf("recording: %w", &issuerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "blocked by rule 942"}),
		"another error":      fmt.Errorf("recording: %w", &issuerError{Status: http.StatusBadRequest, Code: "invalid_client", Description: "actions[0]"}),
		"the body is at bay": fmt.Errorf("recording: %w", &issuerError{Status: http.StatusBadRequest, Code: "invalid_request", Description: "the body ended early."}),
	} {
		blocks := true
		j, c, log := desk(t, func(batch []Action) error {
			if blocks && slices.ContainsFunc(batch, func(a Action) bool { return a.Session == "b" && a.Seq >= 17 }) {
				return cause
			}
			return nil
		})
		for _, sid := range []string{"a", "b", "c"} {
			j.mustKeep(t, sid, 30)
		}
		if err := j.drain(t.Context()); !errors.Is(err, cause) {
			t.Errorf("%s: %v", name, err)
		}
		if err := j.drain(t.Context()); err != nil || j.rest() != 14 || len(c.kept) != 76 {
			t.Errorf("%s: %v, %d left, %d on record; want 14 and 76", name, err, j.rest(), len(c.kept))
		}
		if strings.Contains(log.String(), "will not put an action on record") || !j.reserve("b", time.Now()) {
			t.Errorf("%s: counts as refused by the issuer:\n%s", name, log)
		}
		j.release("b", roomOf)
		blocks = false
		j.sessions["b"].later = time.Time{}
		if err := j.drain(t.Context()); err != nil || j.rest() != 0 || len(c.kept) != 90 {
			t.Errorf("%s: %v, %d left, %d on record", name, err, j.rest(), len(c.kept))
		}
	}
}

// TestNoPromiseAfterALoss: once the issuer would not take an action of a session, nothing more of it is served before it is on record. Other sessions are as before.
func TestNoPromiseAfterALoss(t *testing.T) {
	t.Parallel()
	j, _, _ := desk(t, func(batch []Action) error {
		if slices.ContainsFunc(batch, func(a Action) bool { return name(a) == "b/2" }) {
			return namedRefusal(http.StatusBadRequest)
		}
		return nil
	})
	until := time.Now().Add(time.Hour)
	for _, sid := range []string{"a", "b"} {
		j.mustKeep(t, sid, 3)
		if !j.reserve(sid, until) {
			t.Fatal("no room")
		}
		j.release(sid, roomOf)
	}
	if err := j.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := j.tell(t.Context(), Action{Session: "b"}, until); err != nil { // one that is taken does not bring the other back
		t.Fatal(err)
	}
	if j.reserve("b", until) || !j.reserve("a", until) {
		t.Error("what only looks is served on a promise that was not kept, or that of another session is not")
	}
}

// TestOneBusySessionKeepsNoOther: a session of which the issuer has heard enough waits, and loses nothing.
func TestOneBusySessionKeepsNoOther(t *testing.T) {
	t.Parallel()
	busy := true
	j, c, _ := desk(t, func(batch []Action) error {
		if busy && slices.ContainsFunc(batch, func(a Action) bool { return a.Session == "b" }) {
			return refusal(http.StatusTooManyRequests)
		}
		return nil
	})
	j.mustKeep(t, "a", 30)
	j.mustKeep(t, "b", 30)
	j.mustKeep(t, "c", 30)
	if err := j.drain(t.Context()); err != nil || j.rest() != 30 || len(c.kept) != 60 {
		t.Fatalf("%v, %d left, %d on record; want 30 and 60", err, j.rest(), len(c.kept))
	}
	asked := len(c.batches)
	if err := j.drain(t.Context()); err != nil || len(c.batches) != asked {
		t.Errorf("%v, asked again at once", err)
	}
	busy = false
	j.sessions["b"].later = time.Time{}
	if err := j.drain(t.Context()); err != nil || j.rest() != 0 || len(c.kept) != 90 {
		t.Errorf("%v, %d left, %d on record", err, j.rest(), len(c.kept))
	}
	if last := c.batches[len(c.batches)-1]; last[0] != "b/1" || last[29] != "b/30" {
		t.Errorf("in another order: %v", last)
	}
}

// TestNobodyKnows: with any other answer all is kept, whatever was on record already, and told again in the same order.
func TestNobodyKnows(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{
		errors.New("no route"), refusal(http.StatusUnauthorized), refusal(http.StatusForbidden), refusal(http.StatusNotFound), refusal(http.StatusInternalServerError),
		refusal(http.StatusServiceUnavailable), refusal(http.StatusFound),
	} {
		n := 0
		j, c, _ := desk(t, func([]Action) error {
			if n++; n == 2 {
				return cause
			}
			return nil
		})
		j.mustKeep(t, "a", 250)
		if err := j.drain(t.Context()); !errors.Is(err, cause) || j.rest() != 150 {
			t.Errorf("%v: %v, %d left", cause, err, j.rest())
		}
		if err := j.drain(t.Context()); err != nil || j.rest() != 0 || len(c.kept) != 250 || !slices.Equal(c.batches[1], c.batches[2]) {
			t.Errorf("%v: %v, %d left, %d on record", cause, err, j.rest(), len(c.kept))
		}
	}
}

// TestBatchesFit: no batch is longer than the issuer takes, in number and in bytes, and an action that is longer by itself goes alone.
func TestBatchesFit(t *testing.T) {
	t.Parallel()
	j, c, _ := desk(t, func(batch []Action) error {
		size := 0
		for _, a := range batch {
			size += len(a.Route)
		}
		if len(batch) > 100 || size > maxBatchBytes {
			return refusal(http.StatusRequestEntityTooLarge)
		}
		return nil
	})
	for i := range 500 {
		if err := j.keep(Action{Session: "a", Route: "/" + strings.Repeat("x", 511*(i%2))}, 0, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.drain(t.Context()); err != nil || len(c.kept) != 500 || len(c.batches) > 10 {
		t.Errorf("%v, %d on record in %d batches", err, len(c.kept), len(c.batches))
	}
}

// TestOneSessionTakesNotAllRoom: what script in one session's pages asks for leaves room for others.
func TestOneSessionTakesNotAllRoom(t *testing.T) {
	t.Parallel()
	j, _, _ := desk(t, func([]Action) error { return errors.New("away") })
	n := 0
	for j.reserve("a", time.Now()) {
		if err := j.keep(Action{Session: "a", Route: "/"}, roomOf, time.Now()); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != maxQueued || !j.reserve("b", time.Now()) {
		t.Errorf("after %d of one session there is no room for another", n)
	}
	if err := j.keep(Action{Session: "a"}, 0, time.Now()); !errors.Is(err, errCrowded) {
		t.Errorf("got %v, want errCrowded", err)
	}
	j.release("b", roomOf)
	if j.sessions["b"].queued != 0 {
		t.Error("what was released counts as waiting")
	}
}

// TestNumbersAreRemembered: a session keeps its count for as long as it can be used, however many others come, and is forgotten after.
func TestNumbersAreRemembered(t *testing.T) {
	t.Parallel()
	j, _, _ := desk(t, func([]Action) error { return nil })
	now := time.Now()
	j.now = func() time.Time { return now }
	tell := func(sid string, until time.Time) int64 {
		if err := j.keep(Action{Session: sid}, 0, until); err != nil {
			t.Fatal(err)
		}
		return j.queue[len(j.queue)-1].Seq
	}
	tell("long", now.Add(20*time.Hour))
	for i := range 5 * minForgotten {
		if n := tell(fmt.Sprint(i), now.Add(time.Minute)); n != 1 {
			t.Fatalf("the first number is %d", n)
		}
		if err := j.drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(10 * time.Second)
	}
	if n := tell("long", now); n != 2 {
		t.Errorf("after many others: number %d, want 2", n)
	}
	if n := len(j.sessions); n > 3*minForgotten {
		t.Errorf("%d sessions are remembered", n)
	}
}
