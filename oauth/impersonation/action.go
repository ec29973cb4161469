package impersonation

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// MaxActions is the longest batch of Act: what a busy app gathers in a second, and one short write of the store.
const MaxActions = 100

// Limits of an Action.
const (
	maxActionID   = 64
	maxRoute      = 512
	maxMethod     = 16
	maxActionNote = 200
	maxDetails    = 8
	maxDetailName = 32
	maxWriter     = 64
	maxSeq        = 1 << 53 // the largest integer that every reader of JSON keeps (RFC 8259 §6)

	// clockSkew is how far an app's clock may be off, with what it kept while we could not be reached.
	clockSkew = 24 * time.Hour
)

// ActionError is an action that breaks a rule. Its text quotes no value.
type ActionError struct {
	Index  int    // of the action in its batch; negative where the batch as a whole is at fault
	Member string // as on the wire, such as "sid"; "" where Index is negative
	Rule   string // what it must be
}

// Error names the member by its path and the rule: "actions[3].phase: must be before, after or note".
func (e *ActionError) Error() string {
	if e.Index < 0 {
		return "actions: " + e.Rule
	}
	return fmt.Sprintf("actions[%d].%s: %s", e.Index, e.Member, e.Rule)
}

func checkActions(actions []Action, now time.Time) error {
	if len(actions) == 0 || len(actions) > MaxActions {
		return &ActionError{Index: -1, Rule: fmt.Sprintf("must be 1 to %d", MaxActions)}
	}
	for i, a := range actions {
		if member, rule := a.fault(now); member != "" {
			return &ActionError{i, member, rule}
		}
	}
	return checkTwice(actions)
}

// checkTwice refuses a batch that tells one thing twice: which of the two would be meant?
func checkTwice(actions []Action) error {
	type told struct {
		session, id, writer string
		phase               Phase
		seq                 int64
	}
	seen := make(map[told]struct{}, 2*len(actions))
	for i, a := range actions {
		side := told{session: a.Session, id: a.ID, phase: a.Phase}
		if a.Phase == PhaseNote { // a request has many notes
			side.writer, side.seq = a.Writer, a.Seq
		}
		if _, twice := seen[side]; twice {
			return &ActionError{i, "id", "is given twice with this sid and phase"}
		}
		seen[side] = struct{}{}
		if a.Seq == 0 {
			continue
		}
		number := told{session: a.Session, writer: a.Writer, seq: a.Seq}
		if _, twice := seen[number]; twice {
			return &ActionError{i, "seq", "is given twice with this sid and writer"}
		}
		seen[number] = struct{}{}
	}
	return nil
}

// fault gives the first member that breaks its rule, "" if none does.
func (a *Action) fault(now time.Time) (member, rule string) {
	off := a.Time.Sub(now)
	switch {
	case !made(a.ID, isIDByte, maxActionID):
		return "id", "must be 1 to 64 characters of A-Z a-z 0-9 - _"
	case a.Session == "":
		return "sid", "must be given"
	case a.Writer != "" && !made(a.Writer, isIDByte, maxWriter):
		return "writer", "must be at most 64 characters of A-Z a-z 0-9 - _"
	case a.Seq < 0 || a.Seq > maxSeq:
		return "seq", "must be 0 to 2^53"
	case off > clockSkew || off < -clockSkew:
		return "time", "must be within a day of now"
	case a.Phase != PhaseBefore && a.Phase != PhaseAfter && a.Phase != PhaseNote:
		return "phase", "must be before, after or note"
	case !strings.HasPrefix(a.Route, "/") || strings.ContainsAny(a.Route, "?#") || !printable(a.Route, maxRoute):
		return "route", "must be a path without query, of at most 512 printable characters"
	case !made(a.Method, isTokenByte, maxMethod):
		return "method", "must be an HTTP method of at most 16 characters (RFC 9110 §9.1)"
	case a.Status != 0 && a.Phase != PhaseAfter:
		return "status", "comes with the phase after only"
	case a.Status != 0 && (a.Status < 100 || a.Status > 599):
		return "status", "must be 100 to 599, or 0 for none"
	case !printable(a.Note, maxActionNote):
		return "note", "must be at most 200 printable characters"
	case a.Note == "" && a.Phase == PhaseNote:
		return "note", "must be given with the phase note"
	case len(a.Details) > 0 && a.Phase != PhaseNote:
		return "details", "come with the phase note only"
	}
	return a.faultInDetails()
}

func (a *Action) faultInDetails() (member, rule string) {
	if len(a.Details) > maxDetails {
		return "details", "must be at most 8"
	}
	for name, value := range a.Details {
		switch {
		case !made(name, isNameByte, maxDetailName):
			return "details", "must have names of 1 to 32 characters of a-z 0-9 _"
		case !printable(value, maxActionNote):
			return "details", "must have values of at most 200 printable characters"
		}
	}
	return "", ""
}

// isNameByte is what the name of an entry's field is made of.
func isNameByte(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' }

// made reports whether s is 1 to most bytes, all of them allowed.
func made(s string, allowed func(byte) bool, most int) bool {
	for i := range len(s) {
		if !allowed(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= most
}

func isIDByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
}

// isTokenByte is tchar of RFC 9110 §5.6.2.
func isTokenByte(c byte) bool { return isIDByte(c) || strings.IndexByte("!#$%&'*+.^`|~", c) >= 0 }

// printable reports whether s is at most most characters that take ink, or a plain space.
func printable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(c rune) bool { return !unicode.IsPrint(c) })
}
