package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"
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
	p.show("copying", "client", 50, 200)
	p.show("comparing", "audit_entry", 0, 200)
	p.show("checking", "users", 7, 0)
	p.began, p.last = time.Now().Add(-10*time.Second), time.Time{}
	p.show("checking", "users", 1007, 5007)
	p.end()
	w.Close()
	out, err := io.ReadAll(r)
	if want := "\r\x1b[Kcopying client  50 of 200 rows  25%  0/s" + "\r\x1b[Kcomparing audit_entry  0 of 200 rows  0%  0/s" +
		"\r\x1b[Kchecking users  7 rows  0/s" + "\r\x1b[Kchecking users  1007 of 5007 rows  20%  99/s  40s left" + "\r\x1b[K"; err != nil || string(out) != want {
		t.Errorf("got %q, %v, want %q", out, err, want)
	}
	quiet := (&app{stderr: io.Discard}).newProgress()
	quiet.show("copying", "client", 0, 0)
	quiet.end()
	if quiet.out != nil || strings.Contains(string(out), "\n") {
		t.Error("a copy that nobody looks at would write a line, or the line does not stay one")
	}
}
