package admin_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// rows gives each row the number of its place as its line.
func rows(list ...admin.Row) iter.Seq2[admin.Row, error] {
	return func(yield func(admin.Row, error) bool) {
		for i, r := range list {
			r.Line = i + 1
			if !yield(r, nil) {
				return
			}
		}
	}
}

func row(id, email string, edit ...func(*admin.Row)) admin.Row {
	r := admin.Row{ID: id, Email: &email, Name: new("Somebody")}
	for _, f := range edit {
		f(&r)
	}
	return r
}

// crowd is n rows of different people.
func crowd(n int) (out []admin.Row) {
	for i := range n {
		out = append(out, row(fmt.Sprintf("u%d", i), fmt.Sprintf("u%d@acme.test", i)))
	}
	return out
}

func (b *bundle) imports(c admin.ImportConfig, list ...admin.Row) admin.Imported {
	b.t.Helper()
	got, err := b.Import(b.t.Context(), rows(list...), c)
	if err != nil {
		b.t.Fatal(err)
	}
	return got
}

func TestImport(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := []admin.Row{
		row("u1", " U1@Acme.test ", func(r *admin.Row) {
			r.Organisation, r.Groups, r.Roles = new("acme"), &[]string{"b", "", "a", "b"}, &[]string{"editor"}
			r.Attributes, r.Identities = map[string]string{"dept": "x", "none": ""}, []oauth.Party{{Issuer: other, Subject: "1"}, {Issuer: corp, Subject: "2"}}
			r.Protected = new(true)
		}),
		row("", "u2@acme.test", func(r *admin.Row) { r.Enabled = new(false) }),
	}
	if got, want := b.imports(admin.ImportConfig{}, list...), (admin.Imported{Rows: 2, Added: 2, Line: 2}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	u, err := b.st.Get(t.Context(), "u1")
	want := directory.User{ID: "u1", Email: "u1@acme.test", Name: "Somebody", Organisation: "acme", Groups: []string{"a", "b"}, Roles: []string{"editor"},
		Attributes: map[string]string{"dept": "x"}, Identities: []oauth.Party{{Issuer: corp, Subject: "2"}, {Issuer: other, Subject: "1"}}, Enabled: true, Protected: true}
	want.Created, want.Updated = u.Created, u.Updated
	if diff := cmp.Diff(want, u); err != nil || diff != "" {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
	if u, err := b.st.ByEmail(t.Context(), "u2@acme.test"); err != nil || u.Enabled || !strings.HasPrefix(u.ID, "usr_") {
		t.Errorf("got %+v, %v, want somebody disabled with a fresh ID", u, err)
	}
	kinds := map[audit.Kind]int{}
	requests := map[string]bool{}
	for _, e := range b.entries() {
		kinds[e.Kind]++
		requests[e.Request] = true
	}
	if diff := cmp.Diff(map[audit.Kind]int{audit.KindUserAdd: 2, audit.KindUserLink: 2}, kinds); diff != "" || len(requests) != 1 {
		t.Errorf("entries under %d requests, want one (-want +got):\n%s", len(requests), diff)
	}
	before := len(b.entries())
	if got, want := b.imports(admin.ImportConfig{}, list...), (admin.Imported{Rows: 2, Same: 2, Line: 2}); got != want || len(b.entries()) != before {
		t.Errorf("again: got %+v and %d entries more, want %+v and none", got, len(b.entries())-before, want)
	}
}

// Each row that is wrong is named with its column, nothing of what it holds is told, and nobody is imported.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.imports(admin.ImportConfig{}, row("there", "there@acme.test", func(r *admin.Row) { r.Identities = []oauth.Party{{Issuer: corp, Subject: "there"}} }), row("gone", "gone@acme.test"))
	if _, err := b.DeleteUser(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	b.source()
	b.provisioned("john", func(*directory.User) {})
	g := store.Group{ID: "grp_1", Source: "scim:okta", Name: "Kept s3cret", Created: time.Now(), Updated: time.Now()}
	if _, err := b.st.CreateGroup(t.Context(), store.GroupWrite{Write: impersonation.Write{Now: time.Now()}, Group: g}); err != nil {
		t.Fatal(err)
	}
	identity := func(iss, sub string) func(*admin.Row) {
		return func(r *admin.Row) { r.Identities = append(r.Identities, oauth.Party{Issuer: iss, Subject: sub}) }
	}
	for _, tt := range []struct {
		name string
		rows []admin.Row
		want string
	}{
		{"no address", []admin.Row{row("x", "s3cret")}, "line 2: email: an e-mail address has one @"},
		{"no name", []admin.Row{row("x", "x@acme.test", func(r *admin.Row) { r.Name = nil })}, "line 2: name: must be given"},
		{"neither id nor email", []admin.Row{{Name: new("s3cret")}}, "line 2: id: or email must be given"},
		{"an id that is an address", []admin.Row{row("s3cret@acme.test", "x@acme.test")}, `line 2: id: must not contain "@"`},
		{"an id with a space", []admin.Row{row("s3cret x", "x@acme.test")}, "line 2: id: must be 1 to 255"},
		{"an id of a removed user", []admin.Row{row("gone", "x@acme.test")}, "line 2: id: was that of a user who is removed"},
		{"a role", []admin.Row{row("x", "x@acme.test", func(r *admin.Row) { r.Roles = &[]string{"editor", "s3cret"} })}, "line 2: roles: each must be registered (registered: admin, editor)"},
		{"everybody's role", []admin.Row{row("x", "x@acme.test", func(r *admin.Row) { r.Roles = &[]string{"user"} })}, "line 2: roles: each must be registered"},
		{"a long group", []admin.Row{row("x", "x@acme.test", func(r *admin.Row) { r.Groups = &[]string{strings.Repeat("s3cret", 50)} })}, "line 2: groups: each must be"},
		{"a group that a source keeps", []admin.Row{row("x", "x@acme.test", func(r *admin.Row) { r.Groups = &[]string{"Sales", "Kept s3cret"} })}, "line 2: groups: one who comes or goes is kept by a source"},
		{"an issuer", []admin.Row{row("x", "x@acme.test", identity("s3cret", "x"))}, "line 2: identities.iss: must be a URL"},
		{"two identities at one issuer", []admin.Row{row("x", "x@acme.test", identity(corp, "s3cret"), identity(corp, "2"))}, "line 2: identities: at most one at each issuer"},
		{"an address of who is there", []admin.Row{row("x", "THERE@acme.test")}, "line 2: email: is that of another user who is there"},
		{"an identity of who is there", []admin.Row{row("x", "x@acme.test", identity(corp, "there"))}, "line 2: identities: is that of another user who is there"},
		{"who is there and differs", []admin.Row{row("there", "there@acme.test", func(r *admin.Row) { r.Name = new("s3cret") })}, "line 2: name: differs from the user who is there"},
		{"an id twice", []admin.Row{row("x", "x@acme.test"), row("x", "y@acme.test")}, "line 3: id: is on line 2 already"},
		{"an address twice", []admin.Row{row("x", "x@acme.test"), row("y", "X@acme.test")}, "line 3: email: is on line 2 already"},
		{"an identity twice", []admin.Row{row("x", "x@acme.test", identity(corp, "s3cret")), row("y", "y@acme.test", identity(corp, "s3cret"))}, "line 3: identities: is on line 2 already"},
		{"somebody by id and by address", []admin.Row{row("there", "there@acme.test"), row("", "there@acme.test")}, "line 3: email: is on line 2 already"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(b.entries())
			got, err := b.Import(t.Context(), rows(append([]admin.Row{row("good", "good@acme.test")}, tt.rows...)...), admin.ImportConfig{})
			var wrong *admin.ImportError
			if !errors.As(err, &wrong) || len(wrong.Rows) != 1 || !strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v, want %q and nothing of the row", err, tt.want)
			}
			if _, err := b.st.Get(t.Context(), "good"); !errors.Is(err, directory.ErrNotFound) || got != (admin.Imported{}) || len(b.entries()) != before {
				t.Errorf("got %+v, %v, %d entries more: want nobody imported", got, err, len(b.entries())-before)
			}
		})
	}
}

