package demo

import (
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/admin"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/store/sqlite"
)

// openIssuer makes the issuer and everybody in it, and gives the secret of the app's registration.
func (d *Demo) openIssuer(ctx context.Context, c Config) (*server.Server, oauth.Secret, error) {
	st, err := d.openDatabase(ctx, c.Fresh)
	if err != nil {
		return nil, "", err
	}
	key, err := d.sealingKey()
	if err != nil {
		return nil, "", err
	}
	registry := registryOf(d.ClientID, c.SameOrigin)
	ad, err := admin.New(admin.Config{
		Store: st, Registry: registry, Issuer: d.IssuerURL, By: oauth.Party{Issuer: "cli", Subject: "demo"}, Now: d.now, Logger: d.log,
		SealingKey: func(context.Context) ([]byte, error) { return key, nil },
	})
	if err != nil {
		return nil, "", err
	}
	srv, err := newServer(ctx, d, st, registry, key)
	if err != nil {
		return nil, "", err
	}
	if err := seed(ctx, ad); err != nil {
		return nil, "", fmt.Errorf("seeding: %w", err)
	}
	secret, err := d.register(ctx, ad, key)
	return srv, secret, err
}

func newServer(ctx context.Context, d *Demo, st *sqlite.Store, registry policy.Registry, key []byte) (*server.Server, error) {
	box, err := server.NewBox(key)
	if err != nil {
		return nil, err
	}
	return server.New(ctx, server.Config{
		PublicURL: d.IssuerURL, Store: st, Registry: registry, RequireSecondFactor: true, Box: box, Logger: d.log, Now: d.now,
	})
}

// registryOf is the ordinary one with the two roles of customers. On the same origin the app shows nobody in full: script
// in the user's page could press Stop, and go on as the administrator.
func registryOf(client string, sameOrigin bool) policy.Registry {
	r := policy.Default()
	r.Roles = slices.Insert(r.Roles, 1, policy.Role{Name: roleViewer}, policy.Role{Name: roleAnalyst})
	if sameOrigin {
		r.Modes = map[string][]oauth.Mode{client: {oauth.ModeRead}}
	}
	return r
}

// register sees to it that the app is registered, and gives its secret. That one follows from the sealing key, so that it
// is kept nowhere and is the same in the next run.
func (d *Demo) register(ctx context.Context, ad *admin.Admin, key []byte) (oauth.Secret, error) {
	raw, err := hkdf.Key(sha256.New, key, nil, "understudy demo client "+d.ClientID, 32)
	if err != nil {
		return "", err
	}
	secret := oauth.Secret(base64.RawURLEncoding.EncodeToString(raw))
	has, err := ad.Store.Client(ctx, d.ClientID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		_, err = ad.AddClient(ctx, admin.NewClient{
			ID: d.ClientID, Name: "Acme", RedirectURIs: d.redirectURIs(), Serves: []string{policy.DefaultResource}, Exchange: true, Secret: secret,
		})
	case err == nil && has.SecretHash != secret.Hash():
		err = fmt.Errorf("client %s is registered with another secret", d.ClientID)
	}
	return secret, err
}
