package storetest

import (
	"context"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

var trailCases = []testCase{
	{"trail/round-trip", "an entry is read as it was recorded, with the bytes that every proof stands on", func(k *kit) {
		e := k.recorded(audit.KindRefused).Entries[0]
		e.Client, e.Session, e.Request, e.Policy = app, "imp_1", "req_1", "v1"
		e.Set("rule", "never.self")
		k.ok(k.store.Record(k.Context(), e))
		got, err := k.store.Entry(k.Context(), e.ID)
		k.ok(err)
		k.same("the entry", got.Entry, e)
		canonical, err := audit.Canonical(e)
		k.ok(err)
		opening, err := audit.Opening(e)
		k.ok(err)
		k.same("canonical", string(got.Canonical), string(canonical))
		k.same("opening", string(got.Opening), string(opening))
		page := k.entries(store.EntryQuery{Session: "imp_1"})
		k.same("the page", page, []store.StoredEntry{got})
		_, err = k.store.Entry(k.Context(), "aud_none")
		k.wantErr("Entry of nothing", err, store.ErrNotFound)
	}},
	{"trail/nothing-personal", "an entry with nothing personal has no opening", func(k *kit) {
		e := audit.New(audit.KindLift, k.now)
		k.ok(k.store.Record(k.Context(), e))
		got, err := k.store.Entry(k.Context(), e.ID)
		k.ok(err)
		if got.Opening != nil {
			k.Errorf("got opening %q, want none", got.Opening)
		}
	}},
	{"trail/unchangeable", "an id is written once: a second entry under it changes nothing", func(k *kit) {
		e := k.recorded(audit.KindRefused).Entries[0]
		k.ok(k.store.Record(k.Context(), e))
		other := e
		other.Kind = audit.KindStart
		if err := k.store.Record(k.Context(), k.recorded(audit.KindKey).Entries[0], other); err == nil {
			k.Error("a second entry under the same id was taken")
		}
		got, err := k.store.Entry(k.Context(), e.ID)
		k.ok(err)
		k.same("the first entry", got.Entry, e)
		if n := len(k.entries(store.EntryQuery{Kind: audit.KindKey})); n != 0 {
			k.Error("half of a record was written")
		}
	}},
	{"trail/once", "what a client tells twice is on record once, and a batch that repeats some of it still records the rest", func(k *kit) {
		first, second := k.recorded(audit.KindAction).Entries[0], k.recorded(audit.KindAction).Entries[0]
		k.ok(k.store.RecordOnce(k.Context(), first))
		again := first
		again.Kind, again.Session = audit.KindStart, "imp_other"
		k.ok(k.store.RecordOnce(k.Context(), again, second, second))
		got, err := k.store.Entry(k.Context(), first.ID)
		k.ok(err)
		k.same("the first entry", got.Entry, first)
		k.same("how many", len(k.entries(store.EntryQuery{})), 2)
		if err := k.store.Record(k.Context(), first); err == nil {
			k.Error("Record took an entry that is on record")
		}
		bad, good := k.recorded(audit.KindAction).Entries[0], k.recorded(audit.KindAction).Entries[0]
		bad.ID = "NOT AN ID"
		if err := k.store.RecordOnce(k.Context(), good, bad); err == nil {
			k.Error("an entry without a canonical form was taken")
		}
		_, err = k.store.Entry(k.Context(), good.ID)
		k.wantErr("half of a batch", err, store.ErrNotFound)
	}},
	{"trail/own", "who reads their own only gets what they did and their sessions whole, and nothing of anybody else's", func(k *kit) {
		k.start()
		sid := k.entries(store.EntryQuery{Kind: audit.KindStart})[0].Entry.Session
		var want []string
		add := func(own bool, actor, session string) {
			e := audit.New(audit.KindAction, k.now)
			e.Actor, e.Subject, e.Session = oauth.Party{Issuer: issuer, Subject: actor}, oauth.Party{Issuer: issuer, Subject: ann}, session
			k.ok(k.store.Record(k.Context(), e))
			if own {
				want = append([]string{e.ID}, want...)
			}
		}
		add(true, ann, "")
		add(true, "", sid) // such as an end by the clock
		add(true, "usr_boss", sid)
		add(false, "usr_boss", "imp_other")
		add(false, "", "")
		add(false, john, "")
		q := store.EntryQuery{Own: ann, Kind: audit.KindAction, Limit: 2}
		var got []string
		for {
			page, next, err := k.store.Entries(k.Context(), q)
			k.ok(err)
			for _, e := range page {
				got = append(got, e.Entry.ID)
			}
			if q.After = next; next == "" {
				break
			}
		}
		k.same("her own", got, want)
		k.same("of the session", len(k.entries(store.EntryQuery{Own: ann, Session: sid, Kind: audit.KindAction})), 2)
		k.same("of another session", len(k.entries(store.EntryQuery{Own: ann, Session: "imp_other"})), 0)
		k.same("nobody's", len(k.entries(store.EntryQuery{Own: "usr_none"})), 0)
	}},
	{"trail/malformed", "an entry without a canonical form is refused, and nothing else happens", func(k *kit) {
		w := k.startWrite(k.issue())
		w.Entries[0].Fields = map[string]string{"UPPER CASE": "x"}
		w.Entries[0].Salts = nil
		if err := k.store.Start(k.Context(), w); err == nil {
			k.Error("a start with a malformed entry was taken")
		}
		if _, err := k.store.Session(k.Context(), w.Session.ID); err == nil {
			k.Error("the session is there without its record")
		}
	}},
	{"trail/queries", "an auditor finds by kind, person, session, app and time, together too", func(k *kit) {
		var want []string
		for i, who := range []string{"usr_a", "usr_b"} {
			e := audit.New(audit.KindRefused, k.now.Add(time.Duration(i)*time.Hour))
			e.Actor, e.Subject = oauth.Party{Issuer: issuer, Subject: who}, oauth.Party{Issuer: issuer, Subject: "usr_c"}
			e.Client, e.Session = "app_"+who, "imp_"+who
			k.ok(k.store.Record(k.Context(), e))
			want = append(want, e.ID)
		}
		for name, c := range map[string]struct {
			q    store.EntryQuery
			want []string
		}{
			"all":     {store.EntryQuery{}, []string{want[1], want[0]}},
			"kind":    {store.EntryQuery{Kind: audit.KindRefused}, []string{want[1], want[0]}},
			"no kind": {store.EntryQuery{Kind: audit.KindStart}, nil},
			"actor":   {store.EntryQuery{Person: "usr_a"}, []string{want[0]}},
			"subject": {store.EntryQuery{Person: "usr_c"}, []string{want[1], want[0]}},
			"session": {store.EntryQuery{Session: "imp_usr_b"}, []string{want[1]}},
			"client":  {store.EntryQuery{Client: "app_usr_a"}, []string{want[0]}},
			"since":   {store.EntryQuery{Since: k.now.Add(time.Hour)}, []string{want[1]}},
			"until":   {store.EntryQuery{Until: k.now.Add(time.Hour)}, []string{want[0]}},
			"both":    {store.EntryQuery{Person: "usr_c", Client: "app_usr_b"}, []string{want[1]}},
		} {
			var got []string
			for _, e := range k.entries(c.q) {
				got = append(got, e.Entry.ID)
			}
			k.same(name, got, c.want)
		}
	}},
	{"trail/pages", "pages go from the newest back, without gap and without repeat, while new entries come in", func(k *kit) {
		var want, got []string
		for range 25 {
			e := audit.New(audit.KindRefused, k.now)
			k.ok(k.store.Record(k.Context(), e))
			want = append([]string{e.ID}, want...)
		}
		q := store.EntryQuery{Limit: 7}
		for {
			page, next, err := k.store.Entries(k.Context(), q)
			k.ok(err)
			for _, e := range page {
				got = append(got, e.Entry.ID)
			}
			if q.After = next; next == "" {
				break
			}
			k.ok(k.store.Record(k.Context(), audit.New(audit.KindRefused, k.now)))
		}
		k.same("all pages", got, want)
		_, _, err := k.store.Entries(k.Context(), store.EntryQuery{After: "1 OR 1=1"})
		k.wantErr("a cursor that no page gave", err, store.ErrCursor)
		_, _, err = k.store.Sessions(k.Context(), store.SessionQuery{After: "1 OR 1=1"})
		k.wantErr("the same of sessions", err, store.ErrCursor)
	}},
	{"trail/sessions", "sessions are listed from the newest back, live ones apart", func(k *kit) {
		var want []string
		for range 5 {
			w := k.startWrite(k.issue())
			w.Supersedes = k.load(k.key()).Live
			k.ok(k.store.Start(k.Context(), w))
			want = append([]string{w.Session.ID}, want...)
		}
		var got []string
		q := store.SessionQuery{Actor: ann, Subject: john, Client: app, Limit: 2}
		for {
			page, next, err := k.store.Sessions(k.Context(), q)
			k.ok(err)
			for _, s := range page {
				got = append(got, s.ID)
			}
			if q.After = next; next == "" {
				break
			}
		}
		k.same("all pages", got, want)
		for name, c := range map[string]struct {
			q    store.SessionQuery
			want int
		}{
			"live": {store.SessionQuery{Live: true, Now: k.now}, 1}, "expired": {store.SessionQuery{Live: true, Now: k.now.Add(time.Hour)}, 0},
			"actor": {store.SessionQuery{Actor: john}, 0}, "subject": {store.SessionQuery{Subject: ann}, 0}, "client": {store.SessionQuery{Client: "none"}, 0},
		} {
			page, _, err := k.store.Sessions(k.Context(), c.q)
			k.ok(err)
			if len(page) != c.want {
				k.Errorf("%s: got %d sessions, want %d", name, len(page), c.want)
			}
		}
		_, err := k.store.Session(k.Context(), "imp_none")
		k.wantErr("Session of nothing", err, store.ErrNotFound)
	}},
	{"trail/impossible", "text that none can have is found nowhere, by whatever the trail is asked for it", func(k *kit) {
		k.start()
		for _, bad := range []string{ann + "\x00", "\x00", ann + "\xff"} {
			for _, q := range []store.EntryQuery{{Kind: audit.Kind(bad)}, {Person: bad}, {Own: bad}, {Session: bad}, {Client: bad}} {
				if page, next, err := k.store.Entries(k.Context(), q); err != nil || len(page) > 0 || next != "" {
					k.Errorf("%+v: got %d entries, %q, %v; want none", q, len(page), next, err)
				}
			}
			for _, q := range []store.SessionQuery{{Actor: bad}, {Subject: bad}, {Client: bad}} {
				if page, next, err := k.store.Sessions(k.Context(), q); err != nil || len(page) > 0 || next != "" {
					k.Errorf("%+v: got %d sessions, %q, %v; want none", q, len(page), next, err)
				}
			}
		}
	}},
	{"trail/outbox", "events come in the order of their commits, from where the reader was", func(k *kit) {
		k.start()
		all := k.outbox(0)
		if len(all) != 2 || all[0].Kind != string(audit.KindTicket) || all[1].Kind != string(audit.KindStart) {
			k.Fatalf("got %v, want the events of ticket and start", all)
		}
		k.same("the rest", k.outbox(all[0].Position), all[1:])
		if rest := k.outbox(all[1].Position); len(rest) != 0 {
			k.Errorf("got %v after the last", rest)
		}
		one, err := k.store.Outbox(k.Context(), 0, 1)
		k.ok(err)
		k.same("one", one, all[:1])
	}},
}

var valueCases = []testCase{
	{"value/long", "what no index could hold is refused by each store, and what people may enter can be held, in every script", func(k *kit) {
		long, wide := strings.Repeat("k", store.MaxKey+1), strings.Repeat("\U0001F600", directory.MaxName)
		most := directory.User{ID: strings.Repeat("i", directory.MaxID), Name: wide, Email: strings.Repeat("é", 120) + "@acme.test", Organisation: strings.Repeat("é", 127)}
		k.ok(most.Validate())
		k.ok(k.create(most))
		page, _, err := k.store.Search(k.Context(), directory.Query{Organisation: most.Organisation, Text: wide, Limit: 1})
		k.ok(err)
		k.same("found", ids(page), []string{most.ID})
		for what, u := range map[string]directory.User{"id": {ID: long}, "name": {ID: "u", Name: wide + "x"}, "email": {ID: "u", Email: long}, "organisation": {ID: "u", Organisation: long},
			"group": {ID: "u", Groups: []string{long}}} {
			k.wantErr("a user's "+what, k.create(u), store.ErrTooLong)
		}
		k.wantErr("a change of a user", k.store.UpdateUser(k.Context(), store.UserWrite{Write: k.write(), User: directory.User{ID: john, Name: wide + "x"}}), store.ErrTooLong)
		k.wantErr("a client", k.store.CreateClient(k.Context(), store.ClientWrite{Write: k.write(), Client: k.client(long)}), store.ErrTooLong)
		k.wantErr("a value that is used once", k.store.UseOnce(k.Context(), "jti", long, k.now, k.now), store.ErrTooLong)
		k.ok(k.store.UseOnce(k.Context(), long[1:], long[1:], k.now, k.now))
		_, err = k.store.End(k.Context(), k.endWrite(impersonation.ScopeActor, long))
		k.wantErr("an end", err, store.ErrTooLong)
		w := k.recorded(audit.KindUserAdd)
		w.Entries[0].Session = long
		k.wantErr("an entry", k.store.CreateUser(k.Context(), store.UserWrite{Write: w, User: directory.User{ID: "u"}}), store.ErrTooLong)
		_, err = k.store.Get(k.Context(), "u")
		k.wantErr("Get of who was refused", err, directory.ErrNotFound)
	}},
	{"value/times", "times come back in UTC and in whole milliseconds, whatever zone and precision they had", func(k *kit) {
		k.now = time.Date(2031, 7, 8, 9, 10, 11, 987_654_321, time.FixedZone("far", -11*3600))
		w := k.startOn(k.load(k.key()), k.ticket())
		w.Ticket, w.Entries = oauth.Hash{}, nil
		k.ok(k.store.Start(k.Context(), w))
		got := k.stored(w.Session.ID)
		k.same("Started", got.Started, at(k.now))
		k.same("Expires", got.Expires, at(w.Session.Expires))
		if got.Started.Location() != time.UTC {
			k.Errorf("got zone %v, want UTC", got.Started.Location())
		}
	}},
	{"value/zero-times", "no time is no time, and 1970 is one", func(k *kit) {
		u := directory.User{ID: "usr_1", Created: time.Unix(0, 0).UTC(), Updated: time.UnixMilli(-1).UTC()}
		k.ok(k.create(u))
		got, err := k.store.Get(k.Context(), u.ID)
		k.ok(err)
		k.same("the user", got, u)
	}},
	{"value/empty", "an empty list or map and a missing one are the same", func(k *kit) {
		k.ok(k.create(directory.User{ID: "usr_1", Groups: []string{}, Roles: []string{}, Attributes: map[string]string{}}))
		got, err := k.store.Get(k.Context(), "usr_1")
		k.ok(err)
		k.same("the user", got, directory.User{ID: "usr_1"})
	}},
	{"value/text", "text is kept byte by byte: every script, quotes, line breaks, and what looks like SQL or JSON", func(k *kit) {
		for i, s := range []string{"Ünïcødé 李雷 👩🏽‍🚀", "'; DROP TABLE client; --", `"quoted" \ back`, "line\r\nbreak\ttab", `["json"]`, "null", "<&>\u2028", strings.Repeat("ä", 4000)} {
			key := s[:min(len(s), 250)]
			u := directory.User{ID: oauth.NewID("usr"), Name: key, Organisation: key, Roles: []string{s, ""}, Groups: []string{key}, Attributes: map[string]string{s: s}}
			k.ok(k.create(u))
			got, err := k.store.Get(k.Context(), u.ID)
			k.ok(err)
			k.same(s, got, u)
			t := k.ticket()
			t.Reason, t.TicketNumber, t.Scope = s, s, []string{s}
			k.ok(k.store.IssueTicket(k.Context(), impersonation.TicketWrite{Write: k.write(), Ticket: t, Guard: k.load(k.key()).Guard}))
			k.same(s, *k.load(impersonation.StartKey{Ticket: t.Hash, Now: k.now}).Ticket, t)
			k.ok(k.store.UseOnce(k.Context(), key, key, k.now, k.now))
			k.Logf("text %d is kept", i)
		}
	}},
	{"value/ready", "a store that works says so, and its clock runs", func(k *kit) {
		now, err := k.store.Ready(k.Context())
		k.ok(err)
		if d := time.Since(now); d < -time.Minute || d > time.Minute {
			k.Errorf("the store's clock is %v off", d)
		}
	}},
	{"value/closed", "after Close every call says that the store is gone, and Close again says nothing", func(k *kit) {
		w := k.startWrite(k.issue())
		k.ok(k.store.Close())
		k.wantErr("Start", k.store.Start(k.Context(), w), store.ErrUnavailable)
		_, err := k.store.Client(k.Context(), app)
		k.wantErr("Client", err, store.ErrUnavailable)
		_, err = k.store.Ready(k.Context())
		k.wantErr("Ready", err, store.ErrUnavailable)
		k.ok(k.store.Close())
	}},
	{"value/gone", "who has left is told so, and told that the store could not answer", func(k *kit) {
		ctx, cancel := context.WithCancel(k.Context())
		cancel()
		_, err := k.store.RevokeGrant(ctx, "grt_1", impersonation.Write{Now: k.now})
		k.wantErr("RevokeGrant", err, context.Canceled)
		k.wantErr("RevokeGrant", err, store.ErrUnavailable)
	}},
}