// All that is wrong with a row is told at once, each column once by its first rule, in the file's names, and nothing of what it holds.
func TestImportTellsAll(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.imports(admin.ImportConfig{}, row("there", "there@acme.test", func(r *admin.Row) {
		r.Identities, r.Attributes = []oauth.Party{{Issuer: corp, Subject: "there"}}, map[string]string{"gone": "x", "kept": "x"}
	}), row("gone", "gone@acme.test"))
	if _, err := b.DeleteUser(t.Context(), "gone"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("s3cret", 1000)
	bad := func(r *admin.Row) {
		r.Organisation, r.Groups, r.Roles = new("s3cret\a"), &[]string{long}, &[]string{"s3cret"}
		r.Attributes = map[string]string{"city": long, "fine": "x", "s3cret\a": "x", "town": long}
		r.Identities = []oauth.Party{{Issuer: "s3cret", Subject: "x"}, {Issuer: other, Subject: "s3cret x"}}
		r.Unread = []*admin.RowError{{Line: 3, Column: "ENABLED", Rule: "must be true or false"}, {Line: 3, Column: "NAME", Rule: "must be UTF-8"}}
	}
	upper := func(column string) string { return strings.ToUpper(column) }
	const registered = "each must be registered (registered: admin, editor)"
	for _, tt := range []struct {
		name string
		rows []admin.Row
		want []string // line and column
		rule string   // what the last says
	}{
		{"a new one", []admin.Row{row("x", "x@acme.test"), {ID: "s3cret @", Email: new("s3cret"), Name: new(" "), Groups: &[]string{" "}, Roles: &[]string{"s3cret"}}},
			[]string{"2 EMAIL", "2 ID", "2 NAME", "2 ROLES"}, registered},
		{"with parts that could not be read", []admin.Row{row("x", "x@acme.test"), row("y", "y@acme.test"), row("z", "z@acme.test", bad)},
			[]string{"3 ENABLED", "3 NAME", "3 ORGANISATION", "3 GROUPS", "3 ROLES", "3 ATTRIBUTES.CITY", "3 ATTRIBUTES", "3 ATTRIBUTES.TOWN", "3 IDENTITIES.SUB", "3 IDENTITIES.ISS"},
			"must be a URL without query or fragment, exactly as the iss claim has it"},
		{"somebody who was removed", []admin.Row{{ID: "gone", Roles: &[]string{"s3cret"}}}, []string{"1 ID", "1 ROLES"}, registered},
		{"nobody at all", []admin.Row{{Organisation: new("acme"), Roles: &[]string{"s3cret"}}}, []string{"1 ID", "1 ROLES"}, registered},
		{"what another has", []admin.Row{row("x", "there@acme.test", func(r *admin.Row) { r.Identities = []oauth.Party{{Issuer: corp, Subject: "there"}} })},
			[]string{"1 EMAIL", "1 IDENTITIES"}, "is that of another user who is there"},
		{"what an earlier line has", []admin.Row{row("x", "x@acme.test"), row("x", "x@acme.test", func(r *admin.Row) { r.Roles = &[]string{"s3cret"} })},
			[]string{"2 ROLES", "2 EMAIL", "2 ID"}, "is on line 1 already"},
		{"who is there by another column", []admin.Row{{ID: "there"}, {Email: new("there@acme.test")}}, []string{"2 EMAIL"}, "is on line 1 already"},
		{"who gave an address away", []admin.Row{row("there", "new@acme.test"), {Email: new("there@acme.test")}},
			[]string{"1 EMAIL", "2 EMAIL"}, "is on line 1 already"},
		{"who differs", []admin.Row{{ID: "there", Email: new("t@acme.test"), Name: new("T"), Organisation: new("o"), Groups: &[]string{"g"}, Roles: &[]string{"editor"},
			Enabled: new(false), Protected: new(true), Attributes: map[string]string{"gone": "", "kept": "x", "new": "x"}, Identities: []oauth.Party{{Issuer: corp, Subject: "x"}}}},
			[]string{"1 EMAIL", "1 NAME", "1 ORGANISATION", "1 GROUPS", "1 ROLES", "1 ENABLED", "1 PROTECTED", "1 IDENTITIES", "1 ATTRIBUTES.GONE", "1 ATTRIBUTES.NEW"},
			"differs from the user who is there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := b.Import(t.Context(), rows(tt.rows...), admin.ImportConfig{Column: upper})
			var wrong *admin.ImportError
			if !errors.As(err, &wrong) || strings.Contains(err.Error(), "s3cret") {
				t.Fatalf("got %v, want what is wrong and nothing of the rows", err)
			}
			var got []string
			for _, e := range wrong.Rows {
				got = append(got, fmt.Sprint(e.Line, " ", e.Column))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" || wrong.Rows[len(wrong.Rows)-1].Rule != tt.rule {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// A row may have any number of columns: no more than a screen is told of one.
func TestImportTellsSomeOfARow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	wide := map[string]string{}
	for i := range 1000 {
		wide[fmt.Sprint("a", i)] = "\a"
	}
	_, err := b.Import(t.Context(), rows(row("x", "x@acme.test", func(r *admin.Row) { r.Attributes = wide }), row("y", "none")), admin.ImportConfig{})
	var wrong *admin.ImportError
	if !errors.As(err, &wrong) || len(wrong.Rows) != 20 || wrong.More != 1 {
		t.Errorf("got %v, want 20 of the one row and that there is one more", err)
	}
}

func TestImportTellsSome(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := crowd(450)
	for i := range list {
		if i%10 == 3 {
			list[i].Email = new("none")
		}
	}
	list[1].ID = list[0].ID
	_, err := b.Import(t.Context(), rows(list...), admin.ImportConfig{})
	var wrong *admin.ImportError
	if !errors.As(err, &wrong) || len(wrong.Rows) != 20 || wrong.More != 46-20 || wrong.Rows[0].Line != 2 || wrong.Rows[19].Line != 184 {
		t.Fatalf("got %v, want the first 20 of 46, from line 2 to 184", err)
	}
	if !strings.HasSuffix(err.Error(), "\nand 26 more") {
		t.Errorf("got %q, want it to tell how many more", err)
	}
}

func TestImportUpdate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		edit   func(*admin.Row)
		kinds  []audit.Kind
		end    impersonation.EndReason
		logins bool
	}{
		{"a name", func(r *admin.Row) { r.Name = new("John II") }, []audit.Kind{audit.KindUserChange}, "", false},
		{"an address", func(r *admin.Row) { r.Email = new("j2@acme.test") }, []audit.Kind{audit.KindUserChange}, "", false},
		{"a group", func(r *admin.Row) { r.Groups = &[]string{"new"} }, []audit.Kind{audit.KindUserRole}, impersonation.EndChanged, false},
		{"the organisation", func(r *admin.Row) { r.Organisation = new("globex") }, []audit.Kind{audit.KindUserRole}, impersonation.EndChanged, false},
		{"protection", func(r *admin.Row) { r.Protected = new(true) }, []audit.Kind{audit.KindUserRole}, impersonation.EndChanged, false},
		{"an attribute", func(r *admin.Row) { r.Attributes = map[string]string{"a": "b"} }, []audit.Kind{audit.KindUserChange}, impersonation.EndChanged, false},
		{"disabled", func(r *admin.Row) { r.Enabled = new(false) }, []audit.Kind{audit.KindUserDisable}, impersonation.EndDisabled, true},
		{"one more identity", func(r *admin.Row) { r.Identities = []oauth.Party{{Issuer: other, Subject: "1"}} }, []audit.Kind{audit.KindUserChange, audit.KindUserLink}, "", false},
		{"another identity", func(r *admin.Row) { r.Identities = []oauth.Party{{Issuer: corp, Subject: "2"}} },
			[]audit.Kind{audit.KindUserChange, audit.KindUserUnlink, audit.KindUserLink}, impersonation.EndChanged, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.imports(admin.ImportConfig{}, row("john", "john@acme.test", func(r *admin.Row) { r.Identities = []oauth.Party{{Issuer: corp, Subject: "1"}} }))
			john, err := b.User(t.Context(), "john")
			if err != nil {
				t.Fatal(err)
			}
			sid, l, consents := b.session(b.user("ann@acme.test"), john, "app"), b.login(john), b.consents(john)
			before := len(b.entries())
			r := admin.Row{ID: "john"}
			tt.edit(&r)
			if got, want := b.imports(admin.ImportConfig{Update: true}, r), (admin.Imported{Rows: 1, Changed: 1, Line: 1}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
			var kinds []audit.Kind
			for _, e := range b.entries()[:len(b.entries())-before] {
				if e.Kind != audit.KindEnd {
					kinds = append(kinds, e.Kind)
				}
			}
			slices.Reverse(kinds)
			if diff := cmp.Diff(tt.kinds, kinds); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			if why := b.endReason(sid); why != tt.end {
				t.Errorf("session: got %q, want %q", why, tt.end)
			}
			if l, err := b.st.Login(t.Context(), l.ID); err != nil || l.Ended.IsZero() == tt.logins {
				t.Errorf("login: got %v, %v, want it ended: %t", l.Ended, err, tt.logins)
			}
			if tt.end == impersonation.EndDisabled {
				consents = consents[2:]
			}
			b.wantConsents(consents...)
			if got := b.imports(admin.ImportConfig{Update: true}, r); got.Same != 1 {
				t.Errorf("again: got %+v, want it the same", got)
			}
		})
	}
}

// Users whose lists have the same in another order, and columns that a file does not have, are no change.
func TestImportLeavesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	u := directory.User{ID: "u", Email: "u@acme.test", Name: "U", Groups: []string{"z", "a"}, Roles: []string{"no longer registered"}, Enabled: true, Protected: true,
		Attributes: map[string]string{"a": "b"}, Identities: []oauth.Party{{Issuer: corp, Subject: "1"}}, Created: b.Now().UTC(), Updated: b.Now().UTC()}
	if err := b.st.CreateUser(t.Context(), store.UserWrite{User: u}); err != nil {
		t.Fatal(err)
	}
	for _, r := range []admin.Row{{ID: "u"}, {Email: new("U@ACME.test")}, {ID: "u", Groups: &[]string{"a", "z"}}, {ID: "u", Attributes: map[string]string{"a": "b", "c": ""}}} {
		if got := b.imports(admin.ImportConfig{}, r); got.Same != 1 {
			t.Errorf("%+v: got %+v, want it the same", r, got)
		}
	}
}

func TestImportDryRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if got, want := b.imports(admin.ImportConfig{DryRun: true}, crowd(3)...), (admin.Imported{Rows: 3, Added: 3, Line: 3}); got != want || len(b.entries()) != 0 {
		t.Errorf("got %+v and %d entries, want %+v and none", got, len(b.entries()), want)
	}
}

