package sqlite_test

import (
	"cmp"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// populate fills a database with so many people.
func populate(t testing.TB, path string, n int) {
	t.Helper()
	ok := func(_ any, err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=cache_size(-262144)&_synchronous=OFF")
	ok(nil, err)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	ok(nil, err)
	defer tx.Rollback()
	insert, err := tx.PrepareContext(t.Context(), `INSERT INTO app_user (id, email, email_key, name, search_key, organisation, roles, attributes, enabled, protected)
		VALUES (?1, ?2, ?2, ?3, ?4, ?5, '[]', '{}', 1, 0)`)
	ok(nil, err)
	for u := range storetest.Crowd(n) {
		ok(insert.ExecContext(t.Context(), u.ID, u.Email, u.Name, strings.ToLower(u.Name)+"\n"+u.Email, u.Organisation))
	}
	ok(nil, tx.Commit())
}

// BenchmarkSearch is the first page of what people search for. p50-ms and p99-ms are of single searches.
func BenchmarkSearch(b *testing.B) {
	n := 100_000
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		n = 1_000_000
	}
	path := filepath.Join(b.TempDir(), "a.db")
	s := open(b, sqlite.Config{Path: path, Migrate: true, Reserve: -1})
	populate(b, path, n)
	terms := storetest.Terms(2000)
	organisation := ""
	for u := range storetest.Crowd(1) {
		organisation = u.Organisation
	}
	for _, scope := range []directory.Query{{AnyOrganisation: true}, {Organisation: organisation}} {
		b.Run(fmt.Sprintf("users=%d/any=%t", n, scope.AnyOrganisation), func(b *testing.B) {
			var took []time.Duration
			for i := 0; b.Loop(); i++ {
				q := scope
				q.Text = terms[i%len(terms)]
				begun := time.Now()
				if _, _, err := s.Search(b.Context(), q); err != nil {
					b.Fatal(err)
				}
				took = append(took, time.Since(begun))
			}
			quantiles(b, took)
		})
	}
}

func quantiles(b *testing.B, took []time.Duration) {
	slices.SortFunc(took, cmp.Compare[time.Duration])
	for _, q := range []int{50, 99} {
		b.ReportMetric(took[len(took)*q/100].Seconds()*1000, fmt.Sprintf("p%d-ms", q))
	}
}
