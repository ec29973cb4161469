package rp

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// What our cookies hold, inside the seal: a version byte, then the fields in the order below, each text as its length
// (uvarint) and bytes, each number as uvarint. Half the size of JSON, and read on every request.

// stateVersion is the first byte. Another one is another release of this package: the cookie counts as damaged.
const stateVersion = 1

var errState = errors.New("rp: not a state of this version")

// acting is the impersonation itself.
type acting struct {
	Session
	// Return and ReturnTo are kept here on an origin of its own only; otherwise the held sign-in has them.
	Return   oauth.Secret
	ReturnTo string
}

// held is an actor's sign-in while they impersonate somebody on the same origin.
type held struct {
	Session string
	Actor   Person
	Subject Person // for the ended page, when the impersonation's own cookie is gone
	Started time.Time
	Expires time.Time
	// Return is what ends the session: the return token, or with a foreign actor, who has none, the impersonation token again.
	Return   oauth.Secret
	ReturnTo string
}

// signIn is a person's own sign-in.
type signIn struct {
	Person  Person
	Fresh   time.Time // until then it counts without asking the issuer
	Expires time.Time
}

// flow is one way to the issuer and back.
type flow struct {
	State    string
	Kind     flowKind
	Nonce    string
	Verifier string
	ReturnTo string
	// Ticket and its TicketVerifier are here while the actor's token is fetched.
	Ticket         oauth.Secret
	TicketVerifier string
	// Back is the mark of the browser whose page to come back to tells of a failure; "" where one of ours does.
	Back    string
	Expires time.Time
}

// flowKind says what a flow is for.
type flowKind string

const (
	flowSignIn flowKind = "sign-in" // a person signs in
	flowTicket flowKind = "ticket"  // an actor chooses whom and why
	flowActor  flowKind = "actor"   // the actor's token, to redeem the ticket with
)

// pack writes fields.
type pack []byte

func newPack(size int) pack { return append(make(pack, 0, size), stateVersion) }

func (p *pack) text(fields ...string) {
	for _, s := range fields {
		*p = binary.AppendUvarint(*p, uint64(len(s)))
		*p = append(*p, s...)
	}
}

func (p *pack) time(times ...time.Time) {
	for _, t := range times {
		*p = binary.AppendUvarint(*p, uint64(max(0, t.Unix())))
	}
}

func (p *pack) person(x Person) {
	p.text(x.Subject, x.Name, x.Email, x.Organisation, x.Issuer)
	var at SubjectID
	if x.Elsewhere != nil {
		at = *x.Elsewhere
	}
	p.text(at.Issuer, at.Subject)
	*p = binary.AppendUvarint(*p, uint64(len(x.Roles)))
	p.text(x.Roles...)
}

// unpack reads what pack wrote. After the first fault every field is zero and bad is set.
type unpack struct {
	rest string
	bad  bool
}

func newUnpack(s string) *unpack {
	u := &unpack{rest: s}
	if len(s) == 0 || s[0] != stateVersion {
		u.bad = true
		return u
	}
	u.rest = u.rest[1:]
	return u
}

func (u *unpack) number() uint64 {
	var n uint64
	for i := 0; !u.bad && i < len(u.rest) && i < binary.MaxVarintLen64; i++ {
		c := u.rest[i]
		if c < 0x80 {
			if i == binary.MaxVarintLen64-1 && c > 1 || i > 0 && c == 0 { // too large, or not the shortest form
				break
			}
			u.rest = u.rest[i+1:]
			return n | uint64(c)<<(7*i)
		}
		n |= uint64(c&0x7f) << (7 * i)
	}
	u.bad = true
	return 0
}

func (u *unpack) text() string {
	n := u.number()
	if u.bad || n > uint64(len(u.rest)) {
		u.bad = true
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

// maxUnix is the year 9999: what RFC 3339 can say.
const maxUnix = 253402300799

func (u *unpack) time() time.Time {
	n := u.number()
	if n > maxUnix {
		u.bad = true
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

func (u *unpack) person() Person {
	p := Person{Subject: u.text(), Name: u.text(), Email: u.text(), Organisation: u.text(), Issuer: u.text()}
	if issuer, subject := u.text(), u.text(); issuer != "" {
		p.Elsewhere = &SubjectID{Format: issSub, Issuer: issuer, Subject: subject}
	} else if subject != "" {
		u.bad = true
	}
	n := u.number()
	if u.bad || n > uint64(len(u.rest)) {
		u.bad = true
		return Person{}
	}
	if n > 0 {
		p.Roles = make([]string, n)
		for i := range p.Roles {
			p.Roles[i] = u.text()
		}
	}
	return p
}

// done reports that everything was read, and nothing is left.
func (u *unpack) done() error {
	if u.bad || u.rest != "" {
		return errState
	}
	return nil
}

func (a *acting) pack() []byte {
	p := newPack(2048)
	p.text(a.ID, string(a.Token), string(a.Mode), string(a.Return), a.ReturnTo)
	p.time(a.Started, a.Expires)
	p.person(a.Subject)
	p.person(a.Actor)
	return p
}

func (a *acting) unpack(packed string) error {
	u := newUnpack(packed)
	a.ID, a.Token, a.Mode, a.Return, a.ReturnTo = u.text(), oauth.Secret(u.text()), oauth.Mode(u.text()), oauth.Secret(u.text()), u.text()
	a.Started, a.Expires = u.time(), u.time()
	a.Subject, a.Actor = u.person(), u.person()
	if !u.bad && !a.Mode.Valid() {
		return errState
	}
	return u.done()
}

func (h *held) pack() []byte {
	p := newPack(512)
	p.text(h.Session, string(h.Return), h.ReturnTo)
	p.time(h.Started, h.Expires)
	p.person(h.Actor)
	p.person(h.Subject)
	return p
}

func (h *held) unpack(packed string) error {
	u := newUnpack(packed)
	h.Session, h.Return, h.ReturnTo = u.text(), oauth.Secret(u.text()), u.text()
	h.Started, h.Expires = u.time(), u.time()
	h.Actor, h.Subject = u.person(), u.person()
	return u.done()
}

// heldSession is the session in what a held packed; "" if that is none. Every request asks, so it copies nothing.
func heldSession(packed string) string {
	if len(packed) < 2 || packed[0] != stateVersion || packed[1] >= 0x80 || len(packed) < 2+int(packed[1]) {
		return ""
	}
	return packed[2 : 2+packed[1]]
}

func (s *signIn) pack() []byte {
	p := newPack(256)
	p.time(s.Fresh, s.Expires)
	p.person(s.Person)
	return p
}

func (s *signIn) unpack(packed string) error {
	u := newUnpack(packed)
	s.Fresh, s.Expires = u.time(), u.time()
	s.Person = u.person()
	return u.done()
}

func (f *flow) pack() []byte {
	p := newPack(512)
	p.text(f.State, string(f.Kind), f.Nonce, f.Verifier, f.ReturnTo, string(f.Ticket), f.TicketVerifier, f.Back)
	p.time(f.Expires)
	return p
}

func (f *flow) unpack(packed string) error {
	u := newUnpack(packed)
	f.State, f.Kind, f.Nonce, f.Verifier, f.ReturnTo = u.text(), flowKind(u.text()), u.text(), u.text(), u.text()
	f.Ticket, f.TicketVerifier, f.Back = oauth.Secret(u.text()), u.text(), u.text()
	f.Expires = u.time()
	return u.done()
}
