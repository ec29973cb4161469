package postgres_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/understudy-id/understudy/migrations"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/postgrestest"
)

func TestProtection(t *testing.T) {
	t.Parallel()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const there = "postgres://u@db.acme.test/x"
	for url, want := range map[string]postgres.Protection{
		there:                                               postgres.Clear,
		there + "?sslmode=disable":                          postgres.Clear,
		there + "?sslmode=allow":                            postgres.Clear,
		there + "?sslmode=require":                          postgres.Encrypted,
		there + "?sslmode=verify-ca":                        postgres.Certified,
		there + "?sslmode=verify-full":                      postgres.Verified,
		"postgres://u@127.0.0.1/x":                          postgres.Verified,
		"postgres://u@localhost,db.acme.test/x":             postgres.Clear,
		"postgres:///x?host=/run/postgresql":                postgres.Verified,
		"postgres://u@[::1]:5433,/x?host=/run,db.acme.test": postgres.Clear,
	} {
		got, host, err := postgres.Config{URL: url}.Protection()
		if err != nil || got != want || want != postgres.Verified && host != "db.acme.test" {
			t.Errorf("%s: got %v at %q, %v; want %v", url, got, host, err, want)
		}
	}
	if _, _, err := (postgres.Config{URL: "postgres://u@h:port/x"}).Protection(); !errors.Is(err, postgres.ErrURL) {
		t.Errorf("got %v, want ErrURL", err)
	}
}

// What is wrong has a name, in one line, for all that connect; and soon.
func TestReasons(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	plain, silent := answering(t, "N"), answering(t, "")
	for what, c := range map[string]struct {
		url  string
		want error
	}{
		"no URL":               {"", postgres.ErrURL},
		"wrong URL":            {"postgres://u@h:p/db", postgres.ErrURL},
		"wrong pool size":      {db.Owner + "&pool_max_conns=many", postgres.ErrURL},
		"misspelt option":      {db.Owner + "&pool_maxconns=3", postgres.ErrURL},
		"port closed":          {"postgres://u@127.0.0.1:1/db", postgres.ErrUnreachable},
		"unknown host":         {"postgres://u@none.invalid/db", postgres.ErrUnreachable},
		"no socket":            {"postgres:///db?host=" + t.TempDir(), postgres.ErrUnreachable},
		"silence":              {"postgres://u@" + silent + "/db", postgres.ErrUnreachable},
		"TLS where is none":    {"postgres://u@" + plain + "/db?sslmode=require", postgres.ErrTLS},
		"TLS of somebody else": {"postgres://u@" + answering(t, "Sno handshake") + "/db?sslmode=require", postgres.ErrTLS},
		"unknown role":         {strings.Replace(db.Owner, "user=owner", "user=none", 1), postgres.ErrCredentials},
		"unknown database":     {strings.Replace(db.Owner, "/test_", "/none_", 1), postgres.ErrNoDatabase},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			_, status := postgres.Status(t.Context(), postgres.Config{URL: c.url})
			for doing, err := range map[string]error{"Status": status, "Open": try(t, c.url, false), "Open with Migrate": try(t, c.url, true)} {
				if !errors.Is(err, c.want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("%s: got %v, want one line that is %v", doing, err, c.want)
				}
			}
		})
	}
}

// A URL that would let every write fail is refused with the name of what is wrong in it; the other ways of the driver work.
func TestModes(t *testing.T) {
	t.Parallel()
	db := postgrestest.Fresh(t)
	for query, want := range map[string]string{
		"default_query_exec_mode=simple_protocol":                             "default_query_exec_mode",
		"default_query_exec_mode=exec":                                        "default_query_exec_mode",
		"statement_cache_capacity=0":                                          "statement_cache_capacity",
		"default_query_exec_mode=cache_describe&description_cache_capacity=0": "description_cache_capacity",
		"default_query_exec_mode=cache_describe&statement_cache_capacity=0":   "",
		"default_query_exec_mode=describe_exec&statement_cache_capacity=0":    "",
		"statement_cache_capacity=1&description_cache_capacity=0":             "",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			c := postgres.Config{URL: db.Application + "&" + query}
			if want != "" {
				_, _, err := c.Protection()
				if !errors.Is(err, postgres.ErrURL) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %v, want ErrURL in one line with %s", err, want)
				}
				return
			}
			s := open(t, c)
			for i := range 3 {
				if err := s.RecordOnce(t.Context(), audit.New(audit.KindKey, now)); err != nil {
					t.Errorf("entry %d: %v", i, err)
				}
			}
			if page, _, err := s.Entries(t.Context(), store.EntryQuery{Kind: audit.KindKey}); err != nil || len(page) < 3 {
				t.Errorf("got %d entries, %v; want 3 at least", len(page), err)
			}
		})
	}
}

// try opens a database that should not open, and lets it take five seconds and what a busy machine adds.
func try(t *testing.T, url string, migrate bool) error {
	t.Helper()
	begun := time.Now()
	s, err := postgres.Open(t.Context(), postgres.Config{URL: url, Migrate: migrate})
	if err == nil {
		s.Close()
	}
	if took := time.Since(begun); took > 8*time.Second {
		t.Errorf("it took %v to say %v", took, err)
	}
	return err
}

// answering is the address of a server that answers the first message with text, and says nothing more.
func answering(t *testing.T, text string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			c.Read(make([]byte, 8)) // the request for TLS
			c.Write([]byte(text))
		}
	}()
	return ln.Addr().String()
}

// Rights and schemas are refused by name too, and Status tells of them without changing anything.
func TestReasonsOfSchema(t *testing.T) {
	t.Parallel()
	empty := postgrestest.Empty(t)
	for range 2 { // the second time finds what the first left: nothing
		all, err := postgres.Status(t.Context(), postgres.Config{URL: empty.Owner})
		if err != nil || len(all) == 0 || !all[0].Applied.IsZero() {
			t.Errorf("Status of an empty database: got %v, %v; want all pending", all, err)
		}
		if err := try(t, empty.Owner, false); !errors.Is(err, migrations.ErrOlder) || !strings.Contains(err.Error(), "no schema") {
			t.Errorf("empty: got %v, want ErrOlder for no schema", err)
		}
	}
	if err := try(t, empty.Application, true); !errors.Is(err, postgres.ErrPrivilege) {
		t.Errorf("migrating as the application: got %v, want ErrPrivilege", err)
	}
}
