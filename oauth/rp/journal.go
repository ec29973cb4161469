package rp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/internal/spool"
)

const (
	// roomOf is what is kept free for a record that is still to come: a long one.
	roomOf = 4 << 10
	// maxQueued is how much of one session may wait: what script in its pages asks for must not take the room of others.
	maxQueued = 2000
	// graceOf is how long after a session its numbers are remembered: a request may still be under way.
	graceOf = time.Hour
	// minForgotten is how many sessions are remembered before it is looked which are over.
	minForgotten = 1000
)

// journal puts actions on record: at once, or as soon as may be from a spool. It numbers them, each session from 1 on, so that whoever reads
// the record sees what never came. The numbers are this process's own, under a name that it makes up: processes need not talk to each other, nor
// remember anything, and a process that is killed leaves no number that another would give again.
type journal struct {
	to     Recorder
	spool  *spool.Spool
	files  bool // the spool outlives this process
	writer string
	wary   bool             // nothing is reserved for a session before something of it is on record
	over   func(sid string) // hears which sessions the answers say are over
	log    *slog.Logger
	now    func() time.Time
	wake   chan struct{} // something waits
	full   chan struct{} // a whole batch waits, or somebody waits for it
	ended  chan struct{} // closed when nothing is delivered any more

	mu       sync.Mutex
	record   bytes.Buffer // of encoder, used again and again
	encoder  *json.Encoder
	sessions map[string]*telling
	sweepAt  int
	queue    []*queued
	sending  int             // taken from the queue, and not on record yet
	waiting  []chan struct{} // for all to be on record
}

// telling is what the journal knows of a session.
type telling struct {
	seq     int64 // the last number given
	queued  int   // records that wait, or have room reserved
	until   time.Time
	later   time.Time // nothing of it is sent before
	heard   bool      // something of it is on record
	refused bool      // something of it never will be
}

// queued is an action that waits.
type queued struct {
	Action
	place spool.Place
}

// errCrowded means that too much of one session waits.
var errCrowded = errors.New("too many actions of the session wait to be put on record")

// newJournal fails where c.Spool cannot be used.
func newJournal(c Config, to Recorder, over func(string), now func() time.Time) (*journal, error) {
	j := &journal{
		to: to, files: c.Spool != "", writer: oauth.NewID("wrt"), over: over, log: c.Logger, now: now,
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), ended: make(chan struct{}), sessions: make(map[string]*telling), sweepAt: minForgotten,
	}
	j.encoder = json.NewEncoder(&j.record)
	j.encoder.SetEscapeHTML(false)
	var err error
	j.spool, err = spool.Open(spool.Config{Dir: c.Spool, Owner: owner(c), Name: j.writer, MaxBytes: c.SpoolBytes, SyncEvery: time.Second, Logger: c.Logger})
	if err != nil {
		return nil, err
	}
	return j, nil
}

// owner names the app: what another has left, its issuer would not take from us.
func owner(c Config) string {
	sum := sha256.Sum256([]byte(c.Issuer + "\n" + c.ClientID))
	return hex.EncodeToString(sum[:8])
}

// about gives what is known of session sid, which is needed until then, which needs it until then. j.mu must be held.
func (j *journal) about(sid string, until time.Time) *telling {
	t := j.sessions[sid]
	if t == nil {
		if len(j.sessions) >= j.sweepAt {
			j.sweep()
		}
		t = new(telling)
		j.sessions[sid] = t
	}
	if until = until.Add(graceOf); t.until.Before(until) {
		t.until = until
	}
	return t
}

// sweep forgets sessions that are long over. The next is only when twice as many are known, so that it costs next to nothing each.
func (j *journal) sweep() {
	now := j.now()
	for sid, t := range j.sessions {
		if t.queued == 0 && now.After(t.until) {
			delete(j.sessions, sid)
		}
	}
	j.sweepAt = max(minForgotten, 2*len(j.sessions))
}

