package transfer_test

import (
	"os"
	"testing"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// BenchmarkCopy is a whole copy, most of it trail: checked, written and compared.
func BenchmarkCopy(b *testing.B) {
	entries := 20_000
	if os.Getenv("UNDERSTUDY_LONG") == "1" {
		entries = 200_000
	}
	s := newScene(b, entries)
	var rows int64
	for b.Loop() {
		rows += s.copy().Total()
		b.StopTimer()
		s.ok(transfer.Reopen(b.Context(), s.path, true))
		s.db = postgrestest.Fresh(b)
		b.StartTimer()
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
