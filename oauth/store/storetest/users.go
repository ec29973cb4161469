package storetest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// whole is a user with every field that a caller sets.
func (k *kit) whole() directory.User {
	return directory.User{ID: "usr_zoë", Email: "Zoe@Acme.test", Name: "Zoë Ünal", Organisation: "acme", Groups: []string{"z-team", "a-team"},
		Roles: []string{"editor", "author"}, Attributes: map[string]string{"country": "TR"},
		Identities: []oauth.Party{{Issuer: "https://a.test", Subject: "zoe 1"}, {Issuer: "https://b.test/x", Subject: "00u1"}},
		Source:     "scim:okta", UserName: "Zoe", ExternalID: "ext-1", Enabled: true, Protected: true, Created: k.now, Updated: k.now}
}

func (k *kit) create(u directory.User) error {
	return k.store.CreateUser(k.Context(), store.UserWrite{Write: k.write(), User: u})
}

var userCases = []testCase{
	{"user/round-trip", "a user is read as they were written, by ID and by address without case", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		got, err := k.store.Get(k.Context(), u.ID)
		k.ok(err)
		k.same("Get", got, u)
		got, err = k.store.ByEmail(k.Context(), "zOE@acme.TEST")
		k.ok(err)
		k.same("ByEmail", got, u)
		_, err = k.store.Get(k.Context(), "USR_ANN")
		k.wantErr("Get in another case", err, directory.ErrNotFound)
		_, err = k.store.ByEmail(k.Context(), "nobody@acme.test")
		k.wantErr("ByEmail of nobody", err, directory.ErrNotFound)
		_, err = k.store.ByEmail(k.Context(), "")
		k.wantErr("ByEmail of nothing", err, directory.ErrNotFound)
	}},
	{"user/disabled-by", "who disabled a user is read as it was written, and as it was changed", func(k *kit) {
		u := k.whole()
		u.Enabled, u.DisabledBy = false, "scim:okta"
		k.ok(k.create(u))
		for _, by := range []string{"scim:okta", "", "scim:entra", ""} {
			k.change(u.ID, func(u *directory.User) { u.DisabledBy = by })
			got, err := k.store.Get(k.Context(), u.ID)
			k.ok(err)
			k.same("DisabledBy", got.DisabledBy, by)
		}
	}},
	{"user/unique", "an ID and an address belong to one person; no address belongs to nobody", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		k.wantErr("the same id", k.create(directory.User{ID: u.ID, Email: "other@acme.test"}), store.ErrExists)
		k.wantErr("the same address", k.create(directory.User{ID: "usr_2", Email: strings.ToUpper(u.Email)}), store.ErrExists)
		k.ok(k.create(directory.User{ID: "usr_3"}))
		k.ok(k.create(directory.User{ID: "usr_4"}))
		w := store.UserWrite{Write: k.write(), User: directory.User{ID: "usr_4", Email: u.Email}}
		k.wantErr("an update to the same address", k.store.UpdateUser(k.Context(), w), store.ErrExists)
	}},
	{"user/identity", "an identity is one user's, and finds them byte by byte", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		got, err := k.store.ByIdentity(k.Context(), u.Identities[1])
		k.ok(err)
		k.same("ByIdentity", got, u)
		for _, p := range []oauth.Party{{Issuer: "https://b.test/x/", Subject: "00u1"}, {Issuer: "https://b.test/x", Subject: "00U1"}, {Issuer: "https://a.test", Subject: "00u1"}, {}} {
			_, err = k.store.ByIdentity(k.Context(), p)
			k.wantErr("ByIdentity of "+p.Issuer+" "+p.Subject, err, directory.ErrNotFound)
		}
		other := directory.User{ID: "usr_2", Identities: u.Identities[:1]}
		k.wantErr("an identity of somebody else", k.create(other), store.ErrExists)
		other.Identities = nil
		k.ok(k.create(other))
		other.Identities = u.Identities[1:]
		k.wantErr("a change to an identity of somebody else", k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: other}), store.ErrExists)
		u.Identities = nil
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u}))
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: other}))
		got, err = k.store.ByIdentity(k.Context(), other.Identities[0])
		k.ok(err)
		k.same("ByIdentity of who has it now", got.ID, other.ID)
	}},
	{"user/delete", "who is deleted is out at once, as subject and as actor, and their ID is not given again", func(k *kit) {
		w, g := k.start(), k.grant()
		c := k.consent()
		k.ok(k.addConsent(c))
		u, err := k.store.Get(k.Context(), john)
		k.ok(err)
		before := k.authz()[u.Organisation]
		for _, id := range []string{john, ann} {
			end := k.endWrite(impersonation.ScopeSubject, id)
			end.Reason = impersonation.EndDisabled
			recorded := len(k.entries(store.EntryQuery{Kind: audit.KindUserDelete}))
			gone := store.UserWrite{Write: k.recorded(audit.KindUserDelete), User: directory.User{ID: id}, Was: k.now.Add(-time.Hour), Ends: []impersonation.EndWrite{end}}
			k.wantErr("as they never were", k.store.DeleteUser(k.Context(), gone), impersonation.ErrChanged)
			if n := len(k.entries(store.EntryQuery{Kind: audit.KindUserDelete})); n != recorded {
				k.Error("a deletion that did not happen is on record")
			}
			gone.Was = time.Time{}
			k.ok(k.store.DeleteUser(k.Context(), gone))
			if n := len(k.entries(store.EntryQuery{Kind: audit.KindUserDelete})); n != recorded+1 {
				k.Errorf("got %d entries after %d, want one more", n, recorded)
			}
			_, err := k.store.Get(k.Context(), id)
			k.wantErr("Get", err, directory.ErrNotFound)
			k.wantErr("again", k.store.DeleteUser(k.Context(), gone), store.ErrNotFound)
			k.wantErr("their ID", k.create(directory.User{ID: id}), store.ErrExists)
		}
		k.ok(k.create(directory.User{ID: "usr_next", Email: u.Email, Organisation: u.Organisation}))
		key := k.key()
		key.Subject = "usr_next"
		if v := k.load(key).Guard.Authz; len(v) != 1 || v[0].N != before+2 { // the deletion, and who was added
			k.Errorf("authz_version: got %v after %d", v, before)
		}
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndDisabled {
			k.Errorf("session: got %q, want disabled", s.EndReason)
		}
		if l, err := k.store.Login(k.Context(), k.login); err != nil || l.Ended != k.now {
			k.Errorf("login: got %v, %v; want ended", l.Ended, err)
		}
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || g.Revoked != k.now {
			k.Errorf("grant: got %v, %v; want revoked", g.Revoked, err)
		}
		if all, err := k.store.Consents(k.Context(), store.ConsentQuery{}); err != nil || len(all) != 1 || all[0].Revoked.IsZero() {
			k.Errorf("consents: got %v, %v; want it revoked", all, err)
		}
	}},
	{"user/update", "an update replaces a user, but not what a sign-in wrote", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		totp := []byte{1}
		k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: u.ID, TOTP: &totp}))
		k.signIn(u.ID)
		want := directory.User{ID: u.ID, Name: "Zoë", Updated: k.now.Add(time.Hour), Created: u.Created, LastSignIn: k.now, SecondFactor: true}
		sent := want
		sent.Created, sent.LastSignIn, sent.SecondFactor = time.Time{}, time.Time{}, false
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: sent}))
		got, err := k.store.Get(k.Context(), u.ID)
		k.ok(err)
		k.same("Get", got, want)
		err = k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: "usr_none"}})
		k.wantErr("an update of nobody", err, store.ErrNotFound)
	}},
	{"user/changed", "who changes a user as they no longer are changes nothing", func(k *kit) {
		u := k.whole()
		k.ok(k.create(u))
		first, second := u, u
		first.Enabled, first.DisabledBy, first.Updated = false, "scim:okta", u.Updated.Add(time.Millisecond)
		second.Name, second.Updated = "Zoë II", first.Updated
		k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: first, Was: u.Updated}))
		late := store.UserWrite{Write: k.recorded(audit.KindUserRole), User: second, Was: u.Updated}
		k.wantErr("the late one", k.store.UpdateUser(k.Context(), late), impersonation.ErrChanged)
		got, err := k.store.Get(k.Context(), u.ID)
		k.ok(err)
		k.same("Get", got, first)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindUserRole})); n != 0 {
			k.Errorf("got %d entries of what did not happen, want none", n)
		}
	}},
	{"user/versions", "every change of a user is seen by starts in the organisation, in both if they move", func(k *kit) {
		moved := func(what string, f func(), want map[string]int64) {
			k.Helper()
			before := k.authz()
			f()
			for organisation, n := range k.authz() {
				if n-before[organisation] != want[organisation] {
					k.Errorf("%s moved the version of %q by %d, want %d", what, organisation, n-before[organisation], want[organisation])
				}
			}
		}
		moved("an update", func() { k.change(john, func(u *directory.User) { u.Name = "J" }) }, map[string]int64{"globex": 1})
		moved("a password", func() {
			k.ok(k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: ann, Password: new(string)}))
		}, map[string]int64{"": 1})
		k.ok(k.create(directory.User{ID: "usr_mover", Organisation: "globex"}))
		moved("a move", func() { k.change("usr_mover", func(u *directory.User) { u.Organisation = "" }) }, map[string]int64{"": 1, "globex": 1})
	}},
	{"user/ends", "a disabled user is out at once: sessions, logins and tokens, with the change's own record", func(k *kit) {
		w, g := k.start(), k.grant()
		u, err := k.store.Get(k.Context(), ann)
		k.ok(err)
		u.Enabled = false
		end := k.endWrite(impersonation.ScopeActor, ann)
		end.Reason, end.Entries = impersonation.EndDisabled, k.recorded(audit.KindKill).Entries
		change := store.UserWrite{Write: k.recorded(audit.KindUserDisable), User: u, Ends: []impersonation.EndWrite{end}, EndLogins: true}
		k.ok(k.store.UpdateUser(k.Context(), change))
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndDisabled {
			k.Errorf("session: got %q, want disabled", s.EndReason)
		}
		if e := k.entries(store.EntryQuery{Kind: audit.KindEnd}); len(e) != 1 || e[0].Entry.Request != change.RequestID {
			k.Errorf("got %v, want one entry of the end, under the request of the change", e)
		}
		if l, err := k.store.Login(k.Context(), k.login); err != nil || l.Ended != k.now {
			k.Errorf("login: got %v, %v; want ended", l.Ended, err)
		}
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || g.Revoked != k.now {
			k.Errorf("grant: got %v, %v; want revoked", g.Revoked, err)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindUserDisable})); n != 1 {
			k.Errorf("got %d entries of the change, want 1", n)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindKill})); n != 0 {
			k.Error("the entries of an End within a change were written: only the change's own count")
		}
	}},
	{"user/end-consents", "a change revokes the consents of its user if it says so, those in which they act too, and nobody else's", func(k *kit) {
		k.ok(k.create(directory.User{ID: "usr_other"}))
		subject, actor, others := k.consent(), k.consent(), k.consent()
		actor.Subject, actor.Actor, actor.ActorKind = ann, john, oauth.ActorUser
		others.Subject = "usr_other"
		for _, c := range []impersonation.Consent{subject, actor, others} {
			k.ok(k.addConsent(c))
		}
		u, err := k.store.Get(k.Context(), john)
		k.ok(err)
		for _, end := range []bool{false, true} {
			k.ok(k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: u, EndConsents: end}))
			all, err := k.store.Consents(k.Context(), store.ConsentQuery{})
			k.ok(err)
			for _, c := range all {
				if want := end && c.ID != others.ID; c.Revoked.IsZero() == want {
					k.Errorf("with EndConsents %v: got %+v revoked at %v, want %v", end, c.Subject, c.Revoked, want)
				}
			}
		}
	}},
	{"user/credentials", "credentials are replaced one by one and read back as they were", func(k *kit) {
		phc, totp, none := "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA", []byte{0, 1, 255}, []byte(nil)
		set := func(w store.CredentialsWrite) store.Credentials {
			k.Helper()
			w.Write, w.UserID = k.write(), ann
			k.ok(k.store.SetCredentials(k.Context(), w))
			c, err := k.store.Credentials(k.Context(), ann)
			k.ok(err)
			return c
		}
		k.same("both", set(store.CredentialsWrite{Password: &phc, TOTP: &totp}), store.Credentials{Password: phc, TOTP: totp})
		k.same("nothing", set(store.CredentialsWrite{}), store.Credentials{Password: phc, TOTP: totp})
		if u, err := k.store.Get(k.Context(), ann); err != nil || !u.SecondFactor {
			k.Errorf("got %v, %v; want a second factor", u.SecondFactor, err)
		}
		k.same("TOTP removed", set(store.CredentialsWrite{TOTP: &none}), store.Credentials{Password: phc})
		_, err := k.store.Credentials(k.Context(), "usr_none")
		k.wantErr("Credentials of nobody", err, store.ErrNotFound)
		k.wantErr("SetCredentials of nobody", k.store.SetCredentials(k.Context(), store.CredentialsWrite{Write: k.write(), UserID: "usr_none"}), store.ErrNotFound)
	}},
	{"user/organisations", "the list of organisations has those that have people, sorted", func(k *kit) {
		k.ok(k.create(directory.User{ID: "usr_1", Organisation: "acme"}))
		k.ok(k.create(directory.User{ID: "usr_2", Organisation: "acme"}))
		got, err := k.store.Organisations(k.Context())
		k.ok(err)
		k.same("Organisations", got, []string{"acme", "globex"})
	}},
}

