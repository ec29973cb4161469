package admin_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	corp  = "https://idp.acme.test"
	other = "https://other.test/realm"
)

func TestLink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann := b.user("john@acme.test"), b.user("ann@acme.test")
	sid, l := b.session(ann, john, "app"), b.login(john)
	p := oauth.Party{Issuer: corp, Subject: "00u1"}
	if _, err := b.Link(t.Context(), john.ID, p); err != nil {
		t.Fatal(err)
	}
	got, err := b.st.ByIdentity(t.Context(), p)
	if diff := cmp.Diff([]oauth.Party{p}, got.Identities); err != nil || got.ID != john.ID || diff != "" {
		t.Errorf("ByIdentity: got %+v, %v, want john with it alone:\n%s", got, err, diff)
	}
	e := b.last(audit.KindUserLink)
	if e.Subject.Subject != john.ID || e.Fields["identity_issuer"] != corp || e.Fields["identity_subject"] != "00u1" || e.Salts["identity_subject"] == nil {
		t.Errorf("got entry %+v, want john, the issuer in clear and the sub as personal", e)
	}
	if l, err := b.st.Login(t.Context(), l.ID); err != nil || !l.Ended.IsZero() || b.endReason(sid) != "" {
		t.Errorf("a login or session ended with a link: %v, %v, %q", l.Ended, err, b.endReason(sid))
	}
	before := len(b.entries())
	if _, err := b.Link(t.Context(), john.ID, p); err != nil || len(b.entries()) != before {
		t.Errorf("the same again: got %v and %d entries, want none more than %d", err, len(b.entries()), before)
	}
	if _, err := b.Link(t.Context(), "usr_nobody", p); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("nobody: got %v, want ErrNotFound", err)
	}
}

func TestLinkRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann := b.user("john@acme.test"), b.user("ann@acme.test")
	if _, err := b.Link(t.Context(), john.ID, oauth.Party{Issuer: corp, Subject: "00u1"}); err != nil {
		t.Fatal(err)
	}
	before := len(b.entries())
	if _, err := b.Link(t.Context(), ann.ID, oauth.Party{Issuer: corp, Subject: "00u1"}); !errors.Is(err, store.ErrExists) {
		t.Errorf("an identity of john's: got %v, want ErrExists", err)
	}
	for _, tt := range []struct {
		name, field string
		p           oauth.Party
	}{
		{"a second one there", "issuer", oauth.Party{Issuer: corp, Subject: "00u2"}},
		{"our own issuer", "issuer", oauth.Party{Issuer: issuer, Subject: "x"}},
		{"no URL", "issuer", oauth.Party{Issuer: "idp.acme.test", Subject: "x"}},
		{"nothing", "issuer", oauth.Party{}},
		{"plain http", "issuer", oauth.Party{Issuer: "http://other.test", Subject: "x"}},
		{"a query", "issuer", oauth.Party{Issuer: "https://other.test?a=b", Subject: "x"}},
		{"a fragment", "issuer", oauth.Party{Issuer: "https://other.test#", Subject: "x"}},
		{"a password", "issuer", oauth.Party{Issuer: "https://a:b@other.test", Subject: "x"}},
		{"no sub", "subject", oauth.Party{Issuer: other}},
		{"the sub of a client", "subject", oauth.Party{Issuer: other, Subject: oauth.ClientSubject("app")}},
	} {
		_, err := b.Link(t.Context(), john.ID, tt.p)
		t.Run(tt.name, func(t *testing.T) { b.wantInvalid(err, tt.field, before) })
	}
}

func TestUnlinkEnds(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann := b.user("john@acme.test"), b.user("ann@acme.test")
	for _, p := range []oauth.Party{{Issuer: corp, Subject: "00u1"}, {Issuer: other, Subject: "x"}} {
		if _, err := b.Link(t.Context(), john.ID, p); err != nil {
			t.Fatal(err)
		}
	}
	asActor, asSubject, apart := b.session(john, ann, "app"), b.session(ann, john, "app"), b.login(ann)
	l := b.login(john)
	u, err := b.Unlink(t.Context(), john.ID, corp)
	if diff := cmp.Diff([]oauth.Party{{Issuer: other, Subject: "x"}}, u.Identities); err != nil || diff != "" {
		t.Errorf("got %v, want the other identity left:\n%s", err, diff)
	}
	if _, err := b.st.ByIdentity(t.Context(), oauth.Party{Issuer: corp, Subject: "00u1"}); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("ByIdentity: got %v, want ErrNotFound", err)
	}
	for _, sid := range []string{asActor, asSubject} {
		if why := b.endReason(sid); why != impersonation.EndChanged {
			t.Errorf("session: got %q, want changed", why)
		}
	}
	if l, err := b.st.Login(t.Context(), l.ID); err != nil || l.Ended.IsZero() {
		t.Errorf("john's login: got %v, %v, want it ended", l.Ended, err)
	}
	if l, err := b.st.Login(t.Context(), apart.ID); err != nil || !l.Ended.IsZero() {
		t.Errorf("ann's login: got %v, %v, want it alive", l.Ended, err)
	}
	before := len(b.entries())
	_, err = b.Unlink(t.Context(), john.ID, corp)
	b.wantInvalid(err, "issuer", before)
	if e := b.entries(); !hasKind(e, audit.KindUserUnlink, "identity_subject", "00u1") {
		t.Errorf("got %v, want an entry that tells which identity it was", e)
	}
}

func hasKind(entries []audit.Entry, kind audit.Kind, field, value string) bool {
	for _, e := range entries {
		if e.Kind == kind && e.Fields[field] == value {
			return true
		}
	}
	return false
}

func TestDeleteUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	john, ann := b.user("john@acme.test", "editor"), b.user("ann@acme.test")
	asActor, asSubject, l := b.session(john, ann, "app"), b.session(ann, john, "app"), b.login(john)
	if u, err := b.DeleteUser(t.Context(), john.ID); err != nil || u.Email != "john@acme.test" {
		t.Fatalf("got %+v, %v, want who was deleted", u, err)
	}
	for _, sid := range []string{asActor, asSubject} {
		if why := b.endReason(sid); why != impersonation.EndDisabled {
			t.Errorf("session: got %q, want disabled", why)
		}
	}
	if l, err := b.st.Login(t.Context(), l.ID); err != nil || l.Ended.IsZero() {
		t.Errorf("login: got %v, %v, want it ended", l.Ended, err)
	}
	if !hasKind(b.entries(), audit.KindUserDelete, "was_roles", "editor") {
		t.Errorf("got %v, want an entry with the roles they had", b.entries())
	}
	if _, err := b.DeleteUser(t.Context(), john.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("again: got %v, want ErrNotFound", err)
	}
	if again := b.user("john@acme.test"); again.ID == john.ID {
		t.Error("the same ID was given again")
	}
}
