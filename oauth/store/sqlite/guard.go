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

// slots are the scopes of the epochs that can concern one impersonation; the organisations are those of both persons.
var slots = [...]impersonation.EpochScope{impersonation.ScopeInstance, impersonation.ScopeClient, impersonation.ScopeActor, impersonation.ScopeSubject,
	impersonation.ScopeOrganisation, impersonation.ScopeOrganisation}

var (
	// countChanged counts what is not as it was read. A row that is not there stands for 0, and rows are never deleted, so only
	// rows that are there can differ. A login or a grant that is gone counts as ended. The keys are bound one by one: a list as
	// JSON made this statement a quarter of the cost of a start.
	countChanged = `SELECT
		(SELECT count(*) FROM epoch WHERE ` + anySlot(`AND (n <> ? OR killed_at IS NOT NULL)`) + `)
		+ (SELECT count(*) FROM authz_version WHERE organisation = ? AND n <> ? OR organisation = ? AND n <> ?)
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM login WHERE id = ? AND ended_at IS NULL))
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ? AND revoked_at IS NULL))
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM login WHERE id = ? AND ended_at IS NULL))
		+ (? <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant WHERE jti = ? AND revoked_at IS NULL))`

	// countChangedOrOthers also counts the other living sessions of the same login and client.
	countChangedOrOthers = countChanged + `
		+ (SELECT count(*) FROM impersonation_session WHERE login = ? AND login <> '' AND client = ? AND ended_at IS NULL AND expires_at > ?)`

	selectEpochs = `SELECT scope, id, n, killed_at, killed_by, reason FROM epoch WHERE ` + anySlot(``)
)

// anySlot is the condition that a row is that of some slot, each with its own rest. SQLite answers it by a search a slot.
func anySlot(rest string) string {
	var or []string
	for _, scope := range slots {
		or = append(or, `(scope = '`+string(scope)+`' AND id = ? `+rest+`)`)
	}
	return strings.Join(or, " OR ")
}

// inSlots puts each epoch into the slot of its scope. A slot that stays nil binds NULL, which equals nothing.
func inSlots(epochs []impersonation.Epoch) (out [len(slots)]*impersonation.Epoch, err error) {
next:
	for i := range epochs {
		for at, scope := range slots {
			if out[at] == nil && scope == epochs[i].Scope {
				out[at] = &epochs[i]
				continue next
			}
		}
		return out, fmt.Errorf("%w: an epoch of scope %q too many", errRefused, epochs[i].Scope)
	}
	return out, nil
}

const bumpAuthz = `INSERT INTO authz_version (organisation, n) VALUES (?, 1) ON CONFLICT (organisation) DO UPDATE SET n = n + 1`

// hold answers impersonation.ErrChanged if anything in g is not what it was. query is countChanged or a longer one, which
// binds more.
func (c *conn) hold(ctx context.Context, query string, g impersonation.Guard, more ...any) error {
	epochs, err := inSlots(g.Epochs)
	if err != nil {
		return err
	}
	if len(g.Authz) > 2 {
		return fmt.Errorf("%w: a guard of %d organisations", errRefused, len(g.Authz))
	}
	args := make([]any, 0, 2*len(slots)+12+len(more))
	for _, e := range epochs {
		if e == nil {
			args = append(args, nil, nil)
		} else {
			args = append(args, e.ID, e.N)
		}
	}
	for i := range 2 {
		if i < len(g.Authz) {
			args = append(args, g.Authz[i].Organisation, g.Authz[i].N)
		} else {
			args = append(args, nil, nil)
		}
	}
	args = append(args, g.Login, g.Login, g.ActorJTI, g.ActorJTI, g.SubjectLogin, g.SubjectLogin, g.SubjectJTI, g.SubjectJTI)
	args = append(args, more...)
	var changed int64
	if err := c.row(ctx, query, args, []any{&changed}); err != nil {
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
	slotted, err := inSlots(keys)
	if err != nil {
		return nil, err
	}
	args := make([]any, len(slotted))
	for i, e := range slotted {
		if e != nil {
			args[i] = e.ID
		}
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

// bump makes every start that was decided on a person of organisation read again.
func (c *conn) bump(ctx context.Context, organisation string) error {
	_, err := c.exec(ctx, bumpAuthz, organisation)
	return err
}

// bumpAll is bump for each of organisations once.
func (c *conn) bumpAll(ctx context.Context, organisations []string) error {
	slices.Sort(organisations)
	for _, o := range slices.Compact(organisations) {
		if err := c.bump(ctx, o); err != nil {
			return err
		}
	}
	return nil
}
