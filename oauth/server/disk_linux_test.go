package server_test

import (
	"fmt"
	"net/url"
	"os"
	"syscall"
	"testing"
)

// smallDisk is one that Postgres may use.
func (h *outage) smallDisk(t *testing.T, size int) string {
	t.Helper()
	u, err := url.Parse(h.base.superuser)
	h.must(err)
	dir, err := os.MkdirTemp(u.Query().Get("host"), "disk-") // below the one directory that is Postgres' own
	h.must(err)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", size)); err != nil {
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
	t.Cleanup(func() { h.must(syscall.Unmount(dir, 0)) })
	owner, err := os.Stat(u.Query().Get("host"))
	h.must(err)
	id := owner.Sys().(*syscall.Stat_t)
	h.must(os.Chown(dir, int(id.Uid), int(id.Gid)))
	return dir
}
