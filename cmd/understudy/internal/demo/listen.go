package demo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"github.com/understudy-id/understudy/oauth"
)

// TakenError means that somebody else listens on a port.
type TakenError struct {
	Part string // "issuer" or "app": Config.IssuerPort or AppPort
	Port int
	Err  error
}

// Error names the port.
func (e *TakenError) Error() string {
	return fmt.Sprintf("port %d, for the %s, is taken: another program listens there", e.Port, e.Part)
}

// Unwrap gives what the system said.
func (e *TakenError) Unwrap() error { return e.Err }

// bind listens on this machine alone, under both addresses that a browser may take localhost for.
func (d *Demo) bind(ctx context.Context, part string, port int) ([]net.Listener, error) {
	for range 10 { // of a free port, only one of the two addresses may be free
		on, err := bindBoth(ctx, port)
		for _, ln := range on {
			d.closers = append(d.closers, func() error { return ignoreClosed(ln.Close()) })
		}
		switch {
		case err == nil:
			return on, nil
		case !errors.Is(err, syscall.EADDRINUSE):
			return nil, fmt.Errorf("listening for the %s on port %d: %w", part, port, err)
		case port != 0:
			return nil, &TakenError{part, port, err}
		}
	}
	return nil, fmt.Errorf("listening for the %s: no port is free under both 127.0.0.1 and ::1", part)
}

func bindBoth(ctx context.Context, port int) (on []net.Listener, err error) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil && host == "::1" && !errors.Is(err, syscall.EADDRINUSE) {
			return on, nil // a machine without IPv6
		}
		if err != nil {
			return on, err
		}
		on = append(on, ln)
		port = ln.Addr().(*net.TCPAddr).Port
	}
	return on, nil
}

func port(on []net.Listener) int { return on[0].Addr().(*net.TCPAddr).Port }

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// newHTTP bounds what a client can make the server wait for and hold. There is room for all cookies of a browser's jar:
// pages that are flooded with them are among what the demo shows.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: onlyLoopback(h), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 1 << 20, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// onlyLoopback answers nobody who calls this machine by another name: a page elsewhere whose name leads here (DNS rebinding)
// would otherwise be of one origin with a server whose passwords are public.
func onlyLoopback(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u := url.URL{Host: r.Host}
		if !oauth.Loopback(u.Hostname()) {
			http.Error(w, "The demo answers on this machine's own names only.", http.StatusMisdirectedRequest)
			return
		}
		h.ServeHTTP(w, r)
	})
}