// authz reads the versions of ann's and john's organisations.
func (k *kit) authz() map[string]int64 {
	k.Helper()
	out := make(map[string]int64)
	for _, v := range k.load(k.key()).Guard.Authz {
		out[v.Organisation] = v.N
	}
	return out
}

var searchCases = []testCase{
	{"search/text", "a part of name or address finds, without case, in every script, and no character has a meaning", func(k *kit) {
		for i, u := range []directory.User{
			{Name: "Zoë Ünal", Email: "zoe@acme.test"}, {Name: "100%_sure\\", Email: "x@acme.test"}, {Name: "Robert'); DROP TABLE users;--"},
			{Name: "李雷", Email: "li@acme.test"}, {Name: "ОЛЬГА"},
		} {
			u.ID = fmt.Sprintf("usr_%d", i)
			k.ok(k.create(u))
		}
		for text, want := range map[string][]string{
			"ünAL": {"usr_0"}, "%": {"usr_1"}, "_": {"usr_1"}, "\\": {"usr_1"}, "'": {"usr_2"}, "雷": {"usr_3"}, "ольга": {"usr_4"},
			"ACME.test": {"usr_1", ann, "usr_0", "usr_3"}, ann: {ann}, "usr_": nil, "USR_ANN": nil, "nobody": nil, "acme.test z": nil,
		} {
			page, next, err := k.store.Search(k.Context(), directory.Query{Text: text, AnyOrganisation: true})
			k.ok(err)
			k.same(fmt.Sprintf("found by %q", text), ids(page), want)
			if next != "" {
				k.Errorf("%q: got another page after the last", text)
			}
		}
	}},
	{"search/scope", "a search never leaves its organisation, and the operator's staff are one of their own", func(k *kit) {
		for _, c := range []struct {
			q    directory.Query
			want []string
		}{
			{directory.Query{Organisation: "globex"}, []string{john}},
			{directory.Query{}, []string{ann}},
			{directory.Query{Organisation: "globex", Text: ann}, nil},
			{directory.Query{AnyOrganisation: true}, []string{ann, john}},
		} {
			page, _, err := k.store.Search(k.Context(), c.q)
			k.ok(err)
			k.same(fmt.Sprintf("%+v", c.q), ids(page), c.want)
		}
	}},
	{"search/pages", "pages follow name and ID, without gap and without repeat, also when names are equal", func(k *kit) {
		var want []string
		for i := range 25 {
			id := fmt.Sprintf("usr_%02d", i)
			k.ok(k.create(directory.User{ID: id, Name: fmt.Sprintf("Same %d", i/10), Organisation: "many"}))
			want = append(want, id)
		}
		var got []string
		q := directory.Query{Organisation: "many", Text: "same", Limit: 7}
		for {
			page, next, err := k.store.Search(k.Context(), q)
			k.ok(err)
			if len(page) > q.Limit {
				k.Fatalf("got a page of %d, want at most %d", len(page), q.Limit)
			}
			if got = append(got, ids(page)...); next == "" {
				break
			}
			q.After = next
		}
		k.same("all pages", got, want)
		if _, _, err := k.store.Search(k.Context(), directory.Query{After: "no cursor!"}); err == nil {
			k.Error("a cursor that no page gave was taken")
		}
	}},
}

