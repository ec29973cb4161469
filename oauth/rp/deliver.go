package rp

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
)

const (
	// maxBatch and maxBatchBytes are what the issuer takes at once.
	maxBatch      = 100
	maxBatchBytes = 48 << 10
	// gather is how long actions wait for others: how late the record may be.
	gather = 250 * time.Millisecond
	// lastBackoff is what the wait grows to where the issuer does not answer.
	lastBackoff = 5 * time.Second
	// busyFor is how long nothing is sent of a session of which the issuer has heard enough.
	busyFor = 5 * time.Second
	// adoptEvery is how often it is looked for what processes have left that are gone.
	adoptEvery = 10 * time.Second
	// lastWord is what the end of the app waits for the issuer.
	lastWord = 2 * time.Second
)

// run delivers what is kept, until ctx ends.
func (j *journal) run(ctx context.Context) {
	j.adopt()
	adopt := time.NewTicker(adoptEvery)
	defer adopt.Stop()
	wait := gather
	due := time.NewTimer(0)
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			j.end(ctx)
			return
		case <-adopt.C:
			j.adopt()
			continue
		case <-j.wake:
			if wait == gather {
				due.Reset(gather)
			}
			continue
		case <-j.full:
			if wait > gather && !j.asked() {
				continue // the issuer is away: that there is more to tell does not bring it back
			}
		case <-due.C:
		}
		switch err := j.drain(ctx); {
		case err != nil && ctx.Err() == nil:
			j.log.WarnContext(ctx, "actions could not be put on record, and are kept", "error", err)
			wait = min(2*wait, lastBackoff)
			due.Reset(wait)
		case j.rest() > 0: // of a session that has to wait
			wait = gather
			due.Reset(time.Second)
		default:
			wait = gather
		}
	}
}

// end tries once more, and closes the spool. What comes now is told to the issuer at once, or not let through.
func (j *journal) end(ctx context.Context) {
	defer close(j.ended)
	j.spool.Shut()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWord)
	defer cancel()
	err := j.drain(ctx)
	if n := j.rest(); n > 0 && !j.files {
		j.log.ErrorContext(ctx, "the app ended before actions were on record: they are lost, since there is no Spool", "actions", n, "error", err)
	}
	if err := j.spool.Close(); err != nil {
		j.log.ErrorContext(ctx, "closing the spool failed", "error", err)
	}
}

func (j *journal) rest() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.queue)
}

// asked reports whether somebody waits for all to be on record.
func (j *journal) asked() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.waiting) > 0
}

// drain delivers all that does not have to wait. With an error nobody knows what of the last batch is on record: all of it is told again.
func (j *journal) drain(ctx context.Context) error {
	for {
		batch := j.take()
		if len(batch) == 0 {
			return nil
		}
		left, err := j.deliver(ctx, batch)
		j.giveBack(left)
		if err != nil {
			return err
		}
	}
}

// take gives the next batch, oldest first, and tells who waits when there is nothing left.
func (j *journal) take() (batch []*queued) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now, size := time.Now(), int64(0)
	rest := make([]*queued, 0, len(j.queue))
	for i, q := range j.queue {
		if len(batch) == maxBatch || size+q.place.Size() > maxBatchBytes && len(batch) > 0 {
			rest = append(rest, j.queue[i:]...)
			break
		}
		if now.Before(j.about(q.Session, q.Time).later) {
			rest = append(rest, q)
			continue
		}
		size += q.place.Size()
		batch = append(batch, q)
	}
	j.queue, j.sending = rest, len(batch)
	if len(batch)+len(rest) == 0 {
		for _, done := range j.waiting {
			close(done)
		}
		j.waiting = nil
	}
	return batch
}

// giveBack lets wait again what was taken and is not on record.
func (j *journal) giveBack(left []*queued) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.sending = 0
	j.queue = append(left, j.queue...)
}