// An import that stops at some row says exactly what it wrote, and goes on from there when it is run again.
func TestImportGoesOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := crowd(1000)
	ctx, cancel := context.WithCancel(t.Context())
	c := admin.ImportConfig{Progress: func(p admin.ImportProgress) {
		if p.Step == admin.ImportImporting && p.Rows >= 400 {
			cancel()
		}
	}}
	got, err := b.Import(ctx, rows(list...), c)
	if !errors.Is(err, context.Canceled) || got != (admin.Imported{Rows: 400, Added: 400, Line: 400}) {
		t.Fatalf("got %+v, %v, want 400 rows", got, err)
	}
	for i, want := range map[int]bool{399: true, 400: false} {
		if _, err := b.st.Get(t.Context(), list[i].ID); (err == nil) != want {
			t.Errorf("row %d: got %v, want it there: %t", i+1, err, want)
		}
	}
	if got, want := b.imports(admin.ImportConfig{}, list...), (admin.Imported{Rows: 1000, Added: 600, Same: 400, Line: 1000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// slow is a store whose batches take a while: whoever waits for one is told.
type slow struct {
	store.Store
	begun chan struct{}
	end   chan struct{}
}

func (s slow) PutUsers(ctx context.Context, writes []store.UserWrite) error {
	s.begun <- struct{}{}
	<-s.end
	return s.Store.PutUsers(ctx, writes)
}

// What is interrupted in the middle of a batch ends behind it, and counts it.
func TestImportEndsItsBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	s := slow{b.st, make(chan struct{}), make(chan struct{})}
	b.Store = s
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.begun
		cancel()
		close(s.end)
	}()
	got, err := b.Import(ctx, rows(crowd(500)...), admin.ImportConfig{})
	if !errors.Is(err, context.Canceled) || got != (admin.Imported{Rows: 200, Added: 200, Line: 200}) {
		t.Errorf("got %+v, %v, want the 200 of the first batch", got, err)
	}
	for id, want := range map[string]bool{"u199": true, "u200": false} {
		if _, err := b.st.Get(t.Context(), id); (err == nil) != want {
			t.Errorf("%s: got %v, want them there: %t", id, err, want)
		}
	}
}

