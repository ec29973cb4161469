package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

// guarded is how many epochs can concern one impersonation: the instance, the client, the actor, the subject, and the organisations
// of both. A shorter guard is filled up with keys that no row has.
const guarded = 6

var (
	// countChanged counts what is not as it was read. A row that is not there stands for 0, and rows are never deleted, so only
	// rows that are there can differ. A login or a grant that is gone counts as ended. The keys are bound one by one: a list as
	// JSON made this statement a quarter of the cost of a start.
	countChanged = `SELECT
		(SELECT count(*) FROM epoch WHERE ` + anyOf(guarded, `(scope = ? AND id = ? AND (n <> ? OR killed_at IS NOT NULL))`) + `)
		+ (SELECT count(*) FROM authz_version WHERE ` + anyOf(2, `(organisation = ? AND n <> ?)`) + `)
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM login WHERE id = ? AND ended_at IS NULL))
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ? AND revoked_at IS NULL))`

	selectEpochs = `SELECT scope, id, n, killed_at, killed_by, reason FROM epoch WHERE ` + anyOf(guarded, `(scope = ? AND id = ?)`)
)

// anyOf joins n times the condition by OR, which SQLite answers by n searches of the index.
func anyOf(n int, condition string) string {
	return strings.Repeat(condition+" OR ", n-1) + condition
}

const (
	selectAuthz = `SELECT organisation, n FROM authz_version WHERE organisation IN (?, ?)`

	bumpAuthz = `INSERT INTO authz_version (organisation, n) VALUES (?, 1) ON CONFLICT (organisation) DO UPDATE SET n = n + 1`
)

// hold answers impersonation.ErrChanged if anything in g is not what it was.
func (c *conn) hold(ctx context.Context, g impersonation.Guard) error {
	if len(g.Epochs) > guarded || len(g.Authz) > 2 {
		return fmt.Errorf("%w: a guard of %d epochs and %d organisations", errRefused, len(g.Epochs), len(g.Authz))
	}
	args := make([]any, 0, 3*guarded+8)
	for i := range guarded {
		var e impersonation.Epoch
		if i < len(g.Epochs) {
			e = g.Epochs[i]
		}
		args = append(args, string(e.Scope), e.ID, e.N)
	}
	for i := range 2 {
		if i < len(g.Authz) {
			args = append(args, g.Authz[i].Organisation, g.Authz[i].N)
		} else {
			args = append(args, nil, nil) // NULL equals nothing; "" would be the staff's organisation
		}
	}
	args = append(args, g.Login, g.Login, g.ActorJTI, g.ActorJTI)
	var changed int64
	if err := c.row(ctx, countChanged, args, []any{&changed}); err != nil {
		return err
	}
	if changed > 0 {
		return impersonation.ErrChanged
	}
	return nil
}

// reach lists the epochs that concern an impersonation, each once: also those of people that do not exist.
func reach(client, actor, subject string, people ...*policy.Person) []impersonation.Epoch {
	keys := []impersonation.Epoch{{Scope: impersonation.ScopeInstance}}
	add := func(scope impersonation.EpochScope, id string) {
		if k := (impersonation.Epoch{Scope: scope, ID: id}); id != "" && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	add(impersonation.ScopeClient, client)
	add(impersonation.ScopeActor, actor)
	add(impersonation.ScopeSubject, subject)
	for _, p := range people {
		if p != nil {
			add(impersonation.ScopeOrganisation, p.Organisation)
		}
	}
	return keys
}

// epochs fills in what the keys have come to, and gives the kills that are on. A key without a row was never killed.
func (c *conn) epochs(ctx context.Context, keys []impersonation.Epoch) (kills []impersonation.Kill, err error) {
	args := make([]any, 0, 2*guarded)
	for i := range guarded {
		var e impersonation.Epoch
		if i < len(keys) {
			e = keys[i]
		}
		args = append(args, string(e.Scope), e.ID)
	}
	return kills, c.each(ctx, selectEpochs, args, func(r *sql.Rows) error {
		var k impersonation.Kill
		var n int64
		if err := r.Scan(&k.Scope, &k.ID, &n, at{&k.At}, &k.By, &k.Reason); err != nil {
			return err
		}
		for i := range keys {
			if e := &keys[i]; e.Scope == k.Scope && e.ID == k.ID {
				e.N, e.Killed = n, !k.At.IsZero()
			}
		}
		if !k.At.IsZero() {
			kills = append(kills, k)
		}
		return nil
	})
}

// authz reads the version of each person's organisation, "" included, each once.
func (c *conn) authz(ctx context.Context, people ...*policy.Person) ([]impersonation.Version, error) {
	var out []impersonation.Version
	for _, p := range people {
		if p != nil && !slices.ContainsFunc(out, func(v impersonation.Version) bool { return v.Organisation == p.Organisation }) {
			out = append(out, impersonation.Version{Organisation: p.Organisation})
		}
	}
	if len(out) == 0 {
		return nil, nil
	}
	return out, c.each(ctx, selectAuthz, []any{out[0].Organisation, out[len(out)-1].Organisation}, func(r *sql.Rows) error {
		var v impersonation.Version
		if err := r.Scan(&v.Organisation, &v.N); err != nil {
			return err
		}
		for i := range out {
			if out[i].Organisation == v.Organisation {
				out[i].N = v.N
			}
		}
		return nil
	})
}

// bump makes every start that was decided on a person of organisation read again.
func (c *conn) bump(ctx context.Context, organisation string) error {
	_, err := c.exec(ctx, bumpAuthz, organisation)
	return err
}
