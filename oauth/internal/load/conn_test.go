package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestConn sends to Go's own server, which answers short bodies with a length and long ones in chunks.
func TestConn(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Location", r.Method+r.URL.RequestURI())
		w.WriteHeader(http.StatusTeapot)
		w.Write(append([]byte(r.Header.Get("X-Test")), body...))
	}))
	defer s.Close()
	c, err := dial(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, n := range []int{0, 1, 1000, 100_000, 3} { // one after another: a byte too many or too few spoils what follows
		body := bytes.Repeat([]byte("x"), n)
		status, err := c.do("POST", fmt.Sprint("/a?n=", n), "X-Test: yes\r\n", body)
		if err != nil || status != http.StatusTeapot || string(c.body) != "yes"+string(body) || string(c.location) != fmt.Sprint("POST/a?n=", n) {
			t.Fatalf("%d bytes: got %d, %d bytes, %s, %v", n, status, len(c.body), c.location, err)
		}
	}
	s.CloseClientConnections()
	if _, err := c.do("GET", "/", "", nil); err == nil {
		t.Error("over a closed connection: got no error")
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	if got, err := member([]byte(`{"a":"1","understudy_session":{"id":"imp_x","b":"c"}}`), "id"); err != nil || got != "imp_x" {
		t.Errorf("got %q, %v; want imp_x", got, err)
	}
	for _, s := range []string{`{}`, `{"id":1}`, `{"id":"1`} {
		if got, err := member([]byte(s), "id"); err == nil {
			t.Errorf("%s: got %q; want an error", s, got)
		}
	}
}
