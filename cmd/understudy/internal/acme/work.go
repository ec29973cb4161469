package acme

import (
	"context"
	"database/sql"
	"fmt"
	"hash/fnv"
	"time"
)

// project is what an organisation works on.
type project struct {
	ID    int64
	Name  string
	Notes []note
}

type note struct {
	Author, Text string
	Written      time.Time
}

type invoice struct {
	Number string
	Cents  int64
}

// Total is the amount for people.
func (i invoice) Total() string { return fmt.Sprintf("€ %d.%02d", i.Cents/100, i.Cents%100) }

type report struct {
	Title, Quarter string
	Figure         int64
}

const (
	listProjects = `SELECT id, name FROM project WHERE organisation = ? ORDER BY id`
	listNotes    = `SELECT n.project_id, a.name, n.text, n.written_at FROM note n
		JOIN project p ON p.id = n.project_id JOIN account a ON a.sub = n.author WHERE p.organisation = ? ORDER BY n.id`
	updateProject = `UPDATE project SET name = ?3 WHERE organisation = ?1 AND id = ?2`
	insertNote    = `INSERT INTO note (project_id, author, text, written_at) SELECT id, ?3, ?4, ?5 FROM project WHERE organisation = ?1 AND id = ?2`
	listInvoices  = `SELECT number, cents FROM invoice WHERE organisation = ? ORDER BY number DESC`
	listReports   = `SELECT title, quarter, figure FROM report WHERE organisation = ? ORDER BY title, quarter DESC`

	countProjects = `SELECT count(*) FROM project WHERE organisation = ?`
	insertProject = `INSERT INTO project (organisation, name) VALUES (?, ?)`
	insertInvoice = `INSERT INTO invoice (organisation, number, cents) VALUES (?, ?, ?)`
	insertReport  = `INSERT INTO report (organisation, title, quarter, figure) VALUES (?, ?, ?, ?)`
)

func (a *App) projectsOf(ctx context.Context, organisation string) (out []*project, err error) {
	byID := map[int64]*project{}
	err = each(ctx, a.db, func(r *sql.Rows) error {
		p := new(project)
		out = append(out, p)
		err := r.Scan(&p.ID, &p.Name)
		byID[p.ID] = p
		return err
	}, listProjects, organisation)
	if err != nil {
		return nil, err
	}
	return out, each(ctx, a.db, func(r *sql.Rows) error {
		var n note
		var id, written int64
		if err := r.Scan(&id, &n.Author, &n.Text, &written); err != nil {
			return err
		}
		n.Written = time.UnixMilli(written).UTC()
		if p := byID[id]; p != nil { // nil: made since the other query
			p.Notes = append(p.Notes, n)
		}
		return nil
	}, listNotes, organisation)
}

func (a *App) invoicesOf(ctx context.Context, organisation string) (out []invoice, err error) {
	err = each(ctx, a.db, func(r *sql.Rows) error {
		var i invoice
		err := r.Scan(&i.Number, &i.Cents)
		out = append(out, i)
		return err
	}, listInvoices, organisation)
	return out, err
}

func (a *App) reportsOf(ctx context.Context, organisation string) (out []report, err error) {
	err = each(ctx, a.db, func(r *sql.Rows) error {
		var p report
		err := r.Scan(&p.Title, &p.Quarter, &p.Figure)
		out = append(out, p)
		return err
	}, listReports, organisation)
	return out, err
}

// change runs a statement that must find its row: nobody reaches another organisation's by its number.
func (a *App) change(ctx context.Context, query string, args ...any) error {
	res, err := a.db.ExecContext(ctx, query, args...)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		return err
	}
	return errNotFound
}

// beginOrganisation gives an organisation something to work with, once. Staff, who have none, have nothing.
func beginOrganisation(ctx context.Context, tx *sql.Tx, name string) error {
	var n int
	if err := tx.QueryRowContext(ctx, countProjects, name).Scan(&n); err != nil || n > 0 || name == "" {
		return err
	}
	figure := figures(name)
	for _, p := range []string{"Spring launch", "Website refresh", "Moving to the new warehouse"} {
		if _, err := tx.ExecContext(ctx, insertProject, name, p); err != nil {
			return err
		}
	}
	for _, number := range []string{"2026-007", "2026-008", "2026-009"} {
		if _, err := tx.ExecContext(ctx, insertInvoice, name, number, 20_000+figure()); err != nil {
			return err
		}
	}
	for _, title := range []string{"Visitors", "Orders", "Returned parcels"} {
		for _, quarter := range []string{"2026 Q1", "2026 Q2", "2026 Q3"} {
			if _, err := tx.ExecContext(ctx, insertReport, name, title, quarter, 500+figure()); err != nil {
				return err
			}
		}
	}
	return nil
}

// figures gives numbers below 50,000 that differ from one organisation to the next, and are the same in every run.
func figures(name string) func() int64 {
	h := fnv.New32a()
	return func() int64 {
		h.Write([]byte(name))
		return int64(h.Sum32() % 50_000)
	}
}