func TestImportProgress(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var got []admin.ImportProgress
	b.imports(admin.ImportConfig{Progress: func(p admin.ImportProgress) { got = append(got, p) }}, crowd(450)...)
	const checking, importing = admin.ImportChecking, admin.ImportImporting
	want := []admin.ImportProgress{{checking, 200, 0}, {checking, 400, 0}, {checking, 450, 0}, {importing, 200, 450}, {importing, 400, 450}, {importing, 450, 450}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Who takes an address between the check and the write stops the import before the row that wants it.
func TestImportConflict(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := crowd(600)
	taken := false
	c := admin.ImportConfig{Progress: func(p admin.ImportProgress) {
		if p.Step == admin.ImportImporting && !taken {
			taken = true
			b.user("u333@acme.test")
		}
	}}
	got, err := b.Import(t.Context(), rows(list...), c)
	var wrong *admin.ImportError
	if !errors.As(err, &wrong) || err.Error() != "line 334: email: is that of another user who is there" || got != (admin.Imported{Rows: 200, Added: 200, Line: 200}) {
		t.Fatalf("got %+v, %v, want 200 rows and line 334", got, err)
	}
	if _, err := b.st.Get(t.Context(), "u200"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("u200: got %v, want nobody of the batch", err)
	}
}

// Two imports of one file at once import everybody once.
func TestImportTwiceAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t)
	list := crowd(1000)
	type result struct {
		got admin.Imported
		err error
	}
	results := make(chan result)
	for range 2 {
		go func() {
			got, err := b.Import(t.Context(), rows(list...), admin.ImportConfig{})
			results <- result{got, err}
		}()
	}
	one, two := <-results, <-results
	if one.err != nil || two.err != nil || one.got.Added+two.got.Added != 1000 {
		t.Errorf("got %+v and %+v, want a thousand added together", one, two)
	}
}

// What cannot be read is told with the rest; what ends the file ends the import.
func TestImportUnread(t *testing.T) {
	t.Parallel()
	b := setup(t)
	boom := errors.New("boom")
	with := func(err error) iter.Seq2[admin.Row, error] {
		return func(yield func(admin.Row, error) bool) {
			if !yield(row("a", "a@acme.test"), nil) || !yield(admin.Row{}, err) {
				return
			}
			yield(row("b", "none"), nil)
		}
	}
	_, err := b.Import(t.Context(), with(&admin.RowError{Line: 2, Rule: "is no row"}), admin.ImportConfig{})
	var wrong *admin.ImportError
	if !errors.As(err, &wrong) || len(wrong.Rows) != 2 {
		t.Errorf("got %v, want both rows", err)
	}
	if _, err := b.Import(t.Context(), with(boom), admin.ImportConfig{}); !errors.Is(err, boom) {
		t.Errorf("got %v, want what the file gave", err)
	}
	if len(b.entries()) != 0 {
		t.Error("somebody was imported")
	}
}
