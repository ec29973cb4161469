package ssf

import (
	"encoding/json"
	"time"
)

// Bounds of a poll.
const (
	// MaxEvents is the most SETs in an answer, also where none or more are asked for.
	MaxEvents = 100
	// MaxPending is the most that may wait for a receiver. With more its stream starts anew, with a snapshot.
	MaxPending = 1000
	// MaxAcks is the most names in ack and in setErrs.
	MaxAcks = 1000
	// MaxWait is how long an answer may take: shorter than what proxies and clients allow by default.
	MaxWait = 25 * time.Second
	// Lease is for how long a stream may go without a poll; then it is gone (inactivity_timeout).
	Lease = 60 * time.Second
)

// PollRequest is what a receiver posts (RFC 8936 §2.2).
type PollRequest struct {
	// MaxEvents is the most SETs that it takes, 0 for none: such a poll only acknowledges, and is answered at once. At most MaxEvents,
	// which is also what an absent member means.
	MaxEvents int
	// ReturnImmediately answers at once, also with nothing.
	ReturnImmediately bool
	// Ack are the jti of SETs that were received, and are not offered again.
	Ack []string
	// Errors are the jti of SETs that the receiver does not take, and why. They are not offered again either.
	Errors map[string]SETError
	// Snapshot is understudy_snapshot: forget what was offered, and tell what ended.
	Snapshot bool
	// Wait is understudy_wait, in whole seconds on the wire: how long to wait for an event. MaxWait where it is absent.
	Wait time.Duration
}

// SETError is why a receiver does not take a SET (RFC 8935 §2.4).
type SETError struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// ParsePollRequest reads the body of a poll. An empty object is a poll that waits. Members that it does not know count for nothing, as
// everywhere in Shared Signals. The error is always a *Fault.
func ParsePollRequest(raw []byte) (PollRequest, error) {
	r := PollRequest{MaxEvents: MaxEvents, Wait: MaxWait}
	wait := int(MaxWait / time.Second)
	err := readObject(raw, func(name string, value json.RawMessage) error {
		switch name {
		case "maxEvents":
			return number(name, value, 0, maxNumber, &r.MaxEvents)
		case "returnImmediately":
			return boolean(name, value, &r.ReturnImmediately)
		case "ack":
			return texts(name, value, MaxAcks, &r.Ack)
		case "setErrs":
			return setErrors(name, value, &r.Errors)
		case "understudy_snapshot":
			return boolean(name, value, &r.Snapshot)
		case "understudy_wait":
			return number(name, value, 1, int(MaxWait/time.Second), &wait)
		}
		return nil
	})
	if err != nil {
		return PollRequest{}, err
	}
	if r.Snapshot && len(r.Ack)+len(r.Errors) > 0 {
		return PollRequest{}, &Fault{"understudy_snapshot", "goes without ack and setErrs: it forgets what was offered"}
	}
	r.MaxEvents, r.Wait = min(r.MaxEvents, MaxEvents), time.Duration(wait)*time.Second
	return r, nil
}

func setErrors(at string, raw json.RawMessage, into *map[string]SETError) error {
	out := make(map[string]SETError)
	err := readMembers(at, raw, func(jti string, value json.RawMessage) error {
		if len(out) == MaxAcks {
			return &Fault{at, tooMany(MaxAcks)}
		}
		var e SETError
		err := readMembers(at, value, func(name string, value json.RawMessage) error {
			switch name {
			case "err":
				return text(at+".err", value, maxText, &e.Err)
			case "description":
				return text(at+".description", value, maxText, &e.Description)
			}
			return nil
		})
		if err == nil && e.Err == "" {
			err = &Fault{at + ".err", "is required (RFC 8935 section 2.4)"}
		}
		out[jti] = e
		return err
	})
	*into = out
	return err
}

// PollAnswer is the answer to a poll (RFC 8936 §2.3), with three members of ours.
type PollAnswer struct {
	Sets          map[string]string `json:"sets"` // by jti; never nil
	MoreAvailable bool              `json:"moreAvailable"`
	State         State             `json:"understudy_state"`
	// Ended is nil where there is no snapshot, and empty but not nil where nothing ended.
	Ended []Ended `json:"understudy_ended,omitzero"`
}

// State is what holds as the answer is given, whatever was told before.
type State struct {
	// Epochs are the kill switches that are on and concern the client: those of the instance and of the client itself always, those of an
	// actor, a subject or an organisation where a session of the client that is not past its expiry is one of theirs. Never nil.
	Epochs []Epoch `json:"epochs"`
	// Vouches is false where the transmitter could not end a session now, or the stream is not enabled or tells no ends: then nothing counts
	// as alive because of it.
	Vouches bool `json:"vouches"`
}

// Epoch is a kill switch that is on.
type Epoch struct {
	// Scope is "instance", "client", "actor", "subject" or "organisation".
	Scope string `json:"scope"`
	// ID is "" for the instance, the client_id, the sub of act or of the token as this client has them, or the organisation's name.
	ID string `json:"id"`
}

// Ended is a session that is over.
type Ended struct {
	Session string `json:"sid"`
	Expires int64  `json:"exp"` // when its token expires, seconds since 1970: after that it need not be remembered
}
