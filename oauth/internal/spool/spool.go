// Package spool keeps records until they have arrived where they belong: in files, so that a process that is killed loses none of them, or
// in memory where nobody gives it a directory. Start with [Open]; what [Spool.Append] took is kept until [Spool.Done], and [Spool.Adopt]
// gives what processes that are gone have left. It is bounded and says so instead of dropping anything. It does not know what a record
// means, sends nothing, and keeps no order between processes; whoever takes records must bear to be told one twice.
//
// # What a crash can take
//
// A record is written to its file before Append answers, so it outlives the process, however that ends. It is on the disk itself
// Config.SyncEvery later at most: so much of the last can be lost with the machine. A record that was cut off in the middle was never
// promised, and is left out.
//
// # The files
//
// Each process has its own, owner-name-number.spool, and holds a lock (flock) on them for as long as it lives. A line is the CRC-32C of a record in
// 8 hexadecimal digits, a space, the record, and a newline.
//
// What lies in the directory counts as what a process of ours said, so nobody else may write to it: [Open] refuses one that is not its user's own, or in which
// others may make files. Of its files only those are opened that are this user's, regular, and under one name; the others are left alone, and the log says so.
package spool

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// What Append answers. Test with errors.Is; anything else is a failure of the disk.
var (
	// ErrFull: there is no room for the record.
	ErrFull = errors.New("spool: full")
	// ErrClosed: Close was called.
	ErrClosed = errors.New("spool: closed")
)

const (
	// segmentBytes is where a new file is begun: a file can go only when all of it has arrived.
	segmentBytes = 1 << 20
	// frame is what a line has around its record.
	frame  = len("01234567 \n")
	suffix = ".spool"
	// damaged is put behind the name of a file of which something could not be read.
	damaged = ".damaged"
)

// Config is what Open needs.
type Config struct {
	// Dir is the directory, which is made for its owner alone if it is missing; several processes of one user may share it. Nobody else may
	// write to it. "" keeps all in memory.
	Dir string
	// Owner is whose records these are, and Name this process's own, which no other has, also not later: letters and digits. Adopt takes
	// what is of the same Owner. Only with Dir.
	Owner, Name string
	// MaxBytes bounds what is kept, with its files as they are: at least 64 KiB.
	MaxBytes int64
	// SyncEvery is how long a record may be in the system's memory only. Only with Dir.
	SyncEvery time.Duration
	// Logger hears of files that are damaged and of a disk that fails. It must be set.
	Logger *slog.Logger
}

// Spool keeps records. Safe for concurrent use.
type Spool struct {
	cfg Config

	mu       sync.Mutex
	shut     bool
	closed   bool
	used     int64 // bytes of records in memory, or of files
	reserved int64
	last     int      // number of the newest file
	current  *segment // nil in memory, and where the next record begins a file
	files    map[*segment]struct{}
	syncs    bool            // a sync is due
	shunned  map[string]bool // files that are none of ours, of which the log was told
}

// Place is where a record is kept.
type Place struct {
	segment *segment // nil in memory
	size    int64
}

// Size is how many bytes the record takes.
func (p Place) Size() int64 { return p.size }

// Open opens a spool. With a directory it fails where it could not keep a record there.
func Open(c Config) (*Spool, error) {
	s := &Spool{cfg: c, files: make(map[*segment]struct{}), shunned: make(map[string]bool)}
	if c.Dir == "" {
		return s, nil
	}
	var err error
	if s.cfg.Dir, err = makeDir(c.Dir); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	if err := s.begin(); err != nil {
		return nil, fmt.Errorf("opening the spool: %w", err)
	}
	return s, nil
}

// makeDir gives the whole path of dir, and refuses one to which others can write: they could put on record what never was, and have files opened for them.
func makeDir(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return "", err
	case !info.IsDir():
		return "", fmt.Errorf("%s: must be a directory itself, not a link to one", dir)
	case !mine(info):
		return "", fmt.Errorf("%s: must belong to the user whom this process runs as; name one below it, which is then made", dir)
	case info.Mode()&0o022 != 0 && !enclosed(dir):
		return "", fmt.Errorf("%s: must be writable by its owner alone, and its mode is %04o; name one below it, which is then made", dir, info.Mode().Perm())
	}
	return dir, nil
}

