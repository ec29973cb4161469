package main

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
	"unicode"

	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
)

// serveHere runs the server in this process, so that a profile can be taken: the product has no route for that.
func (b *bench) serveHere() {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	key := make([]byte, 32)
	rand.Read(key)
	box, err := server.NewBox(key)
	b.must(err)
	log, err := os.Create(filepath.Join(b.t.TempDir(), "log"))
	b.must(err)
	life := server.DefaultLifetimes()
	life.AccessToken, life.LoginIdle, life.ImpersonationIdle = 8*time.Hour, 8*time.Hour, 8*time.Hour
	url := "http://" + ln.Addr().String()
	s, err := server.New(b.t.Context(), server.Config{
		PublicURL: url, Store: b.store, Registry: policy.Default(), RequireSecondFactor: true, Lifetimes: life, Box: box, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Limits: server.Limits{ClientRequests: -1, ActorStarts: -1, ActorSessions: -1}, // what is measured is the server
	})
	b.must(err)
	front := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	go front.Serve(ln)
	b.t.Cleanup(func() { front.Close(); log.Close() })
	b.at(url)
}

// profile begins a profile of what m measures, if profiles are wanted, and gives what ends it. go tool pprof takes the files of all
// parts together; -focus='http.\(\*conn\).serve' leaves the generator out.
func (b *bench) profile(m *meter) (end func()) {
	if b.o.profiles == "" || m.work == "" {
		return func() {}
	}
	m.parts++
	name := fmt.Sprintf("%s-%s-%d-%d.pprof", b.name, strings.Join(strings.FieldsFunc(m.work, notLetter), "-"), m.conns, m.parts)
	f, err := os.Create(filepath.Join(b.o.profiles, name))
	b.must(err)
	b.must(pprof.StartCPUProfile(f))
	return func() {
		pprof.StopCPUProfile()
		b.must(f.Close())
	}
}

func notLetter(r rune) bool { return !unicode.IsLetter(r) }
