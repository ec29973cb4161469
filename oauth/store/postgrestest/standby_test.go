package postgrestest_test

import (
	"testing"

	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

// A standby has what its primary has committed, also once that is dead, and takes writes when it is promoted and not before.
func TestStandby(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two servers and kills one")
	}
	t.Parallel()
	primary := postgrestest.Start(t)
	db := primary.Fresh(t)
	standby := primary.Standby(t)
	primary.Synchronous(t)
	const update = `UPDATE installation SET marker = `
	if _, err := connect(t, db.Owner).Exec(t.Context(), update+`'kept'`); err != nil {
		t.Fatal(err)
	}
	primary.Kill()
	db = standby.At(t, db)
	c := connect(t, db.Owner)
	if _, err := c.Exec(t.Context(), update+`'lost'`); err == nil {
		t.Error("a standby takes writes")
	}
	standby.Promote(t)
	var marker string
	if err := c.QueryRow(t.Context(), `SELECT marker FROM installation`).Scan(&marker); err != nil || marker != "kept" {
		t.Errorf("got %q, %v; want what was committed", marker, err)
	}
	if _, err := c.Exec(t.Context(), update+`'new'`); err != nil {
		t.Errorf("once promoted: %v", err)
	}
}
