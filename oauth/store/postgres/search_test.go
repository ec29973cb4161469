package postgres_test

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// populate fills a database with so many people, and gives it the statistics that it would have after a while.
func populate(t testing.TB, url string, n int) {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	rows := make([][]any, 0, n)
	for u := range storetest.Crowd(n) {
		key := strings.ToLower(u.Name) + "\n" + u.Email
		rows = append(rows, []any{u.ID, u.Email, u.Email, u.Name, key, u.Organisation, "[]", "{}", true, false})
	}
	columns := []string{"id", "email", "email_key", "name", "search_key", "organisation", "roles", "attributes", "enabled", "protected"}
	if _, err := c.CopyFrom(t.Context(), pgx.Identifier{"app_user"}, columns, pgx.CopyFromRows(rows)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), `VACUUM ANALYZE app_user`); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkSearch is the first page of what people search for. p50-ms and p99-ms are of single searches.
func BenchmarkSearch(b *testing.B) {
	n := 100_000
	if os.Getenv("UNDERSTUDY_LONG") != "" {
		n = 1_000_000
	}
	d := postgrestest.Fresh(b)
	populate(b, d.Owner, n)
	s, err := postgres.Open(b.Context(), postgres.Config{URL: d.Application})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
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
