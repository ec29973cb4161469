// Package sqlite keeps a [store.Store] in one SQLite file. Start with [Open]; a server takes [Lock] first, so that a
// second one on the same file is refused, while a command line does not and may run beside it. The driver is pure Go.
//
// All writes go through one goroutine that commits those waiting together, with synchronous=FULL: what a write
// answers nil for has reached the disk. Reads have connections of their own and see every write that was answered.
//
// The package decides nothing, keeps no cache and hands out no transaction. It runs on Unix, on a local disk: SQLite's
// write-ahead log needs shared memory, which network file systems lack.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	_ "modernc.org/sqlite" // the driver

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/store"
)

// Config says where the file is.
type Config struct {
	// Path of the database. Must be set. Beside it appear Path-wal, Path-shm and Path.reserve.
	Path string
	// Migrate makes the file if there is none, with mode 0600, and brings its schema up to date. Otherwise Open refuses
	// a schema that is not current.
	Migrate bool
	// Reserve is the size in bytes of the file that is given up to let stops commit on a full disk. Zero means 8 MiB,
	// negative keeps none.
	Reserve int64
	// Readers is how many reads can run at once. Zero means 4.
	Readers int
}

// Store is a store.Store in a SQLite file. It is safe for concurrent use.
type Store struct {
	db    *sql.DB // one connection, the writer's
	reads *sql.DB
	write *writer
	read  *readers

	closing sync.Once
	closed  error
}

var _ store.Store = (*Store)(nil)

// Open opens the file of c. The caller closes the Store. An error says what is wrong: ErrCorrupt, ErrReadOnly, ErrBusy after five
// seconds, migrations.ErrOlder, migrations.ErrNewer, one of the file system, or something else.
func Open(ctx context.Context, c Config) (*Store, error) {
	path, err := prepare(c)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	s := new(Store)
	if err := s.open(ctx, path, c); err != nil {
		s.closeFiles()
		return nil, fmt.Errorf("opening database %s: %w", path, refused(err))
	}
	return s, nil
}

// prepare sees to it that the file is there, readable by nobody else: SQLite gives -wal and -shm the mode of the file.
func prepare(c Config) (string, error) {
	if c.Path == "" {
		return "", errors.New("no path")
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return "", err
	}
	flags := os.O_RDWR
	if c.Migrate {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, 0o600)
	if errors.Is(err, os.ErrNotExist) && !c.Migrate {
		return "", fmt.Errorf("there is none at %s: %w", path, os.ErrNotExist)
	}
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

func (s *Store) open(ctx context.Context, path string, c Config) (err error) {
	if err := look(ctx, path, c.Migrate); err != nil {
		return err
	}
	if s.db, err = sql.Open("sqlite", source(path, "_txlock=immediate&_journal_mode=WAL&_synchronous=FULL&_pragma=cache_size(-8192)&_pragma=recursive_triggers(1)&_pragma=temp_store(2)&_pragma=wal_autocheckpoint(8192)")); err != nil {
		return err
	}
	s.db.SetMaxOpenConns(1) // SQLite has one writer at a time: a second connection could only wait for the first
	if c.Migrate {
		if err := migrations.Apply(ctx, s.db, migrations.SQLite); err != nil {
			return err
		}
	}
	if err := checkSchema(ctx, s.db); err != nil {
		return err
	}
	if s.reads, err = sql.Open("sqlite", source(path, "_query_only=1")); err != nil {
		return err
	}
	s.read = newReaders(s.reads, c.Readers)
	s.write, err = newWriter(ctx, s.db, newReserve(path, c.Reserve))
	return err
}

// look checks the file before anything is set that lasts in it: it may be somebody else's. A schema that will be migrated need
// only be readable: goose would try again and again where nothing is.
func look(ctx context.Context, path string, migrate bool) error {
	db, err := sql.Open("sqlite", source(path, ""))
	if err != nil {
		return err
	}
	if migrate {
		var tables int
		err = db.QueryRowContext(ctx, hasSchema).Scan(&tables)
	} else {
		err = checkSchema(ctx, db)
	}
	return errors.Join(err, db.Close())
}

// source is the driver's name for the file: a URI, in which a path may hold any character.
func source(path, options string) string {
	u := url.URL{Scheme: "file", Path: path, RawQuery: "_busy_timeout=5000&_foreign_keys=1&_dqs=0&" + options}
	return u.String()
}

// Close waits for the writes that were taken, then closes. Later calls of any method give store.ErrUnavailable.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.write.close()
		s.read.close()
		s.closed = s.closeFiles()
	})
	return s.closed
}

func (s *Store) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{s.reads, s.db} { // the writer last: its close folds the log into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}
