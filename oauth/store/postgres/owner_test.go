package postgres_test

import (
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/store/postgres"
)

func TestMayChangeTrail(t *testing.T) {
	t.Parallel()
	sc := newScene(t)
	sc.run(sc.connect(), `DROP ROLE IF EXISTS may_become_owner; CREATE ROLE may_become_owner LOGIN NOINHERIT IN ROLE owner; GRANT SELECT ON goose_db_version, installation TO may_become_owner`)
	for name, c := range map[string]struct {
		url  string
		want bool
	}{
		"application": {sc.db.Application, false},
		"owner":       {sc.db.Owner, true},
		"superuser":   {sc.db.Superuser, true},
		"member":      {strings.Replace(sc.db.Owner, "user=owner", "user=may_become_owner", 1), true},
	} {
		s := open(t, postgres.Config{URL: c.url})
		if got, err := s.MayChangeTrail(t.Context()); err != nil || got != c.want {
			t.Errorf("%s: got %v, %v; want %v", name, got, err, c.want)
		}
	}
}
