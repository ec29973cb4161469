package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// The line of a copy is written over, and gone at the end.
func TestProgress(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := &progress{out: w}
	p.show(transfer.Progress{Step: transfer.Writing, Table: "client", Done: 50, Total: 200})
	p.show(transfer.Progress{Step: transfer.Comparing, Table: "audit_entry", Done: 0, Total: 200})
	p.end()
	w.Close()
	out, err := io.ReadAll(r)
	if want := "\r\x1b[Kcopying client  50 of 200 rows  25%  0/s" + "\r\x1b[Kcomparing audit_entry  0 of 200 rows  0%  0/s" + "\r\x1b[K"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	quiet := (&app{stderr: io.Discard}).newProgress()
	quiet.show(transfer.Progress{Step: transfer.Writing})
	quiet.end()
	if quiet.out != nil || strings.Contains(string(out), "\n") {
		t.Error("a copy that nobody looks at would write a line, or the line does not stay one")
	}
}
