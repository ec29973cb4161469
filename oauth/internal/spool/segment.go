package spool

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"os"
)

// segment is one file. Its Spool's mutex guards it.
type segment struct {
	path    string
	f       *os.File
	size    int64 // where the next record goes
	counted int64 // what of it counts as used
	left    int   // records that have not arrived
	damaged bool  // somebody may want to look at it
	line    []byte
}

// castagnoli is CRC-32C: it finds what a disk or a cut has spoilt.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// create makes a file that is this process's.
func create(path string) (*segment, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil { // somebody adopts it, who came between the two
		f.Close()
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return &segment{path: path, f: f}, nil
}

// write puts a record at the end, in one piece. With an error the file is as long as before, if the disk lets us.
func (s *segment) write(record []byte) error {
	s.line = append(appendSum(s.line[:0], record), ' ')
	s.line = append(append(s.line, record...), '\n')
	if _, err := s.f.Write(s.line); err != nil {
		_ = s.f.Truncate(s.size) // what is left there is half a line, which nobody reads
		return err
	}
	s.size += int64(len(s.line))
	s.counted += int64(len(s.line))
	s.left++
	return nil
}

// empty begins the file anew.
func (s *segment) empty() error {
	if err := s.f.Truncate(0); err != nil {
		return err
	}
	s.size = 0
	return nil
}

// parse gives the records of a file, and how many lines cannot be read. A last one without its end was cut off while it was written.
func parse(file []byte) (records [][]byte, damaged int) {
	for {
		line, rest, ended := bytes.Cut(file, []byte{'\n'})
		if !ended {
			return records, damaged
		}
		file = rest
		if record, ok := unframe(line); ok {
			records = append(records, record)
		} else {
			damaged++
		}
	}
}

func unframe(line []byte) (record []byte, ok bool) {
	if len(line) < frame-1 || line[8] != ' ' {
		return nil, false
	}
	record = line[frame-1:]
	return record, bytes.Equal(line[:8], appendSum(nil, record))
}

func appendSum(line, record []byte) []byte {
	var sum [4]byte
	binary.BigEndian.PutUint32(sum[:], crc32.Checksum(record, castagnoli))
	return hex.AppendEncode(line, sum[:])
}
