package sqlite

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// ErrLocked means that another server has the database.
var ErrLocked = errors.New("another server is using it")

// Lock takes the file path + ".lock" for this process, so that a second server on the same database is refused with an
// ErrLocked that names the first one's process id. The lock goes with the process, also when it is killed; the file stays. A
// command line beside a server does not take it. release may be called once.
func Lock(path string) (release func() error, err error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() { // no lock is left beside what cannot be a database
		return nil, fmt.Errorf("locking the database: %w", &os.PathError{Op: "open", Path: path, Err: syscall.EISDIR})
	}
	name := path + ".lock"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the database: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("locking %s: %w (process %s)", path, ErrLocked, holder(name))
		}
		return nil, fmt.Errorf("locking the database: %s: %w", name, err)
	}
	if err := sign(f); err != nil {
		return nil, errors.Join(fmt.Errorf("locking the database: %w", err), f.Close())
	}
	// The file is not removed: who had opened it before would hold a lock on a name that is gone.
	return f.Close, nil
}

func sign(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(name string) string {
	b, err := os.ReadFile(name)
	if pid := strings.TrimSpace(string(b)); err == nil && pid != "" {
		return pid
	}
	return "unknown"
}
