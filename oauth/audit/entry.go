package audit

import (
	"crypto/rand"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// Version is the version of the canonical form that New stamps.
const Version = 1

// Kind says what happened, in words that never change once written.
type Kind string

// The kinds of entry.
const (
	KindTicket        Kind = "ticket.issued"
	KindStart         Kind = "impersonation.start"
	KindRefused       Kind = "impersonation.refused"
	KindRefusedFolded Kind = "impersonation.refused_folded" // Fields["count"] refusals that were not written one by one
	KindStop          Kind = "impersonation.stop"
	KindStopRefused   Kind = "impersonation.stop_refused"
	KindEnd           Kind = "impersonation.end"
	KindAction        Kind = "impersonation.action" // a request in a session, as its app tells it
	KindReuse         Kind = "token.reuse"          // a one-time value came a second time
	KindRevoke        Kind = "token.revoke"

	KindSignIn       Kind = "login.start"
	KindSignOut      Kind = "login.end"
	KindTOTPEnrolled Kind = "user.totp"

	KindUserAdd       Kind = "user.add"
	KindUserPassword  Kind = "user.password"
	KindUserRole      Kind = "user.role"
	KindUserDisable   Kind = "user.disable"
	KindUserEnable    Kind = "user.enable"
	KindUserChange    Kind = "user.change" // what does not decide: name, address
	KindUserLink      Kind = "user.link"   // to an identity at another issuer
	KindUserUnlink    Kind = "user.unlink"
	KindUserDelete    Kind = "user.delete"
	KindGroupAdd      Kind = "group.add"
	KindGroupChange   Kind = "group.change"
	KindGroupRemove   Kind = "group.remove"
	KindSourceAdd     Kind = "source.add" // who provisions users, and the tokens by which they do
	KindSourceChange  Kind = "source.change"
	KindSourceRemove  Kind = "source.remove"
	KindSourceRefused Kind = "source.refused"        // a write of a source of SCIM, by Fields["rule"]
	KindSourceFolded  Kind = "source.refused_folded" // like KindRefusedFolded
	KindClientAdd     Kind = "client.add"
	KindClientChange  Kind = "client.change"
	KindClientRemove  Kind = "client.remove"
	KindStreamRemove  Kind = "stream.remove"
	KindConsentAdd    Kind = "consent.add"
	KindConsentRemove Kind = "consent.remove"
	KindKill          Kind = "kill.on"
	KindLift          Kind = "kill.off"
	KindPolicy        Kind = "policy.change"
	KindKey           Kind = "key.create"
	KindKeyRevoke     Kind = "key.revoke"
	KindSearch        Kind = "directory.search"
)

// SaltSize is the length in bytes of a salt.
const SaltSize = 16

// Entry is one line of the trail. Make it with New; the zero value is not valid.
type Entry struct {
	// Version is the version of the canonical form.
	Version int
	// ID is "aud_" and 26 characters of lower-case base32; the txn claim of the token that a start gives.
	ID string
	// Time is UTC, in whole milliseconds.
	Time time.Time
	Kind Kind
	// Actor is who did it: a person, or for the command line the operator, whose Issuer is "cli", or a source of SCIM, whose is "scim".
	Actor oauth.Party
	// Subject is to whom; zero where there is nobody.
	Subject oauth.Party
	// Client is the client_id, Session the sid, Request the request id, Policy the policy version; each "" where there is none.
	Client, Session, Request, Policy string
	// Fields holds the rest: lower-case names of letters, digits and underscore, UTF-8 values.
	Fields map[string]string
	// Salts has an entry of SaltSize bytes for each field that is personal (a name, an e-mail address, a typed reason).
	// Canonical holds only a commitment to such a field, so that its value can be erased and every proof still verifies.
	Salts map[string][]byte
}

// New returns an entry of kind at now, with a fresh ID.
func New(kind Kind, now time.Time) Entry {
	return Entry{Version: Version, ID: oauth.NewID("aud"), Time: now.UTC().Truncate(time.Millisecond), Kind: kind}
}

// Set records a field in clear. An empty value records nothing.
func (e *Entry) Set(name, value string) {
	if value == "" {
		return
	}
	if e.Fields == nil {
		e.Fields = make(map[string]string)
	}
	e.Fields[name] = value
}

// SetPersonal records a field to which Canonical only commits. An empty value records nothing.
func (e *Entry) SetPersonal(name, value string) {
	if value == "" {
		return
	}
	e.Set(name, value)
	if e.Salts == nil {
		e.Salts = make(map[string][]byte)
	}
	salt := make([]byte, SaltSize)
	rand.Read(salt) // never fails (crypto/rand)
	e.Salts[name] = salt
}
