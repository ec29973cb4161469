package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
)

const (
	clientColumns = `id, name, public, exchange, scopes, resources, serves, redirect_uris, secret_hash, settings, created_at`

	selectClient  = `SELECT ` + clientColumns + ` FROM client WHERE id = ? AND deleted_at IS NULL`
	selectClients = `SELECT ` + clientColumns + ` FROM client WHERE deleted_at IS NULL ORDER BY id`
	insertClient  = `INSERT INTO client (` + clientColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	changeClient       = `UPDATE client SET exchange = ?, secret_hash = ?, settings = ? WHERE id = ? AND settings = ? AND deleted_at IS NULL`
	deleteClient       = `UPDATE client SET deleted_at = ?, secret_hash = NULL WHERE id = ? AND deleted_at IS NULL`
	deleteClientGrants = `DELETE FROM oauth_grant WHERE client = ?`
	deleteTickets      = `DELETE FROM ticket WHERE client = ?`
)

func clientDest(c *store.Client) []any {
	return []any{&c.ID, &c.Name, &c.Public, &c.Exchange, items{&c.Scopes}, items{&c.Resources}, items{&c.Serves}, items{&c.RedirectURIs},
		hash{&c.SecretHash}, clientSettings{&c.Settings}, at{&c.Created}}
}

// client finds by id; sql.ErrNoRows.
func (c *conn) client(ctx context.Context, id string) (*store.Client, error) {
	out := new(store.Client)
	return out, c.row(ctx, selectClient, []any{id}, clientDest(out))
}

// Client implements store.Clients.
func (s *Store) Client(ctx context.Context, id string) (out store.Client, err error) {
	err = s.look(ctx, "reading a client", func(ctx context.Context, c *conn) error {
		found, err := c.client(ctx, id)
		if err == nil {
			out = *found
		}
		return err
	})
	return out, err
}

// ListClients implements store.Clients.
func (s *Store) ListClients(ctx context.Context) (out []store.Client, err error) {
	err = s.view(ctx, "listing clients", func(ctx context.Context, c *conn) error {
		out, err = c.clients(ctx)
		return err
	})
	return out, err
}

func (c *conn) clients(ctx context.Context) (out []store.Client, err error) {
	err = c.each(ctx, selectClients, nil, func(r *sql.Rows) error {
		var one store.Client
		err := r.Scan(clientDest(&one)...)
		out = append(out, one)
		return err
	})
	return out, err
}

// checkNaming is asked once the client id is written. There is one writer, so no other is being written.
func (c *conn) checkNaming(ctx context.Context, id string) error {
	all, err := c.clients(ctx)
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
	return s.update(ctx, "creating a client", func(ctx context.Context, c *conn) error {
		n := w.Client
		if _, err := c.exec(ctx, insertClient, n.ID, n.Name, n.Public, n.Exchange, list(n.Scopes), list(n.Resources), list(n.Serves),
			list(n.RedirectURIs), hashed(n.SecretHash), store.EncodeSettings(n.Settings), ms(n.Created)); err != nil {
			return exists(err)
		}
		if err := c.checkNaming(ctx, n.ID); err != nil {
			return err
		}
		return c.record(ctx, w.Entries, w.Events)
	})
}

// ChangeClient implements store.Clients.
func (s *Store) ChangeClient(ctx context.Context, w store.ClientChange) error {
	w.Scope, w.ID, w.Kill = impersonation.ScopeClient, w.Client.ID, false
	return s.updateUrgent(ctx, "changing a client", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, changeClient, w.Client.Exchange, hashed(w.Client.SecretHash), store.EncodeSettings(w.Client.Settings), w.ID, store.EncodeSettings(w.Was))
		if err != nil {
			return err
		}
		if n == 0 {
			known, err := optional(c.client(ctx, w.ID))
			if err == nil && known == nil {
				return store.ErrNotFound
			}
			return errors.Join(err, impersonation.ErrChanged)
		}
		if err := c.checkNaming(ctx, w.ID); err != nil {
			return err
		}
		// A start that was decided before must find something changed.
		if _, err := c.exec(ctx, bumpEpoch, string(w.Scope), w.ID); err != nil {
			return err
		}
		if !w.Ends {
			return c.record(ctx, w.Entries, w.Events)
		}
		// The client is told of people's logins now: without the grants nothing says that it knew them.
		if _, err := c.exec(ctx, noticeClient, w.Now.UnixMilli(), w.ID); err != nil {
			return err
		}
		for _, q := range []string{deleteClientGrants, deleteTickets} {
			if _, err := c.exec(ctx, q, w.ID); err != nil {
				return err
			}
		}
		_, err = c.endAndRecord(ctx, w.EndWrite)
		return err
	})
}

// DeleteClient implements store.Clients.
func (s *Store) DeleteClient(ctx context.Context, id string, end impersonation.EndWrite) error {
	end.Scope, end.ID, end.Kill = impersonation.ScopeClient, id, false
	return s.updateUrgent(ctx, "deleting a client", func(ctx context.Context, c *conn) error {
		n, err := c.exec(ctx, deleteClient, end.Now.UnixMilli(), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return store.ErrNotFound
		}
		// A start that was decided before must find something changed.
		if _, err := c.exec(ctx, bumpEpoch, string(end.Scope), id); err != nil {
			return err
		}
		for _, q := range []string{deleteClientGrants, deleteTickets, deleteStreams} {
			if _, err := c.exec(ctx, q, id); err != nil {
				return err
			}
		}
		if _, err := c.exec(ctx, revokeClientConsents, end.Now.UnixMilli(), id); err != nil {
			return err
		}
		_, err = c.endAndRecord(ctx, end)
		return err
	})
}
