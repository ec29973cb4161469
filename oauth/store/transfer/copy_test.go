package transfer_test

import (
	"database/sql"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// A copy is the installation: the store on either side gives the same.
func TestCopy(t *testing.T) {
	t.Parallel()
	s := newScene(t, 12_000) // more than two batches
	var steps []transfer.Step
	c := s.config()
	c.Progress = func(p transfer.Progress) {
		if p.Done > p.Total || p.Total < 12_000 {
			t.Errorf("got %d rows of %d", p.Done, p.Total)
		}
		if len(steps) == 0 || steps[len(steps)-1] != p.Step {
			steps = append(steps, p.Step)
		}
	}
	r, err := transfer.Copy(t.Context(), c)
	s.ok(err)
	for _, n := range r.Tables {
		if n.Rows == 0 {
			t.Errorf("there was no row in %s to copy", n.Table)
		}
	}
	if want := []transfer.Step{transfer.Checking, transfer.Writing, transfer.Comparing}; !cmp.Equal(steps, want) {
		t.Errorf("got the steps %v, want %v", steps, want)
	}
	s.wantMarks(store.Moved, "")
	s.same()
	s.sameByStoreOf(issuer)
	again := s.copy()
	if !again.Already || again.Copy != r.Copy {
		t.Errorf("again: got %+v, want the same copy and nothing done", again)
	}
}

// sameByStoreOf reads both sides as a server would.
func (s *scene) sameByStoreOf(issuer string) {
	s.Helper()
	lite := s.lite()
	defer lite.Close()
	post, err := postgres.Open(s.Context(), postgres.Config{URL: s.db.Application})
	s.ok(err)
	defer post.Close()
	for name, read := range map[string]func(store.Store) (any, error){
		"keys":    func(st store.Store) (any, error) { return st.SigningKeys(s.Context()) },
		"clients": func(st store.Store) (any, error) { return st.ListClients(s.Context()) },
		"kills":   func(st store.Store) (any, error) { return st.Kills(s.Context()) },
		"outbox":  func(st store.Store) (any, error) { return st.Outbox(s.Context(), 0, 1000) },
		"streams": func(st store.Store) (any, error) { return st.Streams(s.Context(), "") },
		"user":    func(st store.Store) (any, error) { return st.ByEmail(s.Context(), "ann@acme.test") },
		"secrets": func(st store.Store) (any, error) { return st.Credentials(s.Context(), "ann") },
		"sessions": func(st store.Store) (any, error) {
			page, _, err := st.Sessions(s.Context(), store.SessionQuery{})
			return page, err
		},
		"search": func(st store.Store) (any, error) { // by what each side derives for itself
			page, _, err := st.Search(s.Context(), directory.Query{AnyOrganisation: true, Text: "an", Limit: 10})
			return page, err
		},
		"trail": func(st store.Store) (any, error) { return trail(s, st) },
	} {
		want, err1 := read(lite)
		got, err2 := read(post)
		if err := errors.Join(err1, err2); err != nil {
			s.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(want, got) { // a difference of thousands takes long to find and is rarely there
			s.Errorf("%s: SQLite has - and Postgres has +:\n%s", name, cmp.Diff(want, got))
		}
	}
	for _, v := range chaos.Check(s.Context(), post, chaos.Options{Issuer: issuer}) {
		s.Error(v)
	}
}

// trail reads it page by page. The cursors are the same on both sides.
func trail(s *scene, st store.Store) (any, error) {
	var all []store.StoredEntry
	cursors := []string{}
	for after := ""; ; {
		page, next, err := st.Entries(s.Context(), store.EntryQuery{After: after, Limit: 1000})
		if all = append(all, page...); err != nil || next == "" {
			return []any{all, cursors}, err
		}
		cursors, after = append(cursors, next), next
	}
}

// Numbers that the file has given out are not given out again, also those of rows that are gone.
func TestCountsOn(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.inSource(`INSERT INTO outbox (position, kind, session, actor, subject, client, reason) VALUES (1000, '', '', '', '', '', '')`, `DELETE FROM outbox WHERE position = 1000`)
	s.copy()
	post, err := postgres.Open(t.Context(), postgres.Config{URL: s.db.Application})
	s.ok(err)
	defer post.Close()
	before, _, err := post.Entries(t.Context(), store.EntryQuery{Limit: 1})
	s.ok(err)
	s.record(post, 1)
	after, _, err := post.Entries(t.Context(), store.EntryQuery{Limit: 1})
	s.ok(err)
	if before[0].Seq >= after[0].Seq {
		t.Errorf("the next entry is %d after %d", after[0].Seq, before[0].Seq)
	}
	newest := s.addKey(post)
	if keys, err := post.SigningKeys(t.Context()); err != nil || keys[0].ID != newest {
		t.Errorf("got the keys %+v, %v; want the newest first", keys, err)
	}
	_, err = post.PutPolicy(t.Context(), "v2", nil, recorded(audit.KindPolicy, "", ""))
	s.ok(err)
	if events, err := post.Outbox(t.Context(), 0, 1000); err != nil || events[len(events)-1].Position <= 1000 {
		t.Errorf("got %+v, %v; want an event above position 1000", events[len(events)-1], err)
	}
}

// Every table and column of both schemas is copied, in the types that the copy takes them for.
func TestEverythingIsCopied(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	want := map[string]string{}
	for _, c := range transfer.Columns() {
		want[c.Table+"."+c.Column] = c.Type
	}
	lite := catalogue(s, s.sourceDB(), `SELECT t.name || '.' || c.name, c.type FROM pragma_table_list t, pragma_table_info(t.name) c
		WHERE t.schema = 'main' AND t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name NOT LIKE 'goose_%'
		AND t.name <> 'user_search'`) // which its triggers fill from app_user
	lite["signing_key.seq"] = "INTEGER" // its rowid
	db, err := sql.Open("pgx", s.db.Owner)
	s.ok(err)
	defer db.Close()
	post := catalogue(s, db, `SELECT table_name || '.' || column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT LIKE 'goose_%'`)
	inLite := map[string]string{"text": "TEXT", "integer": "INTEGER", "boolean": "INTEGER", "bytea": "BLOB", "list": "TEXT", "mapping": "TEXT", "numbers": "TEXT"}
	inPost := map[string]string{"text": "text", "integer": "bigint", "boolean": "boolean", "bytea": "bytea", "list": "jsonb", "mapping": "jsonb", "numbers": "ARRAY"}
	for _, side := range []struct {
		name  string
		has   map[string]string
		types map[string]string
	}{{"sqlite", lite, inLite}, {"postgres", post, inPost}} {
		for name, kind := range side.has {
			switch table, _, _ := strings.Cut(name, "."); table {
			case "installation": // taken over, not copied: its name, beside what is each side's own
				continue
			case "user_search": // of SQLite alone, filled by app_user's triggers
				continue
			}
			if got := side.types[want[name]]; got != kind && !(name == "user_group.position" && kind == "integer") {
				t.Errorf("%s has %s of type %s, and it is copied as %q", side.name, name, kind, want[name])
			}
		}
		for name := range want {
			if side.has[name] == "" {
				t.Errorf("%s has no %s", side.name, name)
			}
		}
	}
}

func catalogue(s *scene, db *sql.DB, query string) map[string]string {
	s.Helper()
	rows, err := db.QueryContext(s.Context(), query)
	s.ok(err)
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, kind string
		s.ok(rows.Scan(&name, &kind))
		out[name] = kind
	}
	s.ok(rows.Err())
	if len(out) < 100 {
		s.Fatalf("found %d columns; the query is broken", len(out))
	}
	return out
}
