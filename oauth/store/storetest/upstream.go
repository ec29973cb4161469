package storetest

import (
	"errors"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const idp = "https://idp.acme.test"

// through is a sign-in of user by a session at the upstream, begun at k.now.
func (k *kit) through(user, sid string) store.LoginWrite {
	l := k.newLogin(user)
	l.Upstream, l.UpstreamSession = idp, sid
	return store.LoginWrite{Write: k.write(), Login: l, Cookie: oauth.NewSecret().Hash(), Subject: "00u-" + user, Began: k.now, Hint: []byte("sealed")}
}

func (k *kit) signInThrough(user, sid string) string {
	k.Helper()
	w := k.through(user, sid)
	k.ok(k.store.CreateLogin(k.Context(), w))
	return w.Login.ID
}

// known gives user an identity at the upstream.
func (k *kit) known(user string) {
	k.Helper()
	k.change(user, func(u *directory.User) { u.Identities = []oauth.Party{{Issuer: idp, Subject: "00u-" + user}} })
}

func (k *kit) says(sid, sub string) store.UpstreamEnd {
	return store.UpstreamEnd{Write: k.write(), Upstream: idp, Session: sid, Subject: sub, Until: k.now.Add(8 * time.Hour), Issuer: issuer}
}

func (k *kit) alive(login string) bool {
	k.Helper()
	l, err := k.store.Login(k.Context(), login)
	k.ok(err)
	return l.Ended.IsZero()
}

// wantAlive checks which of logins live.
func (k *kit) wantAlive(when string, logins map[string]string, names ...string) {
	k.Helper()
	want := map[string]bool{}
	for _, n := range names {
		want[n] = true
	}
	for name, id := range logins {
		if k.alive(id) != want[name] {
			k.Errorf("%s: login %s lives: %v, want %v", when, name, !want[name], want[name])
		}
	}
}

var upstreamCases = []testCase{
	{"upstream/session", "the end of a session upstream ends its login, with grants and impersonations, and no other", func(k *kit) {
		k.known(ann)
		logins := map[string]string{"its": k.signInThrough(ann, "a"), "other": k.signInThrough(ann, "b"), "local": k.localLogin(ann), "john's": k.signInThrough(john, "c")}
		w := k.through(ann, "a")
		w.Login.Upstream = "https://other.test"
		k.ok(k.store.CreateLogin(k.Context(), w))
		logins["of another upstream"] = w.Login.ID
		k.login = logins["its"]
		s, g := k.start(), k.grant()
		end := k.says("a", "")
		end.Entries = k.recorded(audit.KindSignOut).Entries
		ended, err := k.store.EndUpstream(k.Context(), end)
		k.ok(err)
		k.wantAlive("after", logins, "other", "local", "john's", "of another upstream")
		if len(ended) != 1 || ended[0].Session.ID != s.Session.ID || k.stored(s.Session.ID).EndReason != impersonation.EndSignedOut {
			k.Errorf("got %v, want the session on the login, signed out", ended)
		}
		if g, err := k.store.GrantByJTI(k.Context(), g.JTI); err != nil || g.Revoked.IsZero() {
			k.Errorf("its grant: got %v, %v; want revoked", g.Revoked, err)
		}
		entries := k.entries(store.EntryQuery{Kind: audit.KindSignOut})
		if len(entries) != 2 || entries[0].Entry.Fields["login"]+entries[1].Entry.Fields["login"] != logins["its"] {
			k.Errorf("got %d entries, want one of the message and one of the login", len(entries))
		}
	}},
	{"upstream/subject", "the end of all that is somebody's upstream ends each of their logins by it", func(k *kit) {
		k.known(ann)
		k.known(john)
		logins := map[string]string{"a": k.signInThrough(ann, "a"), "none": k.signInThrough(ann, ""), "local": k.localLogin(ann), "john's": k.signInThrough(john, "c")}
		_, err := k.store.EndUpstream(k.Context(), k.says("", "00u-"+ann))
		k.ok(err)
		k.wantAlive("after", logins, "local", "john's")
		_, err = k.store.EndUpstream(k.Context(), k.says("", "nobody"))
		k.ok(err)
		k.wantAlive("after nobody's", logins, "local", "john's")
	}},
	{"upstream/both", "a message with both ends that session, and what has no session to be told by", func(k *kit) {
		k.known(ann)
		logins := map[string]string{"a": k.signInThrough(ann, "a"), "b": k.signInThrough(ann, "b"), "none": k.signInThrough(ann, "")}
		_, err := k.store.EndUpstream(k.Context(), k.says("a", "00u-"+ann))
		k.ok(err)
		k.wantAlive("after", logins, "b")
	}},
	{"upstream/under-way", "a sign-in that was under way when its session ended opens nothing", func(k *kit) {
		_, err := k.store.EndUpstream(k.Context(), k.says("a", ""))
		k.ok(err)
		k.wantErr("its session", k.store.CreateLogin(k.Context(), k.through(ann, "a")), impersonation.ErrChanged)
		later := k.through(ann, "a")
		later.Began, later.Login.Created = k.now.Add(time.Hour), k.now.Add(time.Hour)
		k.wantErr("its session, later", k.store.CreateLogin(k.Context(), later), impersonation.ErrChanged)
		k.signInThrough(ann, "b")
		k.localLogin(ann)
	}},
	{"upstream/under-way-subject", "and one of somebody all of whose sessions ended; the next one does", func(k *kit) {
		_, err := k.store.EndUpstream(k.Context(), k.says("", "00u-"+ann))
		k.ok(err)
		k.wantErr("begun at that moment", k.store.CreateLogin(k.Context(), k.through(ann, "a")), impersonation.ErrChanged)
		unsaid := k.through(ann, "a")
		unsaid.Began = time.Time{}
		k.wantErr("begun nobody knows when", k.store.CreateLogin(k.Context(), unsaid), impersonation.ErrChanged)
		skewed := k.through(ann, "a")
		skewed.Began = k.now.Add(4 * time.Second)
		k.wantErr("begun after it, but perhaps not by that clock", k.store.CreateLogin(k.Context(), skewed), impersonation.ErrChanged)
		later := k.through(ann, "a")
		later.Began = k.now.Add(4*time.Second + time.Millisecond)
		k.ok(k.store.CreateLogin(k.Context(), later))
		k.signInThrough(john, "a")
	}},
	{"upstream/under-way-both", "a sign-in that was under way when a message named both opens nothing if it has no sid; the next one does", func(k *kit) {
		k.known(ann)
		_, err := k.store.EndUpstream(k.Context(), k.says("a", "00u-"+ann))
		k.ok(err)
		k.wantErr("without a sid", k.store.CreateLogin(k.Context(), k.through(ann, "")), impersonation.ErrChanged)
		k.wantErr("with that sid", k.store.CreateLogin(k.Context(), k.through(ann, "a")), impersonation.ErrChanged)
		k.signInThrough(ann, "b")
		k.signInThrough(john, "")
		later := k.through(ann, "")
		later.Began = k.now.Add(time.Minute)
		k.ok(k.store.CreateLogin(k.Context(), later))
	}},
	{"upstream/once", "a message counts once, and what it would have ended the second time lives", func(k *kit) {
		k.known(ann)
		end := k.says("", "00u-"+ann)
		end.Once, end.OnceUntil = "jti-1", k.now.Add(time.Minute)
		_, err := k.store.EndUpstream(k.Context(), end)
		k.ok(err)
		w := k.through(ann, "a")
		w.Began = k.now.Add(5 * time.Second)
		k.ok(k.store.CreateLogin(k.Context(), w))
		end.Now = k.now.Add(time.Minute)
		_, err = k.store.EndUpstream(k.Context(), end)
		k.wantErr("again", err, store.ErrSpent)
		if !k.alive(w.Login.ID) {
			k.Error("a message that came again ended a login")
		}
		end.Upstream = "https://other.test"
		_, err = k.store.EndUpstream(k.Context(), end)
		k.ok(err)
	}},
	{"upstream/sweep", "what an upstream said is over is forgotten once no sign-in can be of it", func(k *kit) {
		_, err := k.store.EndUpstream(k.Context(), k.says("a", ""))
		k.ok(err)
		until := k.now.Add(8 * time.Hour)
		k.ok(k.store.Sweep(k.Context(), until, 10))
		k.wantErr("in its time", k.store.CreateLogin(k.Context(), k.through(ann, "a")), impersonation.ErrChanged)
		k.ok(k.store.Sweep(k.Context(), until.Add(time.Hour), 10))
		k.signInThrough(ann, "a")
	}},
	{"upstream/hint", "what is kept for the upstream's own sign-out is there, for who has it", func(k *kit) {
		hint, err := k.store.LoginHint(k.Context(), k.signInThrough(ann, "a"))
		k.ok(err)
		k.same("the hint", string(hint), "sealed")
		hint, err = k.store.LoginHint(k.Context(), k.localLogin(ann))
		k.ok(err)
		if hint != nil {
			k.Errorf("got %q, want none", hint)
		}
		_, err = k.store.LoginHint(k.Context(), "lgn_none")
		k.wantErr("nobody's", err, store.ErrNotFound)
	}},
}

// localLogin signs in by credentials of ours.
func (k *kit) localLogin(user string) string {
	k.Helper()
	l := k.newLogin(user)
	l.Upstream, l.UpstreamSession = "", ""
	k.ok(k.store.CreateLogin(k.Context(), store.LoginWrite{Write: k.write(), Login: l, Cookie: oauth.NewSecret().Hash()}))
	return l.ID
}

var upstreamRaces = []testCase{
	{"race/upstream", "of many sign-ins that are under way when their session ends upstream, none lives on", func(k *kit) {
		sid, opened := oauth.NewID("sid"), make([]string, crowd)
		k.all(func(i int) error {
			if i == crowd/2 {
				_, err := k.store.EndUpstream(k.Context(), k.says(sid, ""))
				return err
			}
			w := k.through(ann, sid)
			err := k.store.CreateLogin(k.Context(), w)
			if errors.Is(err, impersonation.ErrChanged) {
				return nil
			}
			opened[i] = w.Login.ID
			return err
		})
		for _, id := range opened {
			if id != "" && k.alive(id) {
				k.Errorf("login %s outlived its session", id)
			}
		}
	}},
	{"once/upstream", "of many who bring one message, one ends what it names", func(k *kit) {
		end := k.says(oauth.NewID("sid"), "")
		end.Once, end.OnceUntil = oauth.NewID("jti"), k.now.Add(time.Minute)
		login := k.signInThrough(ann, end.Session)
		k.one(store.ErrSpent, func(int) error { _, err := k.store.EndUpstream(k.Context(), end); return err })
		if k.alive(login) {
			k.Error("the login lives on")
		}
	}},
}