// tell puts a on record now, and reports whether its session, which lasts until then, goes on. Where nobody knows whether that worked it is
// told again later: it was asked for, and a number that nobody ever sees would look like something hidden.
func (j *journal) tell(ctx context.Context, a Action, until time.Time) (alive bool, err error) {
	j.mu.Lock()
	t := j.about(a.Session, until)
	t.seq++
	a.Writer, a.Seq = j.writer, t.seq
	j.mu.Unlock()
	if alive, err = j.to.Record(ctx, a); err == nil {
		j.mu.Lock()
		j.about(a.Session, until).heard = true
		j.mu.Unlock()
		if !alive {
			j.over(a.Session)
		}
		return alive, nil
	}
	if kept := j.keep(a, 0, until); kept != nil {
		j.log.ErrorContext(ctx, "an action is neither on record nor kept", "session", a.Session, "writer", a.Writer, "seq", a.Seq, "error", kept)
	}
	return false, err
}

// reserve makes room for an action of a session that lasts until then, and reports whether there was any, and whether the issuer is known to take it: otherwise it
// has to be told before. The room goes to keep or release.
func (j *journal) reserve(sid string, until time.Time) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.about(sid, until)
	if t.refused || j.wary && !t.heard || t.queued >= maxQueued || !j.spool.Reserve(roomOf) {
		return false
	}
	t.queued++
	return true
}

// release gives back what reserve kept; 0 is nothing.
func (j *journal) release(sid string, room int64) {
	if room == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sessions[sid].queued--
	j.spool.Release(room)
}

// keep spools a, which is on record soon. room is what reserve kept for it, or 0. It numbers what has no number; with an error, none is spent.
func (j *journal) keep(a Action, room int64, until time.Time) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.about(a.Session, until)
	if room > 0 {
		t.queued--
	}
	if t.queued >= maxQueued {
		j.spool.Release(room)
		return errCrowded
	}
	if a.Seq == 0 {
		a.Writer, a.Seq = j.writer, t.seq+1
	}
	q := &queued{Action: a}
	record, err := j.encode(&q.Action)
	if err != nil {
		j.spool.Release(room)
		return err
	}
	if q.place, err = j.spool.Append(record, room); err != nil {
		return err
	}
	t.seq = max(t.seq, a.Seq)
	j.enqueue(t, q)
	return nil
}

// encode gives what the spool keeps, until the next call. In memory that is a itself, so it is told a length alone. j.mu must be held.
func (j *journal) encode(a *Action) ([]byte, error) {
	if !j.files {
		return blank[:min(len(blank), 300+len(a.Route)+len(a.Note)+maxValue*len(a.Details))], nil
	}
	j.record.Reset()
	if err := j.encoder.Encode(a); err != nil {
		return nil, err
	}
	return j.record.Bytes()[:j.record.Len()-1], nil // without the newline
}

// blank has a length and says nothing.
var blank [roomOf]byte

// enqueue lets q wait. j.mu must be held.
func (j *journal) enqueue(t *telling, q *queued) {
	t.queued++
	j.queue = append(j.queue, q)
	switch len(j.queue) {
	case 1:
		nudge(j.wake)
	case maxBatch:
		nudge(j.full)
	}
}

// nudge wakes who waits, once.
func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// flush waits until all that was kept so far is on record.
func (j *journal) flush(ctx context.Context) error {
	done := make(chan struct{})
	j.mu.Lock()
	j.waiting = append(j.waiting, done)
	j.mu.Unlock()
	nudge(j.full)
	err := errAppEnded
	select {
	case <-done:
		return nil
	case <-j.ended:
	case <-ctx.Done():
		err = ctx.Err()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if n := len(j.queue) + j.sending; n > 0 || err != errAppEnded {
		return fmt.Errorf("rp: %d actions are not on record yet: %w", n, err)
	}
	return nil
}

// errAppEnded is an app that ran before.
var errAppEnded = errors.New("the app has ended")
