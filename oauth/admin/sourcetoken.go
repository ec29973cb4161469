package admin

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/store"
)

// maxSourceTokens is how many living tokens a source has: one in use, one to take its place, and room for a mistake.
const maxSourceTokens = 5

// AddSourceToken gives a source one more bearer token, which lives until expires; zero is for ever. The secret is answered here alone. It
// returns an *InvalidError for a time that is over and for more than five living tokens, or store.ErrNotFound.
func (a *Admin) AddSourceToken(ctx context.Context, source string, expires time.Time) (oauth.Secret, store.SourceToken, error) {
	if _, err := a.Source(ctx, source); err != nil {
		return "", store.SourceToken{}, err
	}
	secret := oauth.NewSecret()
	t := store.SourceToken{ID: oauth.NewID("sct"), Source: source, Hash: secret.Hash(), Expires: expires.UTC().Truncate(time.Second)}
	if expires.IsZero() {
		t.Expires = time.Time{}
	}
	w := a.write(audit.KindSourceChange, directory.User{}, func(e *audit.Entry) { setToken(e, t, "added") })
	t.Created = w.Now
	if !t.Expires.IsZero() && !t.Expires.After(w.Now) {
		return "", t, invalid("expires", "must be in the future")
	}
	if err := a.checkTokens(ctx, source, w.Now); err != nil {
		return "", t, err
	}
	if err := a.Store.AddSourceToken(ctx, store.SourceTokenWrite{Write: w, Token: t}); err != nil {
		return "", t, fmt.Errorf("adding a token of source %s: %w", source, err)
	}
	a.log(ctx, "added a token of source "+source, slog.String("source", source), slog.String("token", t.ID))
	return secret, t, nil
}

func (a *Admin) checkTokens(ctx context.Context, source string, now time.Time) error {
	all, err := a.Store.SourceTokens(ctx, source)
	if err != nil {
		return fmt.Errorf("reading the tokens of source %s: %w", source, err)
	}
	living := 0
	for _, t := range all {
		if t.Lives(now) {
			living++
		}
	}
	if living >= maxSourceTokens {
		return invalid("token", "the source has %d that live: revoke one first", living)
	}
	return nil
}

// RevokeSourceToken ends a token of a source at once. store.ErrNotFound if it has no such token, or it was revoked before.
func (a *Admin) RevokeSourceToken(ctx context.Context, source, id string) error {
	t := store.SourceToken{ID: id, Source: source}
	w := a.write(audit.KindSourceChange, directory.User{}, func(e *audit.Entry) { setToken(e, t, "revoked") })
	if err := a.Store.RevokeSourceToken(ctx, store.SourceTokenWrite{Write: w, Token: t}); err != nil {
		return fmt.Errorf("revoking token %s of source %s: %w", id, source, err)
	}
	a.log(ctx, "revoked a token of source "+source, slog.String("source", source), slog.String("token", id))
	return nil
}

func setToken(e *audit.Entry, t store.SourceToken, did string) {
	e.Set("source", t.Source)
	e.Set("token", t.ID)
	e.Set("token_was", did)
	if !t.Expires.IsZero() {
		e.Set("expires", t.Expires.Format(time.RFC3339))
	}
}
