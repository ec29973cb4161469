//go:build !linux

package server_test

import "testing"

func (h *outage) smallDisk(t *testing.T, _ int) string {
	t.Helper()
	t.Skip("a small disk is made on Linux alone")
	return ""
}
