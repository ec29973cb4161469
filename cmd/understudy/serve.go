package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/understudy-id/understudy/cmd/understudy/internal/config"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

func (a *app) serveCmd() *cobra.Command {
	return &cobra.Command{Use: "serve", Short: "Run the server until it is interrupted", Args: cobra.NoArgs,
		RunE: a.does(func(ctx context.Context, _ []string) error {
			l, err := a.config()
			if err != nil {
				return err
			}
			return a.serve(ctx, l)
		})}
}

// demoMarker is on databases whose passwords are public.
const demoMarker = "demo"

// garbage is what GOGC is where nobody has set it. A server lives in little memory and throws much away: to collect half as often
// costs some 20 MB, and saves a tenth of its processor time.
const garbage = 200

func (a *app) serve(ctx context.Context, l *config.Loaded) (err error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	st, release, err := serveFrom(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	log := a.logger(l)
	if err := warnOwner(ctx, st, log); err != nil {
		return err
	}
	srv, err := a.server(ctx, l, st, log)
	if err != nil {
		return err
	}
	return a.listen(ctx, l, srv, log)
}

// ownerRisk is the risk of a role with rights that serving needs not.
const ownerRisk = "the database's role owns the audit trail or is a superuser, so whoever takes over the server can change what is recorded; " +
	"understudy migrate roles tells how to make one that cannot"

func warnOwner(ctx context.Context, st store.Store, log *slog.Logger) error {
	pg, ok := st.(*postgres.Store)
	if !ok { // who serves a file owns it
		return nil
	}
	may, err := pg.MayChangeTrail(ctx)
	if may {
		log.WarnContext(ctx, "a risk is switched on", "risk", ownerRisk)
	}
	return err
}

func (a *app) server(ctx context.Context, l *config.Loaded, st store.Store, log *slog.Logger) (*server.Server, error) {
	key, err := sealingKey(ctx, l, st)
	if err != nil {
		return nil, err
	}
	box, err := server.NewBox(key)
	if err != nil {
		return nil, err
	}
	for _, r := range l.Risks() {
		log.WarnContext(ctx, "a risk is switched on", "risk", r)
	}
	for _, pair := range l.AlikeIssuers() {
		log.WarnContext(ctx, "two issuers are almost one", "issuers", pair)
	}
	return server.New(ctx, server.Config{
		PublicURL: l.PublicURL, Store: st, Registry: l.Registry(), Lifetimes: server.Lifetimes(l.Lifetimes), Limits: server.Limits(l.Limits), Box: box,
		SigningAlgorithm:    l.Signing.Algorithm,
		RequireSecondFactor: l.SignIn.SecondFactor == config.SecondFactorRequired, MaxAuthAge: l.SignIn.MaxAuthAge,
		TrustedProxies: l.Proxies(), Backchannel: l.Backchannel.Networks(), TrustedIssuers: l.Trusted(), Upstreams: l.Providers(), Local: server.Local(l.SignIn.Local),
		Logger: log, Now: time.Now, SupportURL: l.SupportURL,
	})
}

func (a *app) logger(l *config.Loaded) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(l.Log.Level)) // Check has seen it
	o := &slog.HandlerOptions{Level: level}
	if l.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.stderr, o))
}

// listen serves until ctx ends or a listener fails.
func (a *app) listen(ctx context.Context, l *config.Loaded, srv *server.Server, log *slog.Logger) error {
	public, err := bind(ctx, "listen", l.Listen)
	if err != nil {
		return err
	}
	front := []*http.Server{newHTTP(srv.Handler(), log)}
	listeners := []net.Listener{public}
	addresses := []any{"public_url", l.PublicURL, "listen", public.Addr().String()}
	if l.PrivateListen != "" {
		private, err := bind(ctx, "private_listen", l.PrivateListen)
		if err != nil {
			return errors.Join(err, public.Close())
		}
		front, listeners = append(front, newHTTP(srv.Private(), log)), append(listeners, private)
		addresses = append(addresses, "private_listen", private.Addr().String())
	}
	if l.TLS.CertFile != "" {
		if listeners[0], err = secure(public, l.TLS); err != nil {
			return err
		}
	}
	log.InfoContext(ctx, "serving", append(addresses, "database", l.Database)...)
	return until(ctx, srv, front, listeners, log)
}

// until runs everything and stops everything as soon as ctx ends or one part fails.
func until(ctx context.Context, srv *server.Server, front []*http.Server, listeners []net.Listener, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, len(front)+1)
	go func() { done <- srv.Run(ctx) }()
	for i, h := range front {
		go func() { done <- h.Serve(listeners[i]) }()
	}
	var errs []error
	waiting := cap(done)
	select {
	case <-ctx.Done():
	case err := <-done:
		waiting--
		errs = append(errs, err)
	}
	cancel()
	log.Info("stopping")
	grace, stop := context.WithTimeout(context.Background(), shutdownGrace)
	defer stop()
	for _, h := range front {
		errs = append(errs, h.Shutdown(grace))
	}
	for range waiting {
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// shutdownGrace is how long requests under way may take after SIGTERM: what supervisors wait before SIGKILL.
const shutdownGrace = 10 * time.Second

func bind(ctx context.Context, path, addr string) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s cannot be used: %w", path, addr, err)
	}
	return ln, nil
}

func secure(ln net.Listener, t config.TLS) (net.Listener, error) {
	cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("loading the TLS certificate: %w", err), ln.Close())
	}
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}), nil
}

// newHTTP bounds what a client can make the server wait for and hold: slow headers, endless bodies, answers nobody reads.
func newHTTP(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 60 * time.Second, MaxHeaderBytes: 32 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