// deliver puts batch on record, and gives what is left of it. What is refused as a whole is told in parts, so that one action that the issuer
// will never take keeps no other from being recorded. Only where the issuer itself names the action it is let go of: whatever stands between us and the
// issuer refuses too. Then its session waits, and the others go on.
func (j *journal) deliver(ctx context.Context, batch []*queued) (left []*queued, err error) {
	actions := make([]Action, len(batch))
	for i, q := range batch {
		actions[i] = q.Action
	}
	ended, err := j.to.RecordAll(ctx, actions)
	status := statusOf(err)
	if err == nil {
		j.taken(batch)
		for _, sid := range ended {
			j.over(sid)
		}
		return nil, nil
	}
	parts := bySession(batch)
	switch {
	case status != http.StatusBadRequest && status != http.StatusRequestEntityTooLarge && status != http.StatusTooManyRequests:
		return batch, err
	case len(parts) > 1:
	case status == http.StatusTooManyRequests:
		j.postpone(batch[0].Session)
		return batch, nil
	case len(batch) == 1 && !names(err):
		j.postpone(batch[0].Session)
		return batch, err
	case len(batch) == 1:
		a := batch[0].Action
		j.log.ErrorContext(ctx, "the issuer will not put an action on record: its number will be missing there", "session", a.Session, "writer", a.Writer, "seq", a.Seq,
			"id", a.ID, "time", a.Time, "phase", a.Phase, "method", a.Method, "error", err)
		j.lost(batch)
		return nil, nil
	default:
		parts = [][]*queued{batch[:len(batch)/2], batch[len(batch)/2:]}
	}
	for i, part := range parts {
		rest, err := j.deliver(ctx, part)
		left = append(left, rest...)
		if err != nil {
			for _, more := range parts[i+1:] {
				left = append(left, more...)
			}
			return left, err
		}
	}
	return left, nil
}

// statusOf is the HTTP status of the issuer's refusal; 0 if it did not answer.
func statusOf(err error) int {
	if e := new(issuerError); errors.As(err, &e) {
		return e.Status
	}
	return 0
}

// names reports whether the issuer says that the one action it was told breaks a rule of its own.
func names(err error) bool {
	e := new(issuerError)
	return errors.As(err, &e) && e.Code == "invalid_request" && strings.HasPrefix(e.Description, "actions[0]")
}

// bySession parts a batch, each session in its order.
func bySession(batch []*queued) (parts [][]*queued) {
	at := make(map[string]int)
	for _, q := range batch {
		i, ok := at[q.Session]
		if !ok {
			i = len(parts)
			at[q.Session] = i
			parts = append(parts, nil)
		}
		parts[i] = append(parts[i], q)
	}
	return parts
}

// taken lets go of what is on record.
func (j *journal) taken(batch []*queued) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, q := range batch {
		j.letGo(q).heard = true
	}
}

// lost lets go of what never will be on record. From now on nothing of its session is served on the promise that it will be.
func (j *journal) lost(batch []*queued) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, q := range batch {
		j.letGo(q).refused = true
	}
}

// letGo gives what is known of the session of q, which does not wait any more. j.mu must be held.
func (j *journal) letGo(q *queued) *telling {
	j.spool.Done(q.place)
	t := j.about(q.Session, j.now())
	t.queued--
	return t
}

func (j *journal) postpone(sid string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.about(sid, j.now()).later = time.Now().Add(busyFor)
}

// adopt takes over what processes have left that are gone.
func (j *journal) adopt() {
	kept, err := j.spool.Adopt()
	if err != nil {
		j.log.Error("looking for what other processes have left failed", "error", err)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, k := range kept {
		q := &queued{place: k.Place}
		if err := json.Unmarshal(k.Record, &q.Action); err != nil || q.Session == "" {
			j.log.Error("a record in the spool is none of ours", "error", err)
			j.spool.Done(k.Place)
			continue
		}
		j.enqueue(j.about(q.Session, j.now()), q)
	}
	if len(kept) > 0 {
		j.log.Info("actions that another process has left are put on record", "actions", len(kept))
		nudge(j.wake)
	}
}
