package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestSlowClients is CVE-2026-56853 and CVE-2024-24791: who never ends a header, a body or the preface of another protocol is closed, and keeps nobody
// else from an answer.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := newHTTP(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }), slog.New(slog.DiscardHandler))
	defer srv.Close()
	go srv.Serve(ln)
	var slow sync.WaitGroup
	for i := range 100 {
		for name, said := range map[string]string{
			"nothing":     "",
			"half a head": "GET / HTTP/1.1\r\nHost: x\r\nX-",
			"half a body": "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx",
			"a chunk":     "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nx",
			"continue":    "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n",
			"HTTP/2":      "PRI * HTTP/2.0\r\n\r\nSM\r\n",
		} {
			c, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := c.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
				t.Fatal(err)
			}
			slow.Go(func() {
				io.WriteString(c, said)
				if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(fmt.Sprint(err), "timeout") {
					t.Errorf("%s, %d: the connection stays open", name, i)
				}
			})
		}
	}
	good := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	for range 10 {
		resp, err := good.Get("http://" + ln.Addr().String())
		if err != nil {
			t.Fatalf("a good client: %v", err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("a good client: got %d", resp.StatusCode)
		}
	}
	slow.Wait()
}
