package transfer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/store/postgres"
	"github.com/understudy-id/understudy/oauth/store/transfer"
)

// The backend of a killed copy may still be at its last statement: whoever goes on waits for it, and not for ever.
func TestOneCopyAtATime(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits ten seconds for a lock")
	}
	s := newScene(t, 1)
	conn, err := pgx.Connect(t.Context(), s.db.Owner)
	s.ok(err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, int64(transfer.OnlyOne))
	s.ok(err)
	if _, err := transfer.Copy(t.Context(), s.config()); !errors.Is(err, transfer.ErrBusy) {
		t.Errorf("got %v, want ErrBusy", err)
	}
	s.untouched("", "")
	s.ok(conn.Close(t.Context()))
	s.copy()
}

// A database that does not know what its bytes mean would sort and keep them otherwise.
func TestOtherEncoding(t *testing.T) {
	t.Parallel()
	s := newScene(t, 1)
	name := s.db.Superuser[strings.Index(s.db.Superuser, "test_"):strings.Index(s.db.Superuser, "?")]
	s.inTarget(`CREATE DATABASE ascii_` + name + ` TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'`)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), s.db.Superuser)
		s.ok(err)
		_, err = conn.Exec(context.WithoutCancel(t.Context()), `DROP DATABASE ascii_`+name+` WITH (FORCE)`)
		s.ok(errors.Join(err, conn.Close(context.WithoutCancel(t.Context()))))
	})
	c := s.config()
	c.To.URL = strings.Replace(s.db.Superuser, name, "ascii_"+name, 1)
	made, err := postgres.Open(t.Context(), postgres.Config{URL: c.To.URL, Migrate: true})
	s.ok(err)
	s.ok(made.Close())
	if _, err := transfer.Copy(t.Context(), c); err == nil || !strings.Contains(err.Error(), "its encoding is SQL_ASCII") {
		t.Errorf("got %v, want a refusal of the encoding", err)
	}
	s.untouched("", "")
}
