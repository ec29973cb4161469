package rp_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestConnectionsOfTokens: a connection that an API's handler took over ends with the session, and with the token's time, though the handler knows nothing
// of that.
func TestConnectionsOfTokens(t *testing.T) {
	t.Parallel()
	ann := func(a *api) string { return a.acting("scope", fullAccess) }
	john := func(a *api) string { return a.token() }
	for what, of := range map[string]struct {
		token func(*api) string
		end   func(*api)
	}{
		"killed":       {ann, func(a *api) { a.set(func() { a.over["imp_1"] = true }); a.clock.advance(5 * time.Second) }},
		"not known":    {ann, func(a *api) { a.set(func() { a.down["*"] = true }); a.clock.advance(5 * time.Second) }},
		"expired":      {ann, func(a *api) { a.clock.advance(10 * time.Minute) }},
		"an own token": {john, func(a *api) { a.clock.advance(10 * time.Minute) }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			a := newAPI(t, nil)
			srv := httptest.NewServer(a.bearer.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, rw, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				go func() { // what goes over it outlives its request
					defer c.Close()
					io.Copy(c, rw)
				}()
			})))
			defer srv.Close()
			c, err := net.Dial("tcp", srv.Listener.Addr().String())
			a.must(err)
			defer c.Close()
			a.must(c.SetDeadline(time.Now().Add(30 * time.Second)))
			fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: api\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer %s\r\n\r\n", of.token(a))
			r := bufio.NewReader(c)
			say := func() {
				t.Helper()
				fmt.Fprintln(c, "hello")
				if line, err := r.ReadString('\n'); line != "hello\n" {
					t.Fatalf("got %q, %v", line, err)
				}
			}
			say()
			a.clock.advance(4 * time.Second)
			say()
			of.end(a)
			if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
				t.Errorf("it goes on: %q, %v", rest, err)
			}
		})
	}
}
