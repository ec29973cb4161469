package postgres

import (
	"context"
	"runtime"
	"testing"

	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/storetest"
)

// How many connections a process may hold is what the program says, else the URL, else what the machine can use.
func TestPoolSize(t *testing.T) {
	t.Parallel()
	const url = "postgres://u@h/db"
	for _, tt := range []struct {
		c    Config
		want int32
	}{
		{Config{URL: url + "?pool_max_conns=3"}, 3},
		{Config{URL: url + "?pool_max_conns=3", MaxConns: 5}, 5},
		{Config{URL: url}, int32(max(4, 2*runtime.GOMAXPROCS(0)))},
	} {
		parsed, err := parse(tt.c)
		if err != nil {
			t.Fatal(err)
		}
		if got := tune(parsed, tt.c).MaxConns; got != tt.want {
			t.Errorf("%+v: got %d connections, want %d", tt.c, got, tt.want)
		}
	}
}

// However much a search does by the way, it finds all there is, once and in order.
func TestSearchIsComplete(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), Config{URL: postgrestest.Fresh(t).Application})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	efforts, i := []effort{{1, 1}, {1, 5}, {5, 40}, usual}, 0
	storetest.CheckSearch(t, s, func(ctx context.Context, q directory.Query) ([]directory.User, string, error) {
		i++
		return s.search(ctx, q, efforts[i%len(efforts)])
	})
}
