package transfer

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/understudy-id/understudy/oauth/store"
)

const (
	// makeGuard holds every writer but the connection that says which copy it is: also a server that had opened the database while
	// it was empty. A statement trigger costs nothing a row.
	makeGuard = `CREATE FUNCTION copy_guard() RETURNS trigger LANGUAGE plpgsql AS $$
		BEGIN
			IF current_setting('understudy.copy', true) IS DISTINCT FROM TG_ARGV[0] THEN
				RAISE EXCEPTION 'an installation is being copied here: nobody else may write' USING ERRCODE = 'restrict_violation';
			END IF;
			RETURN NULL;
		END;
		$$`
	makeTrigger = ` BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION copy_guard(%s)`
	dropGuard   = `DROP FUNCTION copy_guard() CASCADE`
	becomeCopy  = `SELECT set_config('understudy.copy', $1, false)`

	claimTarget = `UPDATE installation SET marker = $1, name = $2 WHERE id = 1 AND marker = ''`
	clearTarget = `UPDATE installation SET marker = '' WHERE id = 1 AND marker = $1`
)

// claim marks an empty target for a copy of the installation name. It commits after then has succeeded; a nil then only tries,
// and changes nothing. ErrTarget if there is any row, ErrOwner.
func (t *target) claim(ctx context.Context, id, name string, then func() error) error {
	tx, err := t.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing after a commit
	// The tables before the installation, as all writers do; with the triggers no writer is under way any more.
	if err := guard(ctx, tx, id); err != nil {
		return busy(owner(err))
	}
	for _, tab := range tables {
		var some bool
		if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+tab.name+`)`).Scan(&some); err != nil {
			return err
		}
		if some {
			return fmt.Errorf("%w: there are rows in %s", ErrTarget, tab.name)
		}
	}
	tag, err := tx.Exec(ctx, claimTarget, store.Mark{State: store.Filling, Copy: id}.String(), name)
	if err != nil {
		return busy(owner(err))
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("%w: somebody else marked it", ErrTarget)
	}
	if then == nil {
		return nil
	}
	if err := then(); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

func guard(ctx context.Context, tx pgx.Tx, id string) error {
	if _, err := tx.Exec(ctx, makeGuard); err != nil {
		return err
	}
	for _, tab := range tables {
		// A trigger's argument cannot be a parameter. An ID of ours has no quote.
		if _, err := tx.Exec(ctx, `CREATE TRIGGER copy_guard`+fmt.Sprintf(makeTrigger, tab.name, "'"+id+"'")); err != nil {
			return err
		}
	}
	return nil
}

// owner names what a right that is missing means.
func owner(err error) error {
	const insufficientPrivilege = "42501"
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == insufficientPrivilege {
		return fmt.Errorf("%w: %s", ErrOwner, e.Message)
	}
	return err
}

// become lets this connection write what copy id brings.
func (t *target) become(ctx context.Context, id string) error {
	_, err := t.conn.Exec(ctx, becomeCopy, id)
	return err
}

// finish makes the target the installation.
func (t *target) finish(ctx context.Context, id string) error {
	tx, err := t.conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx)) // nothing after a commit
	if _, err := tx.Exec(ctx, dropGuard); err != nil {
		return busy(owner(err))
	}
	tag, err := tx.Exec(ctx, clearTarget, store.Mark{State: store.Filling, Copy: id}.String())
	if err != nil {
		return busy(owner(err))
	}
	if tag.RowsAffected() != 1 {
		return fmt.Errorf("%w: somebody else marked it", ErrTarget)
	}
	return tx.Commit(ctx)
}

// analyse tells Postgres how many rows there are, before they are read and before a server plans with them.
func (t *target) analyse(ctx context.Context) error {
	var names []string
	for _, tab := range tables {
		names = append(names, tab.name)
	}
	_, err := t.conn.Exec(ctx, `ANALYZE `+strings.Join(names, ", "))
	return err
}
