package transfer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/transfer"
	"github.com/understudy-id/understudy/oauth/tokens"
)

var tokensErrKey = tokens.ErrKey

// tryTarget runs a statement as the superuser.
func (s *scene) tryTarget(statement string) error {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.db.Superuser)
	s.ok(err)
	defer conn.Close(context.WithoutCancel(s.Context()))
	_, err = conn.Exec(s.Context(), statement)
	return err
}

// places are where the problems of err are, with the first words of what is wrong.
func (s *scene) places(err error, changed bool) (out []string) {
	s.Helper()
	var found *transfer.ProblemsError
	if !errors.As(err, &found) {
		s.Fatalf("got %v, want problems", err)
	}
	if found.Changed != changed || found.Count != len(found.Problems) {
		s.Errorf("got changed %v and %d of %d problems, want %v and all", found.Changed, len(found.Problems), found.Count, changed)
	}
	if strings.Contains(err.Error(), "hush") {
		s.Errorf("the error has a value in it: %v", err)
	}
	for _, p := range found.Problems {
		out = append(out, p.Table+" "+p.Key+" "+p.Column+": "+p.Rule.Error())
	}
	return out
}

// Values that Postgres cannot keep are all found before anything is changed, and named without the value.
func TestValuesThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.inSource(
		`INSERT INTO jti_seen (space, value) VALUES ('a' || char(0), 'v')`,
		`UPDATE client SET name = 'hush' || char(0) WHERE id = 'app'`,
		`UPDATE client SET redirect_uris = '["hush\u0000"]' WHERE id = 'other'`,
		`UPDATE client SET scopes = '{"hush":"x"}' WHERE id = 'gone'`,
		`UPDATE app_user SET name = CAST(x'68757368ff' AS TEXT) WHERE id = 'ann'`,
		`UPDATE app_user SET enabled = 2 WHERE id = 'jane'`,
		`UPDATE app_user SET attributes = '{"hush\u0000":"x"}' WHERE id = 'john'`,
		`UPDATE sign_in_attempt SET counting = '["hush"]' WHERE key = (SELECT min(key) FROM sign_in_attempt)`,
		`INSERT INTO authz_version (organisation, n) VALUES ('hash' || replace(hex(zeroblob(1400)), '0', 'x'), 1)`,
		`INSERT INTO audit_entry (id, time_at, kind, actor, subject, client, session, canonical) VALUES ('aud_hushed', 1, 'x', '', '', '', '', x'00')`,
	)
	_, err := transfer.Copy(t.Context(), s.config())
	got := s.places(err, false)
	for i, want := range []string{
		`client "app" name: holds a NUL character`, `client "gone" scopes: is not a list`, `client "other" redirect_uris: holds a NUL character`,
		`app_user "ann" name: is not UTF-8`, `app_user "jane" enabled: is neither 0 nor 1`, `app_user "john" attributes: holds a NUL character`,
		`jti_seen "a\x00", "v" space: holds a NUL character`, `authz_version "hashxx`, `audit_entry `, `sign_in_attempt `,
	} {
		if i >= len(got) || !strings.HasPrefix(got[i], want) {
			t.Errorf("problem %d: got %q, want %q…", i, got[min(i, len(got)-1)], want)
		}
	}
	if len(got) != 10 {
		t.Errorf("got %d problems:\n%s", len(got), strings.Join(got, "\n"))
	}
	s.untouched("", "")
}

// A backslash before a u is two characters of text and no escape.
func TestTextThatLooksEscaped(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.inSource(`UPDATE client SET redirect_uris = '["\\u0000", "\\\\u0000", "\ud800", "\u00e9", "\"", ""]', serves = 'null' WHERE id = 'app'`,
		`UPDATE app_user SET attributes = '{"b":"2","a":"\u003c1\u2028"}' WHERE id = 'ann'`,
		`UPDATE policy_version SET document = x''`, `INSERT INTO epoch (scope, id, n, killed_by, reason) VALUES ('', 'Z', 9223372036854775807, 'é', '')`)
	s.copy()
	s.same()
	s.inSource(`UPDATE installation SET marker = ''`)
	s.sameByStoreOf(issuer)
}

// Whatever differs after a copy is found, and the target is not served.
func TestDifferences(t *testing.T) {
	t.Parallel()
	s := newScene(t, 3)
	s.interrupt(func(p transfer.Progress) bool { return p.Step == transfer.Comparing && p.Table == "client" })
	const unguarded = `SET session_replication_role = replica; `
	s.inTarget(unguarded+`UPDATE client SET name = 'hush', created_at = NULL WHERE id = 'app'`,
		unguarded+`UPDATE app_user SET roles = '["admin","hush"]' WHERE id = 'ann'`,
		unguarded+`DELETE FROM user_group WHERE name = '<&>'`,
		unguarded+`INSERT INTO jti_seen (space, value) VALUES ('a', 'b')`,
		unguarded+`UPDATE audit_entry SET canonical = 'hush' WHERE seq = 1`,
		unguarded+`UPDATE installation SET name = 'hush'`)
	want := []string{
		`installation 1 : differs in the copy`,
		`client "app" name: differs in the copy`, `client "app" created_at: differs in the copy`, `app_user "ann" roles: differs in the copy`,
		`user_group "ann", "<&>" : is missing in the copy`, `jti_seen "a", "b" : is in the copy and not in the source`,
		`audit_entry 1 canonical: differs in the copy`,
		`audit_entry 1 canonical: does not say what the columns beside it say: the entry was changed after it was written`,
	}
	_, err := transfer.Copy(t.Context(), s.config())
	// A row that is gone from the middle is not seen by the copy that goes on; the comparison is what finds it.
	if diff := cmp.Diff(want, s.places(err, true)); diff != "" {
		t.Errorf("Copy (-want +got):\n%s", diff)
	}
	s.wantMarks(store.Copying, store.Filling)
	s.inTarget(unguarded + `UPDATE installation SET name = '` + s.nameOf() + `'`)
	_, err = transfer.Verify(t.Context(), s.config())
	if diff := cmp.Diff(want[1:], s.places(err, true)); diff != "" {
		t.Errorf("Verify (-want +got):\n%s", diff)
	}
	s.wantMarks(store.Copying, store.Filling)
}

func (s *scene) nameOf() (name string) {
	s.Helper()
	s.ok(s.sourceDB().QueryRowContext(s.Context(), `SELECT name FROM installation`).Scan(&name))
	return name
}

// Verify wants two sides of one copy.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	if _, err := transfer.Verify(t.Context(), s.config()); !errors.Is(err, transfer.ErrNotMarked) {
		t.Errorf("got %v, want ErrNotMarked", err)
	}
	s.untouched("", "")
}

// No more than the first problems are named, and all are counted.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	s.inSource(`INSERT INTO jti_seen (space, value) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT i || char(0), '' FROM n`)
	_, err := transfer.Copy(t.Context(), s.config())
	var found *transfer.ProblemsError
	if !errors.As(err, &found) || found.Count != 50 || len(found.Problems) != 20 || !strings.HasSuffix(err.Error(), "\nand more") {
		t.Errorf("got %v, want the first 20 of 50", err)
	}
}
