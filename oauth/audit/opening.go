package audit

import (
	"bytes"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// ErrOpening is in the chain of the error for an opening that does not belong to its entry: a value or a salt was
// changed, is missing, or was never committed to.
var ErrOpening = errors.New("audit: opening does not fit the entry")

// Opening gives the personal values of e and their salts, to be kept beside Canonical and deleted when they must be
// forgotten; the package comment has the form. It is nil where nothing in e is personal. It returns ErrForm for what Canonical refuses.
func Opening(e Entry) ([]byte, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if len(e.Salts) == 0 {
		return nil, nil
	}
	names := make([]member, 0, 16)
	for name := range e.Salts {
		names = append(names, member{name: name})
	}
	sortMembers(names)
	b := append(make([]byte, 0, 512), '{')
	for _, m := range names {
		b = append(appendName(b, m.name), '{')
		b = appendText(b, "salt", base64.RawURLEncoding.EncodeToString(e.Salts[m.name]))
		b = append(appendText(b, "value", e.Fields[m.name]), '}')
	}
	return append(b, '}'), nil
}

// Open is the way back from bytes to the entry, and the check that nobody changed them: it accepts exactly what Canonical and
// Opening give. With an opening every commitment is verified, and the entry is whole again; with none (nil or empty, as after
// an erasure) the personal fields are left out. It keeps neither argument.
//
// It returns ErrForm where canonical is not in canonical form, and ErrOpening where the opening is not the entry's own.
func Open(canonical, opening []byte) (Entry, error) {
	e, commits, err := parse(canonical)
	if err != nil || len(opening) == 0 {
		return e, err
	}
	var opened map[string]struct{ Salt, Value string }
	if err := json.Unmarshal(opening, &opened); err != nil {
		return Entry{}, fmt.Errorf("%w: %w", ErrOpening, err)
	}
	for name, o := range opened {
		salt, err := base64.RawURLEncoding.DecodeString(o.Salt)
		if err != nil || len(salt) != SaltSize {
			return Entry{}, fmt.Errorf("%w: %s: salt is not %d bytes of base64url", ErrOpening, name, SaltSize)
		}
		if !hmac.Equal([]byte(commitment(salt, name, o.Value)), []byte(commits[name])) {
			return Entry{}, fmt.Errorf("%w: %s", ErrOpening, name)
		}
		e.open(name, o.Value, salt)
	}
	// As in parse: what does not come out as it went in was written in another way, or is not all there.
	if again, err := Opening(e); err != nil || len(opened) != len(commits) || !bytes.Equal(again, opening) {
		return Entry{}, fmt.Errorf("%w: it is incomplete or not in canonical form", ErrOpening)
	}
	return e, nil
}

func (e *Entry) open(name, value string, salt []byte) {
	e.Set(name, value)
	if e.Salts == nil {
		e.Salts = make(map[string][]byte)
	}
	e.Salts[name] = salt
}

// Commitments gives what canonical commits to: by name of the personal field, 32 bytes of HMAC-SHA256. Nil where nothing
// is personal. It returns ErrForm where canonical is not in canonical form.
func Commitments(canonical []byte) (map[string][]byte, error) {
	_, commits, err := parse(canonical)
	if err != nil || len(commits) == 0 {
		return nil, err
	}
	out := make(map[string][]byte, len(commits))
	for name, c := range commits {
		out[name], _ = base64.RawURLEncoding.DecodeString(c) // parse has checked it
	}
	return out, nil
}

// line is the JSON of an entry.
type line struct {
	Actor   party             `json:"actor"`
	Client  string            `json:"client"`
	Commit  map[string]string `json:"commit"`
	Fields  map[string]string `json:"fields"`
	ID      string            `json:"id"`
	Kind    Kind              `json:"kind"`
	Policy  string            `json:"policy"`
	Request string            `json:"request"`
	Session string            `json:"session"`
	Subject party             `json:"subject"`
	Time    string            `json:"time"`
	V       int               `json:"v"`
}

type party struct {
	Issuer  string `json:"iss"`
	Subject string `json:"sub"`
}

// parse reads an entry without its personal fields, and the commitments to those.
//
// encoding/json is lenient: doubled and unknown members, space, letter case, escapes, invalid UTF-8. So the entry is
// written again and must come out byte for byte: one rule refuses all of that, and whatever else it may be lenient about.
func parse(canonical []byte) (Entry, map[string]string, error) {
	if len(canonical) > MaxCanonical {
		return Entry{}, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrForm, len(canonical), MaxCanonical)
	}
	var l line
	if err := json.Unmarshal(canonical, &l); err != nil {
		return Entry{}, nil, fmt.Errorf("%w: %w", ErrForm, err)
	}
	e, err := l.entry()
	if err != nil {
		return Entry{}, nil, err
	}
	again, err := encode(&e, members(l.Fields), members(l.Commit))
	if err != nil {
		return Entry{}, nil, err
	}
	if !bytes.Equal(again, canonical) {
		return Entry{}, nil, fmt.Errorf("%w: the same entry is written in another way", ErrForm)
	}
	return e, l.Commit, nil
}

func (l *line) entry() (Entry, error) {
	t, err := time.Parse(timeLayout, l.Time)
	if err != nil {
		return Entry{}, fmt.Errorf("%w: time: %w", ErrForm, err)
	}
	e := Entry{
		Version: l.V, ID: l.ID, Time: t, Kind: l.Kind,
		Actor: oauth.Party(l.Actor), Subject: oauth.Party(l.Subject),
		Client: l.Client, Session: l.Session, Request: l.Request, Policy: l.Policy,
		Fields: l.Fields,
	}
	if err := e.check(); err != nil {
		return Entry{}, err
	}
	return e, l.checkCommits()
}

func (l *line) checkCommits() error {
	if n := len(l.Fields) + len(l.Commit); n > MaxFields {
		return fmt.Errorf("%w: fields and commit: %d of them, at most %d", ErrForm, n, MaxFields)
	}
	for name, c := range l.Commit {
		if _, both := l.Fields[name]; both || !validName(name, "") {
			return fmt.Errorf("%w: commit: a name is bad or also in fields", ErrForm)
		}
		// The length is asked for since DecodeString skips newlines, and Strict since the last character has two spare bits.
		if _, err := base64.RawURLEncoding.Strict().DecodeString(c); err != nil || len(c) != 43 {
			return fmt.Errorf("%w: commit.%s: must be 43 characters of base64url", ErrForm, name)
		}
	}
	return nil
}

func members(m map[string]string) []member {
	ms := make([]member, 0, len(m))
	for name, value := range m {
		ms = append(ms, member{name, value})
	}
	return ms
}
