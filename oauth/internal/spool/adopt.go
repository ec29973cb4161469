package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Kept is a record that a process has left.
type Kept struct {
	Record []byte
	Place
}

// Adopt takes over the files of processes that are gone and gives what they hold, oldest first in each. It stops where there is no more room,
// and goes on the next time. Of a file with lines that cannot be read those that can are given; the file stays under another name.
func (s *Spool) Adopt() ([]Kept, error) {
	if s.cfg.Dir == "" {
		return nil, nil
	}
	paths, err := filepath.Glob(filepath.Join(s.cfg.Dir, s.cfg.Owner+"-*"+suffix)) // sorted
	if err != nil {
		return nil, fmt.Errorf("adopting spools: %w", err)
	}
	var all []Kept
	var errs []error
	for _, path := range paths {
		kept, err := s.adopt(path)
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
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if lock(f) != nil {
		return nil, f.Close()
	}
	file, err := io.ReadAll(io.LimitReader(f, 2*segmentBytes))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	size := int64(len(file))
	records, damaged := parse(file)
	if damaged > 0 {
		s.cfg.Logger.Error("a file of the spool is damaged: lines of it cannot be read, and what they said is missing", "file", path+".damaged", "lines", damaged)
		if err := os.WriteFile(path+".damaged", file, 0o600); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut || s.used+s.reserved+size > s.cfg.MaxBytes {
		return nil, f.Close()
	}
	seg := &segment{path: path, f: f, size: size, counted: size, left: len(records)}
	s.files[seg] = struct{}{}
	if s.used += size; seg.left == 0 {
		s.remove(seg)
	}
	kept := make([]Kept, len(records))
	for i, r := range records {
		kept[i] = Kept{r, Place{seg, int64(len(r) + frame)}}
	}
	return kept, nil
}
