// Package demo runs the whole story in one process: the issuer, and Acme, a relying app with its own database. Start with
// [Start], which seeds what is missing and returns once both serve; [Demo.Wait] and [Demo.Stop] end it. The passwords and
// second factors of its people are public, so it listens on this machine alone and writes only to databases that are
// marked as a demo's.
package demo

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/understudy-id/understudy/cmd/understudy/internal/acme"
	"github.com/understudy-id/understudy/oauth/rp"
	"github.com/understudy-id/understudy/oauth/server"
)

// The ports of "understudy demo" when nothing else is said.
const (
	DefaultIssuerPort = 8080
	DefaultAppPort    = 3000
)

// Config is what Start needs. The zero value is a demo in the current directory, on free ports.
type Config struct {
	// Directory is where the two databases and the issuer's key are. "": the current one.
	Directory string
	// Fresh removes what an earlier run left there, and starts anew. ErrForeign if it is not a demo's.
	Fresh bool
	// IssuerPort and AppPort are on the loopback addresses of IPv4 and, where there is one, IPv6. Zero takes a free one.
	IssuerPort, AppPort int
	// AppURL and AsUserURL are the two origins of the app: http, of a loopback host, with AppPort or without a port, which
	// then becomes AppPort. "": http://localhost and http://127.0.0.1.
	AppURL, AsUserURL string
	// SameOrigin lays impersonation over the app's own origin, look only, instead. AsUserURL must then be "".
	SameOrigin bool
	// Logger gets the log of the issuer and of the app. Nil: slog.Default.
	Logger *slog.Logger
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
}

// Demo is a running demo. Its methods may be called concurrently.
type Demo struct {
	// AppURL, AsUserURL and IssuerURL are origins, such as http://localhost:3000. AsUserURL is "" with Config.SameOrigin.
	AppURL, AsUserURL, IssuerURL string
	// ClientID is the app's registration at the issuer.
	ClientID string
	// Database is the path of the issuer's, AppDatabase that of Acme's own.
	Database, AppDatabase string
	// People are those who can sign in. The others have no password.
	People []Person

	now     func() time.Time
	log     *slog.Logger
	codes   codes
	cancel  context.CancelFunc
	closers []func() error // in the order of opening
	serving []*http.Server // in the order of stopping
	parts   sync.WaitGroup
	failed  chan error // what a part that ended by itself says
	done    chan struct{}
	err     error // of the whole; read it after done
}

// Start starts a demo, which goes on until ctx ends, Stop is called or one of its parts fails. Nothing is written before
// the ports are taken, and nothing to the directory but the lock before both databases were looked at. It returns an
// *AddressError for a port or URL that cannot be used, a *TakenError for a port that somebody else has, ErrForeign for a
// database of the issuer's or of Acme's that is not a demo's, and sqlite.ErrLocked where another demo runs in the same directory.
func Start(ctx context.Context, c Config) (*Demo, error) {
	d := &Demo{People: SignIns(), now: c.Now, log: c.Logger, failed: make(chan error, 8), done: make(chan struct{})}
	if d.now == nil {
		d.now = time.Now
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	ctx, d.cancel = context.WithCancel(ctx)
	if err := d.start(ctx, c); err != nil {
		d.cancel()
		return nil, errors.Join(err, d.stop())
	}
	go func() {
		var failed error
		select {
		case <-ctx.Done():
		case failed = <-d.failed:
		}
		d.cancel()
		d.err = errors.Join(failed, d.stop())
		close(d.done)
	}()
	return d, nil
}

// Wait returns when the demo has stopped: nil if that was asked for.
func (d *Demo) Wait() error {
	<-d.done
	return d.err
}

// Stop stops the demo and waits for it. Requests under way have 5 seconds. Calling it again does no more.
func (d *Demo) Stop() error {
	d.cancel()
	return d.Wait()
}

func (d *Demo) start(ctx context.Context, c Config) error {
	if err := checkPorts(c.IssuerPort, c.AppPort); err != nil {
		return err
	}
	issuer, err := d.bind(ctx, "issuer", c.IssuerPort)
	if err != nil {
		return err
	}
	app, err := d.bind(ctx, "app", c.AppPort)
	if err != nil {
		return err
	}
	if err := d.name(c, port(issuer), port(app)); err != nil {
		return err
	}
	srv, registration, err := d.openIssuer(ctx, c)
	if err != nil {
		return err
	}
	relying, err := acme.Open(ctx, acme.Config{Database: d.AppDatabase, People: customers(), RP: rp.Config{
		Issuer: d.IssuerURL, ClientID: d.ClientID, ClientSecret: registration, BaseURL: d.AppURL, Origin: d.AsUserURL, Logger: d.log, Now: d.now,
	}})
	if err != nil {
		return err
	}
	d.closers = append(d.closers, relying.Close)
	d.serve(relying.Handler(), app) // first to stop: its requests ask the issuer
	d.serve(srv.Handler(), issuer)
	d.run(ctx, srv)
	return nil
}

// run does the issuer's own work. It outlives ctx for as long as there are requests.
func (d *Demo) run(ctx context.Context, srv *server.Server) {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.closers = append(d.closers, func() error { stop(); d.parts.Wait(); return nil })
	d.parts.Go(func() { d.ended(srv.Run(ctx)) })
}

// serve serves h on all of on.
func (d *Demo) serve(h http.Handler, on []net.Listener) {
	s := newHTTP(h, d.log)
	d.serving = append(d.serving, s)
	for _, ln := range on {
		d.parts.Go(func() { d.ended(s.Serve(ln)) })
	}
}

// ended tells that a part is over. Only the first to end is heard: the others are made to.
func (d *Demo) ended(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		select {
		case d.failed <- err:
		default:
		}
	}
}

// grace is how long requests under way may take at the end.
const grace = 5 * time.Second

// stop ends what was begun, the last first.
func (d *Demo) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	var errs []error
	for _, s := range d.serving {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close()) // a request that takes too long is cut
		}
	}
	for _, c := range slices.Backward(d.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}
