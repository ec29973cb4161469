//go:build !linux

package sqlite_test

import "testing"

// smallDisk skips: only Linux lends a small disk without ceremony.
func smallDisk(t *testing.T, _ string) string {
	t.Helper()
	t.Skip("a small disk is a Linux tmpfs")
	return ""
}
