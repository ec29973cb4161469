package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Kept is a record that a process has left.
type Kept struct {
	Record []byte
	Place
}

// Adopt takes over the files of processes that are gone and gives what they hold, oldest first in each. It stops where there is no more room,
// and goes on the next time; of the files that are larger than all the room it takes one at a time nevertheless. Of a file with lines that cannot be read those
// that can are given; once they have arrived the file stays under another name. What is no file of this user's is left alone.
func (s *Spool) Adopt() ([]Kept, error) {
	if s.cfg.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(s.cfg.Dir) // sorted
	if err != nil {
		return nil, fmt.Errorf("adopting spools: %w", err)
	}
	var all []Kept
	var errs []error
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), s.cfg.Owner+"-") || !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		kept, err := s.adopt(filepath.Join(s.cfg.Dir, e.Name()))
		all = append(all, kept...)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return all, fmt.Errorf("adopting spools: %w", err)
	}
	return all, nil
}

// adopt gives nothing where somebody alive has the file. Our own are locked like everybody's.
func (s *Spool) adopt(path string) ([]Kept, error) {
	f, err := s.open(path)
	if f == nil {
		return nil, err
	}
	if lock(f) != nil {
		return nil, f.Close()
	}
	file, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if len(file) > maxFile { // it grew
		s.shun(path, errTooLong)
		return nil, f.Close()
	}
	seg, records := s.take(path, f, file)
	if seg == nil {
		return nil, f.Close()
	}
	kept := make([]Kept, len(records))
	for i, r := range records {
		kept[i] = Kept{r, Place{seg, int64(len(r) + frame)}}
	}
	return kept, nil
}

// maxFile is more than any process leaves in one file.
const maxFile = 2 * segmentBytes

// Why a file is left alone.
var (
	errNotRegular = errors.New("it is no regular file")
	errNotMine    = errors.New("it belongs to another user")
	errTwoNames   = errors.New("it has a second name")
	errTooLong    = errors.New("it is longer than any that a process leaves")
)

// open opens what can be nothing but the file of a process of ours; nil with or without an error if there is none. Names in the directory lead nowhere else.
func (s *Spool) open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|withoutTricks, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		if info, gone := os.Lstat(path); gone == nil && whyNot(info) != nil {
			s.shun(path, whyNot(info))
			return nil, nil
		}
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if why := whyNot(info); why != nil {
		s.shun(path, why)
		return nil, f.Close()
	}
	if names(info) == 0 { // removed just now: all of it has arrived
		return nil, f.Close()
	}
	return f, nil
}

// whyNot tells why a file is left alone; nil if it may be ours.
func whyNot(info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errNotRegular
	case !mine(info):
		return errNotMine
	case names(info) > 1:
		return errTwoNames
	case info.Size() > maxFile:
		return errTooLong
	}
	return nil
}

// shun tells the log, once, that a file is left alone.
func (s *Spool) shun(path string, why error) {
	s.mu.Lock()
	known := s.shunned[path]
	s.shunned[path] = true
	s.mu.Unlock()
	if !known {
		s.cfg.Logger.Error("a file in the spool's directory is left alone, and what it may say is not put on record", "file", path, "error", why)
	}
}

// take makes a file that was read one of ours; nil if there is no room. One that is larger than all the room there can ever be would wait for ever, so it is taken when no
// other such is here, and counts as what room there is.
func (s *Spool) take(path string, f *os.File, file []byte) (*segment, [][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	size := int64(len(file))
	room := max(0, s.cfg.MaxBytes-s.used-s.reserved)
	if s.shut || size > room && (size <= s.cfg.MaxBytes || s.overfull()) {
		return nil, nil
	}
	records, unread := parse(file)
	if unread > 0 {
		s.cfg.Logger.Error("a file of the spool is damaged: lines of it cannot be read, and what they said is missing", "file", path+damaged, "lines", unread)
	}
	seg := &segment{path: path, f: f, size: size, counted: min(size, room), left: len(records), damaged: unread > 0}
	s.files[seg] = struct{}{}
	if s.used += seg.counted; seg.left == 0 {
		s.remove(seg)
	}
	return seg, records
}

// overfull reports whether a file is here that is larger than the room.
func (s *Spool) overfull() bool {
	for seg := range s.files {
		if seg.size > s.cfg.MaxBytes {
			return true
		}
	}
	return false
}
