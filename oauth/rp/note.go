package rp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What Note answers beside the failure of a record. Test with errors.Is.
var (
	// ErrNote: what was to be noted breaks a rule, which the text names.
	ErrNote = errors.New("rp: not a note")
	// ErrOver: the session is over, or the token's time is. What was to be recorded is on record all the same.
	ErrOver = errors.New("rp: the session is over")
)

// Limits of a note: what the issuer takes, and what a request may say.
const (
	maxEvent    = 64
	maxPairs    = 8
	maxPairName = 32
	maxValue    = 200
	maxNotes    = 100
)

// Note puts on record what a request does in somebody else's name, in words of the app: rp.Note(ctx, "invoice.refunded", "id", 7). event is 1 to
// 64 characters of a-z 0-9 . _ -, and pairs are up to 8 names, of 1 to 32 characters of a-z 0-9 _, each followed by its value: a string, a
// bool, a number or a fmt.Stringer, of at most 200 characters. Say which thing it was, and never what is in it. A request has at most 100 notes.
//
// A note is recorded like its request. In one that may change something it is at the issuer when Note returns, so note what will happen, and let
// it happen only without an error; in one that only looks it is in the spool. Where nobody is impersonated Note does nothing.
// Errors are ErrNote, ErrOver, and any other for a note of which nobody knows whether it is on record. Safe for concurrent use.
func Note(ctx context.Context, event string, pairs ...any) error {
	e, j, s := recording(ctx)
	if s == nil {
		return nil
	}
	if !made(event, maxEvent, ".-") {
		return fmt.Errorf("%w: the event must be 1 to %d characters of a-z 0-9 . _ -", ErrNote, maxEvent)
	}
	details, err := readPairs(pairs)
	if err != nil {
		return err
	}
	if e.notes.Add(1) > maxNotes {
		return fmt.Errorf("%w: a request may have %d", ErrNote, maxNotes)
	}
	return e.note(ctx, j, s, event, details)
}

// recording gives what a request under impersonation is recorded by; a nil session of any other.
func recording(ctx context.Context) (*entry, *journal, *Session) {
	switch v := ctx.Value(ctxKey{}).(type) {
	case *visit:
		return &v.entry, v.app.record, v.session
	case *call:
		return v.entry, v.bearer.record, v.session
	}
	return nil, nil, nil
}

func (e *entry) note(ctx context.Context, j *journal, s *Session, event string, details map[string]string) error {
	act := e.did
	act.Time, act.Phase, act.Note, act.Details = j.stamp(), PhaseNote, event, details
	if !e.before {
		err := j.keep(act, 0, s.Expires)
		if err == nil {
			return nil
		} // there may be no room for it, but the issuer can still take it
	}
	alive, err := j.tell(ctx, act, s.Expires)
	if err == nil && !alive {
		err = ErrOver
	}
	return err
}

func readPairs(pairs []any) (map[string]string, error) {
	if len(pairs)%2 != 0 || len(pairs) > 2*maxPairs {
		return nil, fmt.Errorf("%w: there must be up to %d names, each followed by its value", ErrNote, maxPairs)
	}
	details := make(map[string]string, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok || !made(name, maxPairName, "") {
			return nil, fmt.Errorf("%w: name %d must be a string of 1 to %d characters of a-z 0-9 _", ErrNote, i/2+1, maxPairName)
		}
		if _, twice := details[name]; twice {
			return nil, fmt.Errorf("%w: %s is given twice", ErrNote, name)
		}
		if details[name], ok = valueOf(pairs[i+1]); !ok {
			return nil, fmt.Errorf("%w: %s must be a string, a bool, a number or a fmt.Stringer, of at most %d printable characters", ErrNote, name, maxValue)
		}
	}
	return details, nil
}

// valueOf takes only what is one value: what can hold a whole page or a whole customer would get into the trail by a slip.
func valueOf(value any) (text string, ok bool) {
	switch v := value.(type) {
	case string:
		text = v
	case fmt.Stringer:
		text = v.String()
	case bool, int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		text = fmt.Sprint(v)
	default:
		return "", false
	}
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return text, utf8.ValidString(text) && utf8.RuneCountInString(text) <= maxValue && !strings.ContainsFunc(text, unprintable)
}

// made reports whether s is 1 to most characters of a-z 0-9 _ and those in more.
func made(s string, most int, more string) bool {
	other := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && !strings.ContainsRune(more, r)
	}
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, other)
}
