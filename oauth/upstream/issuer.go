package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/understudy-id/understudy/oauth/internal/outbound"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// IssuerConfig says who an issuer is and how it may be reached.
type IssuerConfig struct {
	// URL is the issuer identifier, exactly as its iss claims have it, to the last slash; must be set.
	URL string
	// JWKSURI is where its keys are; "" asks the discovery document.
	JWKSURI string
	// AllowPrivate are networks that may be reached though they are not public.
	AllowPrivate []netip.Prefix
	// Loopback allows this machine's own addresses, and http to them.
	Loopback bool
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger is told of answers that fail while older ones still serve; nil is slog.Default().
	Logger *slog.Logger
}

// Issuer is somebody else's issuer: what its discovery document says, and its keys. NewIssuer makes one. It is safe for concurrent use.
type Issuer struct {
	url      string
	loopback bool
	http     *http.Client
	now      func() time.Time
	metadata *cache[Metadata]
	keys     *cache[[]tokens.PublicKey]
}

// NewIssuer fetches nothing: an issuer that is down stops no start. It fails where c breaks rules, with an error for each, joined.
func NewIssuer(c IssuerConfig) (*Issuer, error) {
	var f faults
	err := checkIssuer(c.URL, c.Loopback)
	f.add(err != nil, "issuer %w", err)
	err = checkURL(c.JWKSURI, c.Loopback)
	f.add(err != nil && c.JWKSURI != "", "jwks_uri %w", err)
	if err := f.join(); err != nil {
		return nil, err
	}
	i := &Issuer{url: c.URL, loopback: c.Loopback, now: c.Now, http: outbound.New(outbound.Config{Allow: c.AllowPrivate, Loopback: c.Loopback})}
	if i.now == nil {
		i.now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	warn := func(err error) {
		c.Logger.Warn("issuer gives no good answer, an older one serves", "issuer", c.URL, "error", err)
	}
	i.metadata = &cache[Metadata]{fetch: i.fetchMetadata, now: i.now, warn: warn}
	i.keys = &cache[[]tokens.PublicKey]{now: i.now, warn: warn, fetch: func(ctx context.Context) ([]tokens.PublicKey, time.Duration, error) {
		return i.fetchKeys(ctx, c.JWKSURI)
	}}
	return i, nil
}

// URL is the issuer identifier.
func (i *Issuer) URL() string { return i.url }

// Keys gives those of the issuer's keys that a JWT with this kid may be signed by: the one that has it, or none; and for "", a JWT
// without kid, all that there are, up to 32. It fails with ErrUnavailable or ErrDocument.
//
// Keys are cached for as long as the answer says, between a minute and an hour, and an hour more while the issuer gives no good
// answer; who asks meanwhile does not wait. For a kid that is not among them they are fetched anew, but every 10 s at most,
// since anybody can make one up: a key counts 10 s after it is first used at the latest.
func (i *Issuer) Keys(ctx context.Context, kid string) ([]tokens.PublicKey, error) {
	found, _, err := i.find(ctx, kid)
	return found, err
}

// keysOrLater is Keys for what the issuer will send again if told to: it fails with ErrUnavailable where the kid is not known and
// was not asked for, since others, who make them up, have just had us ask.
func (i *Issuer) keysOrLater(ctx context.Context, kid string) ([]tokens.PublicKey, error) {
	found, asked, err := i.find(ctx, kid)
	if err == nil && !asked && len(found) == 0 {
		err = fmt.Errorf("%w: kid is not known, and the keys were asked for a moment ago", ErrUnavailable)
	}
	return found, err
}

// find is Keys; asked is whether the keys were fetched for a kid that was not among them.
func (i *Issuer) find(ctx context.Context, kid string) (found []tokens.PublicKey, asked bool, err error) {
	keys, err := i.keys.get(ctx)
	if err != nil || kid == "" {
		return slices.Clone(keys), false, err
	}
	if found = withID(keys, kid); len(found) > 0 {
		return found, false, nil
	}
	if keys, asked, err = i.keys.renew(ctx); err != nil {
		return nil, asked, err
	}
	return withID(keys, kid), asked, nil
}

func withID(keys []tokens.PublicKey, kid string) []tokens.PublicKey {
	at := slices.IndexFunc(keys, func(k tokens.PublicKey) bool { return k.ID == kid })
	if at < 0 {
		return nil
	}
	return slices.Clone(keys[at : at+1])
}

// fetchKeys asks where the configuration says, or else the discovery document; both within ctx.
func (i *Issuer) fetchKeys(ctx context.Context, uri string) ([]tokens.PublicKey, time.Duration, error) {
	if uri == "" {
		m, err := i.metadata.get(ctx)
		if err != nil {
			return nil, 0, err
		}
		uri = m.JWKSURI
	}
	body, age, err := i.fetch(ctx, "jwks_uri", uri, "", maxKeySet)
	if err != nil {
		return nil, 0, err
	}
	keys, err := tokens.ParseIssuerKeys(body)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: jwks_uri: %w", ErrDocument, err)
	}
	return keys, age, nil
}