// enclosed reports whether nobody else gets to dir, whatever its own mode says: what it is in is this user's alone. So it is with a test's directory where the umask is 002.
func enclosed(dir string) bool {
	info, err := os.Stat(filepath.Dir(dir))
	return err == nil && mine(info) && info.Mode()&0o077 == 0
}

// Reserve keeps n bytes for a record that is still to come, and reports whether there is room. Give n to Append or Release then.
func (s *Spool) Reserve(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || s.used+s.reserved+n > s.cfg.MaxBytes {
		return false
	}
	s.reserved += n
	return true
}

// Release gives back what Reserve kept.
func (s *Spool) Release(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= n
}

// Append keeps record, which must not hold a newline. reserved is what Reserve kept for it, which is given back in any case; 0 for nothing.
// With an error nothing is kept. record may be used again by the caller, except in memory, where only its length counts.
func (s *Spool) Append(record []byte, reserved int64) (Place, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= reserved
	size := int64(len(record) + frame)
	switch {
	case s.shut:
		return Place{}, ErrClosed
	case s.used+s.reserved+size > s.cfg.MaxBytes:
		return Place{}, ErrFull
	case s.cfg.Dir == "":
		s.used += size
		return Place{size: size}, nil
	}
	if s.current == nil || s.current.size+size > segmentBytes {
		if err := s.begin(); err != nil {
			return Place{}, fmt.Errorf("spooling: %w", err)
		}
	}
	if err := s.current.write(record); err != nil {
		s.retire() // there may be half a line at its end
		return Place{}, fmt.Errorf("spooling: %w", err)
	}
	s.used += size
	if !s.syncs {
		s.syncs = true
		time.AfterFunc(s.cfg.SyncEvery, s.sync)
	}
	return Place{s.current, size}, nil
}

// begin starts a new file.
func (s *Spool) begin() error {
	s.retire()
	s.last++
	seg, err := create(filepath.Join(s.cfg.Dir, fmt.Sprintf("%s-%s-%06d%s", s.cfg.Owner, s.cfg.Name, s.last, suffix)))
	if err != nil {
		return err
	}
	s.current = seg
	s.files[seg] = struct{}{}
	return nil
}

// retire writes no more to the current file.
func (s *Spool) retire() {
	seg := s.current
	if s.current = nil; seg == nil {
		return
	}
	if seg.left == 0 {
		s.remove(seg)
		return
	}
	go s.settle(seg) // who appends does not wait for the disk
}

// settle brings a file to the disk, if it is still there.
func (s *Spool) settle(seg *segment) {
	if err := seg.f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		s.cfg.Logger.Error("syncing the spool failed", "file", seg.path, "error", err)
	}
}

// Done lets records go that have arrived.
func (s *Spool) Done(places ...Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range places {
		seg := p.segment
		if seg == nil {
			s.used -= p.size
			continue
		}
		if seg.left--; seg.left > 0 || s.closed {
			continue
		}
		if seg != s.current {
			s.remove(seg)
			continue
		}
		if err := seg.empty(); err != nil { // it would be told once more, and harm nobody
			s.cfg.Logger.Warn("emptying the spool failed", "file", seg.path, "error", err)
			continue
		}
		s.used -= seg.counted
		seg.counted = 0
	}
}

func (s *Spool) remove(seg *segment) {
	away := os.Remove
	if seg.damaged { // not before all that can be read of it has arrived: until then whoever comes next must find it
		away = func(path string) error { return os.Rename(path, path+damaged) }
	}
	if err := errors.Join(away(seg.path), seg.f.Close()); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.cfg.Logger.Warn("removing a file of the spool failed", "file", seg.path, "error", err)
	}
	s.used -= seg.counted
	delete(s.files, seg)
}

// sync brings to the disk what is not there yet.
func (s *Spool) sync() {
	s.mu.Lock()
	seg := s.current
	s.syncs = false
	s.mu.Unlock()
	if seg != nil { // otherwise retired, and synced then
		s.settle(seg)
	}
}

// Shut lets Append and Reserve answer as after Close; what is kept can still be Done.
func (s *Spool) Shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
}

// Close keeps nothing more. What has not arrived stays in its files, for whoever adopts them; in memory it is gone.
func (s *Spool) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.shut, s.closed = true, true
	s.current = nil
	var errs []error
	for seg := range s.files {
		if seg.left == 0 {
			s.remove(seg)
			continue
		}
		errs = append(errs, seg.f.Sync(), seg.f.Close())
	}
	return errors.Join(errs...)
}
