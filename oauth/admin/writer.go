package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
)

// Writer is what one process of an app has told of a session. It counts from 1 on, so a number that is not there never came: it is still kept
// by the app, which tells it when it can, or it is lost. What was lost behind the last number does not show.
type Writer struct {
	Server string `json:"server"` // the client that it is of; "" for the session's own
	Name   string `json:"writer"` // as the process calls itself; "" did not count
	Told   int    `json:"told"`   // how many actions of it are on record
	Last   int64  `json:"last"`   // the largest number
	// Missing are the numbers that never came, and Twice those that came with two things to tell; in order, and not nil.
	Missing []Span  `json:"missing"`
	Twice   []int64 `json:"twice"`
}

// Span is the numbers from First to Last, both among them.
type Span struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// String is "3" or "3-5".
func (s Span) String() string {
	if s.First == s.Last {
		return strconv.FormatInt(s.First, 10)
	}
	return fmt.Sprintf("%d-%d", s.First, s.Last)
}

// Writers tells who has told of the session sid, by client and name, and what is missing. A session of which nothing was told has none.
func Writers(ctx context.Context, trail store.Trail, sid string) ([]Writer, error) {
	numbers := make(map[writer][]int64)
	q := store.EntryQuery{Session: sid, Kind: audit.KindAction, Limit: 1000}
	for {
		page, next, err := trail.Entries(ctx, q)
		if err != nil {
			return nil, fmt.Errorf("reading the actions of a session: %w", err)
		}
		for _, e := range page {
			n, err := strconv.ParseInt(cmp.Or(e.Entry.Fields["seq"], "0"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("reading entry %s: %w", e.Entry.ID, err)
			}
			w := writer{e.Entry.Fields["server"], e.Entry.Fields["writer"]}
			numbers[w] = append(numbers[w], n)
		}
		if q.After = next; next == "" {
			break
		}
	}
	all := []Writer{}
	for w, told := range numbers {
		all = append(all, w.counted(told))
	}
	slices.SortFunc(all, func(a, b Writer) int {
		return cmp.Or(strings.Compare(a.Server, b.Server), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// writer is who counts. A client chooses the names of its own processes, so that nobody fills, or tears, the gaps of another's.
type writer struct{ server, name string }

// counted looks for what is missing. A zero is what was not counted.
func (by writer) counted(told []int64) Writer {
	w := Writer{Server: by.server, Name: by.name, Told: len(told), Missing: []Span{}, Twice: []int64{}}
	slices.Sort(told)
	for _, n := range told {
		switch {
		case n == 0:
		case n == w.Last:
			if len(w.Twice) == 0 || w.Twice[len(w.Twice)-1] != n {
				w.Twice = append(w.Twice, n)
			}
		case n > w.Last+1:
			w.Missing = append(w.Missing, Span{w.Last + 1, n - 1})
		}
		w.Last = n
	}
	return w
}
