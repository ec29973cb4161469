package main

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

// planner is a store for the rules that tickets and the floor need: its Start keeps the write, so that it can be done later, against
// the clock.
type planner struct{ store.Store }

type planKey struct{}

// IssueTicket leaves the entry of the ticket out: writes of the trail wait for each other, and tickets are made by the thousand,
// outside of the clock.
func (p planner) IssueTicket(ctx context.Context, w impersonation.TicketWrite) error {
	w.Entries, w.Events = nil, nil
	return p.Store.IssueTicket(ctx, w)
}

// Start puts w where the context says.
func (planner) Start(ctx context.Context, w impersonation.StartWrite) error {
	*ctx.Value(planKey{}).(*impersonation.StartWrite) = w
	return nil
}

// floor measures the one write of a start without anything around it: the store's own rate.
func (b *bench) floor(callers int) row {
	m := meter{work: workFloor, conns: callers}
	for m.elapsed < b.o.length && m.errors == 0 {
		b.tickets()
		writes, rets := b.plan()
		n := b.drive(&m, len(writes), b.o.length-m.elapsed, func(_, i int) error { return b.store.Start(b.t.Context(), writes[i]) })
		for i, a := range b.accounts[:n] {
			a.ticket, a.session, a.ret = "", writes[i].Session.ID, string(rets[i])
		}
		b.stopAll()
	}
	return b.finish(&m)
}

func (b *bench) plan() (writes []impersonation.StartWrite, rets []oauth.Secret) {
	writes, rets = make([]impersonation.StartWrite, len(b.accounts)), make([]oauth.Secret, len(b.accounts))
	b.each(func(_ *conn, i int) error {
		a := b.accounts[i]
		proof, err := a.proof()
		if err != nil {
			return err
		}
		ctx := context.WithValue(b.t.Context(), planKey{}, &writes[i])
		s, err := b.service.Start(ctx, impersonation.StartRequest{Ticket: a.ticket, CodeVerifier: verifier, Client: app, Actor: proof, RequestID: oauth.NewID("req")})
		if err == nil {
			rets[i] = s.Return
		}
		return err
	})
	return writes, rets
}

const rawTable, rawInsert = `CREATE TABLE raw (id bigint PRIMARY KEY, body text)`, `INSERT INTO raw VALUES ($1, $2)`

// line is as long as an entry of a trail, more or less.
const line = "a line of some length, as an entry of a trail has"

// The names of what goes to the database without a server between.
const (
	workFloor  = "floor: start's write"
	rawPgbench = "raw insert, pgbench"
	rawPgx     = "raw insert, pgx"
	rawSQLite  = "raw insert, one writer"
)

// raw measures single rows that are inserted and committed.
func (b *bench) raw() []row {
	if b.superuser == "" {
		return []row{b.rawFile()}
	}
	pool, err := pgxpool.New(b.t.Context(), b.superuser+fmt.Sprintf("&pool_max_conns=%d", slices.Max(b.o.conns)))
	b.must(err)
	defer pool.Close()
	var rows []row
	for _, n := range b.o.conns {
		_, err := pool.Exec(b.t.Context(), `DROP TABLE IF EXISTS raw; `+rawTable)
		b.must(err)
		m := meter{work: rawPgx, conns: n}
		b.drive(&m, math.MaxInt, b.o.length, func(_, i int) error {
			_, err := pool.Exec(b.t.Context(), rawInsert, i, line)
			return err
		})
		rows = append(rows, b.finish(&m))
		_, err = pool.Exec(b.t.Context(), `DROP TABLE raw; CREATE TABLE raw (id bigserial PRIMARY KEY, body text)`)
		b.must(err)
		rows = append(rows, b.pgbench(n)...)
	}
	_, err = pool.Exec(b.t.Context(), `DROP TABLE raw`)
	b.must(err)
	return rows
}

// pgbench measures the same by Postgres' own tool, where it lies beside the server's binary.
func (b *bench) pgbench(conns int) []row {
	binary, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", b.processes.database))
	b.must(err)
	tool := filepath.Join(filepath.Dir(binary), "pgbench")
	if _, err := os.Stat(tool); err != nil {
		b.say("no pgbench beside %s: raw is pgx's alone", binary)
		return nil
	}
	script := filepath.Join(b.t.TempDir(), "insert.sql")
	b.must(os.WriteFile(script, []byte(`INSERT INTO raw (body) VALUES ('`+line+`');`), 0o600))
	u, err := url.Parse(b.superuser)
	b.must(err)
	cmd := exec.CommandContext(b.t.Context(), tool, "-n", "-M", "prepared", "-f", script, "-c", strconv.Itoa(conns), "-j", strconv.Itoa(min(2, conns)),
		"-T", strconv.Itoa(max(1, int(b.o.length.Seconds()))), "-h", u.Query().Get("host"), "-U", u.Query().Get("user"), strings.TrimPrefix(u.Path, "/"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.t.Fatalf("pgbench: %v\n%s", err, out)
	}
	r := row{Store: b.name, Work: rawPgbench, Conns: conns}
	for s := bufio.NewScanner(strings.NewReader(string(out))); s.Scan(); {
		fmt.Sscanf(s.Text(), "tps = %f", &r.Rate)
		fmt.Sscanf(s.Text(), "number of transactions actually processed: %d", &r.Calls)
	}
	if r.Rate == 0 {
		b.t.Fatalf("pgbench told no rate\n%s", out)
	}
	r.Generator = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() * 1e6 / float64(max(1, r.Calls))
	b.say("%-22s %3d conns %8.0f/s", r.Work, conns, r.Rate)
	return []row{r}
}

// rawFile is what one writer commits into a file with the settings of our store.
func (b *bench) rawFile() row {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(b.t.TempDir(), "raw.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	b.must(err)
	defer db.Close()
	db.SetMaxOpenConns(1)
	_, err = db.ExecContext(b.t.Context(), rawTable)
	b.must(err)
	insert, err := db.PrepareContext(b.t.Context(), rawInsert)
	b.must(err)
	m := meter{work: rawSQLite, conns: 1}
	b.drive(&m, math.MaxInt, b.o.length, func(_, i int) error {
		_, err := insert.ExecContext(b.t.Context(), i, line)
		return err
	})
	return b.finish(&m)
}

// postmaster finds the Postgres that the database lies in.
func (b *bench) postmaster() int {
	c, err := pgx.Connect(b.t.Context(), b.superuser)
	b.must(err)
	defer c.Close(b.t.Context())
	var dir string
	b.must(c.QueryRow(b.t.Context(), `SHOW data_directory`).Scan(&dir))
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	b.must(err)
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	b.must(err)
	return pid
}

// settle lets Postgres look at the tables once, as it does by itself after a while.
func (b *bench) settle() {
	if b.superuser == "" {
		return
	}
	c, err := pgx.Connect(b.t.Context(), b.superuser)
	b.must(err)
	defer c.Close(b.t.Context())
	_, err = c.Exec(b.t.Context(), `ANALYZE`)
	b.must(err)
}
