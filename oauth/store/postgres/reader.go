package postgres

import (
	"context"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store"
)

// A reader has a second statement on its way only for so many keys: a statement costs as much as some ten of its keys, so two with
// a few each cost more than one with all. Where the first hangs, those that gather do not all wait for it.
const maxFlights, crowded = 2, 16

// reader reads together what is asked for at the same time: whoever asks while a statement is on its way shares the next one, which
// begins after they asked, and so misses nothing that was committed before. A lone caller waits for nobody.
type reader[K comparable, V any] struct {
	run func(context.Context, []K) (map[K]V, error) // what is not there is left out

	mu     sync.Mutex
	next   *flight[K, V] // gathers; nil if nobody waits
	flying int
}

// flight is one statement.
type flight[K comparable, V any] struct {
	keys  []K
	asked map[K]struct{}
	done  chan struct{} // closed once found and err are there
	found map[K]V
	err   error
}

func newReader[K comparable, V any](run func(context.Context, []K) (map[K]V, error)) *reader[K, V] {
	return &reader[K, V]{run: run}
}

// do gives what is kept under key; store.ErrNotFound. Callers with one key share the value.
func (r *reader[K, V]) do(ctx context.Context, key K) (v V, err error) {
	f := r.join(key)
	select {
	case <-f.done:
	case <-ctx.Done():
		return v, ctx.Err()
	}
	if f.err != nil {
		return v, f.err
	}
	v, ok := f.found[key]
	if !ok {
		return v, store.ErrNotFound
	}
	return v, nil
}

func (r *reader[K, V]) join(key K) *flight[K, V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next == nil {
		r.next = &flight[K, V]{asked: make(map[K]struct{}), done: make(chan struct{})}
	}
	f := r.next
	if _, ok := f.asked[key]; !ok {
		f.asked[key] = struct{}{}
		f.keys = append(f.keys, key)
	}
	if r.flying == 0 || r.flying < maxFlights && len(f.keys) >= crowded {
		r.flying++
		r.next = nil
		go r.fly(f)
	}
	return f
}

// fly runs f and then whatever has gathered meanwhile.
func (r *reader[K, V]) fly(f *flight[K, V]) {
	for f != nil {
		f.found, f.err = r.run(context.Background(), f.keys) // it belongs to no single caller
		close(f.done)
		f = r.land()
	}
}

func (r *reader[K, V]) land() *flight[K, V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.next
	r.next = nil
	if f == nil {
		r.flying--
	}
	return f
}

// readMany runs one statement that reads what many ask for. scan puts one of its rows into found.
func readMany[K comparable, V any](ctx context.Context, s *Store, query string, args []any, scan func(rows pgx.Rows, found map[K]V) error) (found map[K]V, err error) {
	err = s.patiently(ctx, func(ctx context.Context) error {
		found = make(map[K]V)
		return each(ctx, s.pool, query, args, func(rows pgx.Rows) error { return scan(rows, found) })
	})
	return found, err
}

// storable reports whether a column could hold each of the keys. One that none could is not there, and Postgres would refuse
// the whole statement for it: a stranger's, with the others in it.
func storable(keys ...string) bool {
	for _, k := range keys {
		if !utf8.ValidString(k) || strings.IndexByte(k, 0) >= 0 {
			return false
		}
	}
	return true
}