func ids(users []directory.User) (out []string) {
	for _, u := range users {
		out = append(out, u.ID)
	}
	return out
}

var clientCases = []testCase{
	{"client/round-trip", "a client is read as it was registered", func(k *kit) {
		c := k.client("zebra")
		c.Public, c.Serves, c.SecretHash = true, []string{"https://api.acme.test"}, oauth.Hash{}
		c.Settings = store.Settings{Auth: store.AuthPrivateKey, Keys: json.RawMessage(`{"keys":[{"kty":"OKP"}]}`), DPoP: true, RequirePAR: true,
			IDTokenAlg: "RS256", Refresh: true, Service: oauth.ActorAIAgent, UserID: true, PostLogoutRedirectURIs: []string{"https://app.acme.test/bye"},
			BackchannelLogoutURI: "https://app.acme.test/logout", PushURI: "https://app.acme.test/events"}
		k.ok(k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.recorded(audit.KindClientAdd), Client: c}))
		got, err := k.store.Client(k.Context(), "zebra")
		k.ok(err)
		k.same("Client", got, c)
		all, err := k.store.ListClients(k.Context())
		k.ok(err)
		if len(all) != 2 || all[0].ID != app || all[1].ID != "zebra" {
			k.Errorf("ListClients: got %v, want app and zebra", all)
		}
		k.wantErr("the same id", k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: c}), store.ErrExists)
		_, err = k.store.Client(k.Context(), "none")
		k.wantErr("Client of nothing", err, store.ErrNotFound)
	}},
	{"client/change", "settings are replaced by who read them last, and nothing else is; a start that was decided before starts over", func(k *kit) {
		decided := k.start()
		late := k.startWrite(k.issue())
		was, err := k.store.Client(k.Context(), app)
		k.ok(err)
		w := store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeInstance, "other"), Client: was, Was: was.Settings}
		w.Entries = k.recorded(audit.KindClientChange).Entries
		w.Client.Settings.Auth, w.Client.SecretHash, w.Client.Name = store.AuthPost, oauth.NewSecret().Hash(), "another"
		k.ok(k.store.ChangeClient(k.Context(), w))
		want := w.Client
		want.Name = was.Name
		got, err := k.store.Client(k.Context(), app)
		k.ok(err)
		k.same("Client", got, want)
		if s := k.stored(decided.Session.ID); !s.Ended.IsZero() {
			k.Errorf("the session ended: %q", s.EndReason)
		}
		k.wantErr("a start of before", k.store.Start(k.Context(), late), impersonation.ErrChanged)
		k.wantErr("what somebody else read", k.store.ChangeClient(k.Context(), w), impersonation.ErrChanged)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindClientChange})); n != 1 {
			k.Errorf("got %d entries, want 1", n)
		}
		w.Client.ID = "none"
		k.wantErr("no such client", k.store.ChangeClient(k.Context(), w), store.ErrNotFound)
	}},
	{"client/change-ends", "a change that takes something away ends the client's sessions, and leaves it neither grants nor tickets", func(k *kit) {
		w, g, t := k.start(), k.grant(), k.ticket()
		k.ok(k.store.IssueTicket(k.Context(), impersonation.TicketWrite{Write: k.write(), Ticket: t, Guard: k.load(k.key()).Guard}))
		was, err := k.store.Client(k.Context(), app)
		k.ok(err)
		change := store.ClientChange{EndWrite: k.endWrite(impersonation.ScopeClient, "other"), Client: was, Was: was.Settings, Ends: true}
		change.Reason, change.Entries, change.Client.Exchange = impersonation.EndChanged, k.recorded(audit.KindClientChange).Entries, false
		k.ok(k.store.ChangeClient(k.Context(), change))
		if got, err := k.store.Client(k.Context(), app); err != nil || got.Exchange {
			k.Errorf("Client: got exchange %t, %v; want false", got.Exchange, err)
		}
		_, err = k.store.GrantByJTI(k.Context(), g.JTI)
		k.wantErr("GrantByJTI", err, store.ErrNotFound)
		if f := k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now}); f.Ticket != nil {
			k.Error("the ticket is still there")
		}
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndChanged {
			k.Errorf("session: got %q, want changed", s.EndReason)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindClientChange})); n != 1 {
			k.Errorf("got %d entries, want 1", n)
		}
	}},
	{"client/delete", "a removed client takes its grants, tickets and sessions along, and its id is not given again", func(k *kit) {
		w, g, t := k.start(), k.grant(), k.ticket()
		k.ok(k.store.IssueTicket(k.Context(), impersonation.TicketWrite{Write: k.write(), Ticket: t, Guard: k.load(k.key()).Guard}))
		end := k.endWrite(impersonation.ScopeClient, app)
		end.Reason, end.Entries = impersonation.EndClient, k.recorded(audit.KindClientRemove).Entries
		k.ok(k.store.DeleteClient(k.Context(), app, end))
		_, err := k.store.Client(k.Context(), app)
		k.wantErr("Client", err, store.ErrNotFound)
		_, err = k.store.GrantByJTI(k.Context(), g.JTI)
		k.wantErr("GrantByJTI", err, store.ErrNotFound)
		if f := k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now}); f.Ticket != nil {
			k.Error("the ticket is still there")
		}
		if s := k.stored(w.Session.ID); s.EndReason != impersonation.EndClient {
			k.Errorf("session: got %q, want client", s.EndReason)
		}
		if l, err := k.store.LoadSession(k.Context(), w.Session.ID); err != nil || l.Client != nil {
			k.Errorf("LoadSession: got %v, %v; want no client", l.Client, err)
		}
		if all, err := k.store.ListClients(k.Context()); err != nil || len(all) != 0 {
			k.Errorf("ListClients: got %v, %v", all, err)
		}
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindClientRemove})); n != 1 {
			k.Errorf("got %d entries of the removal, want 1", n)
		}
		k.wantErr("the second removal", k.store.DeleteClient(k.Context(), app, end), store.ErrNotFound)
		k.wantErr("the id again", k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client(app)}), store.ErrExists)
	}},
}
