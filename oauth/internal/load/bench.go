package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/chaos"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// bench is a server on a store, and those who will call it.
type bench struct {
	t        testing.TB
	o        options
	name     string // of the store
	progress io.Writer

	issuer, addr string
	headers      map[string]string // of the app's requests, by their Content-Type
	idle         memory            // of the server before anybody came
	store        store.Store       // beside the server, for what is done outside of the clock
	superuser    string            // URL of the Postgres; "" for SQLite
	processes    processes
	service      *impersonation.Service // over a planner of store
	accounts     []*account
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "%s %s: %s\n", time.Now().Format(time.TimeOnly), b.name, fmt.Sprintf(format, args...))
}

func (b *bench) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// newBench starts a database and a server, and signs everybody in.
func newBench(t testing.TB, o options, name string, progress io.Writer) *bench {
	b := &bench{t: t, o: o, name: name, progress: progress}
	dir := t.TempDir()
	url := filepath.Join(dir, "understudy.db")
	if name == "postgres" {
		db := postgrestest.Start(t).Fresh(t)
		url, b.superuser = db.Application, db.Superuser
		b.processes.database = b.postmaster()
	}
	b.open(url)
	if o.profiles != "" {
		b.serveHere()
	} else {
		b.serve(dir, url)
	}
	b.idle = b.memory()
	var err error
	b.service, err = impersonation.New(impersonation.Config{
		Issuer: b.issuer, Store: planner{b.store}, Decider: b.rules(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		Lifetimes: impersonation.Lifetimes{Ticket: time.Hour, Idle: time.Hour, LoginIdle: time.Hour, ReturnExtra: time.Hour, DoubleClick: time.Minute},
	})
	b.must(err)
	b.people()
	return b
}

func (b *bench) rules() *policy.Rules {
	rules, err := policy.New(policy.Default(), policy.Options{RequireSecondFactor: true})
	b.must(err)
	return rules
}

func (b *bench) open(url string) {
	var err error
	if b.superuser != "" {
		b.store, err = postgres.Open(b.t.Context(), postgres.Config{URL: url})
	} else {
		b.store, err = sqlite.Open(b.t.Context(), sqlite.Config{Path: url, Migrate: true})
	}
	b.must(err)
	b.t.Cleanup(func() { b.store.Close() })
}

// serve starts the server as a process. Only what would end in the middle of a long run lives longer than by default; the log is
// written as in production, to a file.
func (b *bench) serve(dir, url string) {
	log, err := os.Create(filepath.Join(dir, "log"))
	b.must(err)
	b.t.Cleanup(func() { log.Close() })
	c := chaos.Config{Log: log, Env: []string{
		"UNDERSTUDY_LIFETIMES_ACCESS_TOKEN=8h", "UNDERSTUDY_LIFETIMES_LOGIN_IDLE=8h", "UNDERSTUDY_LIFETIMES_IMPERSONATION_IDLE=8h",
		"UNDERSTUDY_LIMITS_CLIENT_REQUESTS=-1", "UNDERSTUDY_LIMITS_ACTOR_STARTS=-1", "UNDERSTUDY_LIMITS_SESSIONS_PER_ACTOR=-1",
	}}
	if b.superuser != "" {
		c.Database = url
	} else {
		c.Env = append(c.Env, "UNDERSTUDY_DATABASE="+url)
	}
	s := chaos.New(b.t, c)
	s.Start()
	b.at(s.URL)
	b.processes.server = s.PID()
}

// at notes where the server listens.
func (b *bench) at(issuer string) { b.issuer, b.addr = issuer, strings.TrimPrefix(issuer, "http://") }

func (b *bench) memory() memory {
	pid := b.processes.server
	if pid == 0 {
		pid = os.Getpid()
	}
	m, err := memoryOf(pid)
	b.must(err)
	return m
}

// memoryAfter looks at the server after so many starts, all accounts with a live session at the end.
func (b *bench) memoryAfter(starts int) held {
	b.say("memory after %d starts", starts)
	done := 0
	for done < starts {
		b.stopAll()
		b.startAll()
		done += len(b.accounts)
	}
	return held{b.name, done, len(b.accounts), b.memory()}
}
