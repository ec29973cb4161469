package postgres

import (
	"fmt"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
)

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

// epochsJoin reads the epochs that concern client, actor and subject as arrays in one row. The arguments are expressions.
func epochsJoin(client, actor, subject, organisationA, organisationB string) string {
	return fmt.Sprintf(` LEFT JOIN LATERAL (SELECT array_agg(e.scope) AS scopes, array_agg(e.id) AS ids, array_agg(e.n) AS ns,
			array_agg(e.killed_at) AS killed, array_agg(e.killed_by) AS by, array_agg(e.reason) AS reasons
		FROM (VALUES ('instance', ''), ('client', %s), ('actor', %s), ('subject', %s), ('organisation', %s), ('organisation', %s)) k(scope, id)
		CROSS JOIN LATERAL (SELECT * FROM epoch WHERE scope = k.scope AND epoch.id = k.id OFFSET 0) e) e ON true`, client, actor, subject, organisationA, organisationB)
}

const epochArrays = `e.scopes, e.ids, e.ns, e.killed, e.by, e.reasons`

// epochs is what epochsJoin gives.
type epochs struct {
	scopes, ids, by, reasons []string
	ns                       []int64
	killed                   []*int64
}

func (e *epochs) dest() []any { return []any{&e.scopes, &e.ids, &e.ns, &e.killed, &e.by, &e.reasons} }

// fill puts into keys what they have come to, and gives the kills that are on. A key without a row was never killed.
func (e *epochs) fill(keys []impersonation.Epoch) (kills []impersonation.Kill) {
	for i := range keys {
		k := &keys[i]
		at := e.find(k)
		if at < 0 {
			continue
		}
		if k.N, k.Killed = e.ns[at], e.killed[at] != nil; k.Killed {
			kills = append(kills, impersonation.Kill{Scope: k.Scope, ID: k.ID, Reason: e.reasons[at], By: e.by[at], At: time.UnixMilli(*e.killed[at]).UTC()})
		}
	}
	return kills
}

func (e *epochs) find(k *impersonation.Epoch) int {
	for i, id := range e.ids {
		if id == k.ID && e.scopes[i] == string(k.Scope) {
			return i
		}
	}
	return -1
}
