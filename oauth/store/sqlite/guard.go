package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

const (
	// countChanged counts what is not as it was read. Lists come as JSON, so that it is one statement whatever their length.
	// A login or a grant that is gone counts as ended.
	countChanged = `SELECT
		(SELECT count(*) FROM json_each(?1) k LEFT JOIN epoch e ON e.scope = k.value ->> 0 AND e.id = k.value ->> 1
			WHERE coalesce(e.n, 0) <> k.value ->> 2 OR e.killed_at IS NOT NULL)
		+ (SELECT count(*) FROM json_each(?2) k LEFT JOIN authz_version a ON a.organisation = k.value ->> 0
			WHERE coalesce(a.n, 0) <> k.value ->> 1)
		+ (?3 <> '' AND NOT EXISTS (SELECT 1 FROM login WHERE id = ?3 AND ended_at IS NULL))
		+ (?4 <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ?4 AND revoked_at IS NULL))`

	selectEpoch = `SELECT n, killed_at, killed_by, reason FROM epoch WHERE scope = ? AND id = ?`
	selectAuthz = `SELECT n FROM authz_version WHERE organisation = ?`

	bumpAuthz = `INSERT INTO authz_version (organisation, n) VALUES (?, 1) ON CONFLICT (organisation) DO UPDATE SET n = n + 1`
)

// hold answers impersonation.ErrChanged if anything in g is not what it was.
func (c *conn) hold(ctx context.Context, g impersonation.Guard) error {
	epochs := make([][3]any, 0, len(g.Epochs))
	for _, e := range g.Epochs {
		epochs = append(epochs, [3]any{e.Scope, e.ID, e.N})
	}
	versions := make([][2]any, 0, len(g.Authz))
	for _, v := range g.Authz {
		versions = append(versions, [2]any{v.Organisation, v.N})
	}
	ej, _ := json.Marshal(epochs)   // strings and numbers always marshal
	vj, _ := json.Marshal(versions) // strings and numbers always marshal
	var changed int64
	if err := c.row(ctx, countChanged, []any{string(ej), string(vj), g.Login, g.ActorJTI}, []any{&changed}); err != nil {
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

// epochs fills in what the keys have come to, and gives the kills that are on.
func (c *conn) epochs(ctx context.Context, keys []impersonation.Epoch) (kills []impersonation.Kill, err error) {
	for i := range keys {
		e := &keys[i]
		k := impersonation.Kill{Scope: e.Scope, ID: e.ID}
		err := c.row(ctx, selectEpoch, []any{string(e.Scope), e.ID}, []any{&e.N, at{&k.At}, &k.By, &k.Reason})
		if err == sql.ErrNoRows {
			continue // never killed: its count is 0
		}
		if err != nil {
			return nil, err
		}
		if e.Killed = !k.At.IsZero(); e.Killed {
			kills = append(kills, k)
		}
	}
	return kills, nil
}

// authz reads the version of each person's organisation, "" included, each once.
func (c *conn) authz(ctx context.Context, people ...*policy.Person) ([]impersonation.Version, error) {
	var out []impersonation.Version
	for _, p := range people {
		if p == nil || slices.ContainsFunc(out, func(v impersonation.Version) bool { return v.Organisation == p.Organisation }) {
			continue
		}
		v := impersonation.Version{Organisation: p.Organisation}
		if err := c.row(ctx, selectAuthz, []any{p.Organisation}, []any{&v.N}); err != nil && err != sql.ErrNoRows {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// bump makes every start that was decided on a person of organisation read again.
func (c *conn) bump(ctx context.Context, organisation string) error {
	_, err := c.exec(ctx, bumpAuthz, organisation)
	return err
}
