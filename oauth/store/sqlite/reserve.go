package sqlite

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// defaultReserve is room for some thousand stops, and for the log to be folded into the file meanwhile.
const defaultReserve = 8 << 20

// reserve is a file that only holds room. Giving it up lets stops commit on a full disk. It belongs to the writer's goroutine.
type reserve struct {
	path string
	size int64
	held bool
}

func newReserve(path string, size int64) *reserve {
	if size == 0 {
		size = defaultReserve
	}
	return &reserve{path: path + ".reserve", size: size}
}

// ready reports that the reserve is there, after making it where there is room again. A size below zero needs none.
func (r *reserve) ready() bool {
	if r.held || r.size < 0 {
		return true
	}
	if fi, err := os.Stat(r.path); err == nil && fi.Size() == r.size {
		r.held = true
		return true
	}
	// Twice its size must be free: making it may not be what fills the disk.
	if free, err := room(r.path); err != nil || free < 2*r.size {
		return false
	}
	r.held = r.fill() == nil
	return r.held
}

// release gives the room back, once, and reports whether it did.
func (r *reserve) release() bool {
	if !r.held {
		return false
	}
	r.held = false
	return os.Remove(r.path) == nil
}

func (r *reserve) fill() error {
	f, err := os.OpenFile(r.path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	// Random bytes, since a file system that compresses would keep no room for zeros.
	_, err = io.CopyN(f, rand.Reader, r.size)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		err = errors.Join(err, os.Remove(r.path))
	}
	return err
}

// room is how many bytes are free beside path.
func room(path string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
		return 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), nil
}
