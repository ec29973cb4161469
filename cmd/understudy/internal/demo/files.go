package demo

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/understudy-id/understudy/cmd/understudy/internal/acme"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// ErrForeign means that a database is somebody's own and not a demo's: nothing was written to it.
var ErrForeign = errors.New("not a demo database")

// marker is on databases whose passwords are public.
const marker = "demo"

// openDatabase takes the issuer's database for this process alone, and makes it where there is none.
func (d *Demo) openDatabase(ctx context.Context, fresh bool) (*sqlite.Store, error) {
	release, err := sqlite.Lock(d.Database)
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, release)
	if err := d.checkFiles(ctx); err != nil {
		return nil, err
	}
	if fresh {
		if err := d.remove(ctx); err != nil {
			return nil, err
		}
	}
	st, err := sqlite.Open(ctx, sqlite.Config{Path: d.Database, Migrate: true, Reserve: -1})
	if err != nil {
		return nil, err
	}
	d.closers = append(d.closers, st.Close)
	return st, st.SetMarker(ctx, marker) // before anything else is in it
}

// checkFiles looks at both databases before either is made, upgraded or removed.
func (d *Demo) checkFiles(ctx context.Context) error {
	if err := checkMarked(ctx, d.Database); err != nil {
		return err
	}
	err := acme.Check(ctx, d.AppDatabase)
	if errors.Is(err, acme.ErrForeign) {
		return fmt.Errorf("%w: %w", ErrForeign, err)
	}
	return err
}

const (
	countTables  = `SELECT count(*) FROM sqlite_schema`
	selectMarker = `SELECT marker FROM installation WHERE id = 1`
	countEntries = `SELECT count(*) FROM audit_entry`
)

// checkMarked reports nil for a database that is a demo's, is empty or is not there, and else ErrForeign. It looks before
// anything is written, an upgrade of the schema included. One without the mark is empty as long as its trail is: no act of
// ours goes unrecorded. A run that was interrupted at its very beginning leaves such a one.
func checkMarked(ctx context.Context, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	u := url.URL{Scheme: "file", Path: abs, RawQuery: "mode=rw&_busy_timeout=5000&_query_only=1"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return err
	}
	defer db.Close()
	var tables, entries int
	var mark string
	if err := db.QueryRowContext(ctx, countTables).Scan(&tables); err == nil && tables == 0 {
		return nil
	}
	err = db.QueryRowContext(ctx, selectMarker).Scan(&mark)
	if err == nil { // or the same would be said twice
		err = db.QueryRowContext(ctx, countEntries).Scan(&entries)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err() // interrupted: nothing is known of the file
	case err != nil:
		return fmt.Errorf("%s: %w: %w", path, ErrForeign, err) // it cannot be read as ours
	case mark == marker || mark == "" && entries == 0:
		return nil
	}
	return fmt.Errorf("%s: %w", path, ErrForeign)
}

// remove removes what an earlier run left. The lock's file stays, as package sqlite wants it.
func (d *Demo) remove(ctx context.Context) error {
	if err := acme.Remove(ctx, d.AppDatabase); err != nil {
		return err
	}
	for _, suffix := range []string{"-wal", "-shm", ".key", ""} {
		if err := os.Remove(d.Database + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("starting anew: %w", err)
		}
	}
	return nil
}

// sealingKeySize is AES-256's.
const sealingKeySize = 32

// sealingKey is the issuer's, in the file beside its database where the other commands look for it too.
func (d *Demo) sealingKey() ([]byte, error) {
	path := d.Database + ".key"
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != sealingKeySize {
		return nil, fmt.Errorf("%s is not a sealing key", path)
	}
	return key, nil
}

// makeKey writes a fresh key, whole or not at all.
func makeKey(path string) ([]byte, error) {
	key := make([]byte, sealingKeySize)
	rand.Read(key) // never fails (crypto/rand)
	temp := path + ".new"
	err := os.WriteFile(temp, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(temp, path)
	}
	return key, err
}
