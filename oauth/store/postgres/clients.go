package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	clientColumns = `c.id, c.name, c.public, c.exchange, c.scopes, c.resources, c.serves, c.redirect_uris, c.secret_hash, c.settings, c.created_at`

	selectClient  = `SELECT ` + clientColumns + ` FROM client c WHERE c.id = ANY ($1::text[]) AND c.deleted_at IS NULL`
	selectClients = `SELECT ` + clientColumns + ` FROM client c WHERE c.deleted_at IS NULL ORDER BY c.id`
	insertClient  = `INSERT INTO client (id, name, public, exchange, scopes, resources, serves, redirect_uris, secret_hash, settings, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`

	// lockClients keeps out whoever else writes a client, and nobody who reads one or locks it for a start.
	lockClients  = `LOCK TABLE client IN SHARE ROW EXCLUSIVE MODE`
	changeClient = `UPDATE client SET exchange = $1, secret_hash = $2, settings = $3 WHERE id = $4 AND settings = $5 AND deleted_at IS NULL`
	knowsClient  = `SELECT EXISTS (SELECT 1 FROM client WHERE id = $1 AND deleted_at IS NULL)`

	deleteClient       = `UPDATE client SET deleted_at = $1, secret_hash = NULL WHERE id = $2 AND deleted_at IS NULL`
	deleteClientGrants = `DELETE FROM oauth_grant WHERE id = ANY (ARRAY(SELECT id FROM oauth_grant WHERE client = $1 ORDER BY id FOR UPDATE))`
	deleteTickets      = `DELETE FROM ticket WHERE hash = ANY (ARRAY(SELECT hash FROM ticket WHERE client = $1 ORDER BY hash FOR UPDATE))`
)

func clientDest(c *store.Client) []any {
	return []any{text(&c.ID), text(&c.Name), flag{&c.Public}, flag{&c.Exchange}, items{&c.Scopes}, items{&c.Resources}, items{&c.Serves},
		items{&c.RedirectURIs}, hash{&c.SecretHash}, clientSettings{&c.Settings}, at{&c.Created}}
}

// Client implements store.Clients.
func (s *Store) Client(ctx context.Context, id string) (out store.Client, err error) {
	if !storable(id) {
		return out, failed("reading a client", store.ErrNotFound)
	}
	out, err = s.loadClients.do(ctx, id)
	return out, failed("reading a client", err)
}

func (s *Store) readClients(ctx context.Context, ids []string) (map[string]store.Client, error) {
	return readMany(ctx, s, selectClient, []any{ids}, func(rows pgx.Rows, found map[string]store.Client) error {
		var c store.Client
		err := rows.Scan(clientDest(&c)...)
		found[c.ID] = c
		return err
	})
}

// ListClients implements store.Clients.
func (s *Store) ListClients(ctx context.Context) (out []store.Client, err error) {
	err = s.single(ctx, "listing clients", func(ctx context.Context, q querier) error {
		out, err = clients(ctx, q)
		return err
	})
	return out, err
}

func clients(ctx context.Context, q querier) (out []store.Client, err error) {
	err = each(ctx, q, selectClients, nil, func(r pgx.Rows) error {
		var one store.Client
		err := r.Scan(clientDest(&one)...)
		out = append(out, one)
		return err
	})
	return out, err
}

// checkNaming is asked once the client id is written, under lockClients.
func checkNaming(ctx context.Context, t *tx, id string) error {
	all, err := clients(ctx, t)
	if err != nil {
		return err
	}
	return store.CheckNaming(id, all)
}

// CreateClient implements store.Clients.
func (s *Store) CreateClient(ctx context.Context, w store.ClientWrite) error {
	if err := store.CheckKeys(w.Client.ID); err != nil {
		return failed("creating a client", err)
	}
	return s.update(ctx, "creating a client", func(ctx context.Context, t *tx) error {
		n := w.Client
		if _, err := exec(ctx, t, lockClients); err != nil {
			return err
		}
		t.record(w.Entries, w.Events)
		_, err := exec(ctx, t, insertClient, n.ID, n.Name, n.Public, n.Exchange, list(n.Scopes), list(n.Resources), list(n.Serves),
			list(n.RedirectURIs), hashed(n.SecretHash), store.EncodeSettings(n.Settings), ms(n.Created))
		if err != nil {
			return exists(err)
		}
		return checkNaming(ctx, t, n.ID)
	})
}

// ChangeClient implements store.Clients.
func (s *Store) ChangeClient(ctx context.Context, w store.ClientChange) error {
	w.Scope, w.ID, w.Kill = impersonation.ScopeClient, w.Client.ID, false
	return s.update(ctx, "changing a client", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, lockClients); err != nil {
			return err
		}
		n, err := exec(ctx, t, changeClient, w.Client.Exchange, hashed(w.Client.SecretHash), store.EncodeSettings(w.Client.Settings), w.ID, store.EncodeSettings(w.Was))
		if err != nil {
			return err
		}
		if n == 0 {
			return unchanged(ctx, t, w.ID)
		}
		if err := checkNaming(ctx, t, w.ID); err != nil {
			return err
		}
		// A start that was decided before must find something changed.
		if _, err := exec(ctx, t, bumpEpoch, string(w.Scope), w.ID); err != nil {
			return err
		}
		if !w.Ends {
			t.record(w.Entries, w.Events)
			return nil
		}
		// The client is told of people's logins now: without the grants nothing says that it knew them.
		if _, err := exec(ctx, t, noticeClient, w.Now.UnixMilli(), w.ID); err != nil {
			return err
		}
		for _, q := range []string{deleteClientGrants, deleteTickets} {
			if _, err := exec(ctx, t, q, w.ID); err != nil {
				return err
			}
		}
		_, err = t.endAndRecord(ctx, w.EndWrite)
		return err
	})
}

// unchanged says why a change found nothing to change.
func unchanged(ctx context.Context, t *tx, id string) error {
	var known bool
	if err := t.QueryRow(ctx, knowsClient, id).Scan(&known); err != nil {
		return err
	}
	if !known {
		return store.ErrNotFound
	}
	return impersonation.ErrChanged
}

// DeleteClient implements store.Clients.
func (s *Store) DeleteClient(ctx context.Context, id string, end impersonation.EndWrite) error {
	end.Scope, end.ID, end.Kill = impersonation.ScopeClient, id, false
	return s.update(ctx, "deleting a client", func(ctx context.Context, t *tx) error {
		if _, err := exec(ctx, t, queueKill); err != nil {
			return err
		}
		if _, err := exec(ctx, t, queueClient, id); err != nil {
			return err
		}
		n, err := exec(ctx, t, deleteClient, end.Now.UnixMilli(), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrNotFound
		}
		// A start that was decided before must find something changed.
		if _, err := exec(ctx, t, bumpEpoch, string(end.Scope), id); err != nil {
			return err
		}
		for _, q := range []string{deleteClientGrants, deleteTickets, deleteStreams} {
			if _, err := exec(ctx, t, q, id); err != nil {
				return err
			}
		}
		if _, err := exec(ctx, t, revokeClientConsents, end.Now.UnixMilli(), id); err != nil {
			return err
		}
		_, err = t.endAndRecord(ctx, end)
		return err
	})
}
