package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/store"
)

// NewClient is a client to register.
type NewClient struct {
	// ID is 1 to 64 letters, digits, dots, dashes and underscores.
	ID string
	// Name is for people, at most 100 characters.
	Name string
	// RedirectURIs are absolute, without fragment, https or on loopback http; compared byte by byte. A client that
	// only serves needs none.
	RedirectURIs []string
	// Resources are what it may ask for, the first is its default. Nil: every registered one.
	Resources []string
	// Serves are the registered resources of which it is the server.
	Serves []string
	// Scopes it may ask for, each registered or impersonate. Nil: every registered one whose class is not never, and impersonate.
	Scopes []string
	// Public clients have no secret, and so no Exchange.
	Public bool
	// Exchange allows the token-exchange grant: impersonation.
	Exchange bool
	// Secret is at least 43 characters of base64url; "" makes a fresh one. A client that authenticates by private_key_jwt has none.
	Secret oauth.Secret
	// Settings are the rest. The zero value is a bearer client that authenticates by client_secret_basic, or not at all if it is public.
	Settings store.Settings
}

// client is the registration that n asks for, still without its secret.
func (n NewClient) client() store.Client {
	return store.Client{
		Client: policy.Client{ID: n.ID, Public: n.Public, Exchange: n.Exchange, Scopes: tidy(n.Scopes), Resources: n.Resources},
		Name:   n.Name, RedirectURIs: n.RedirectURIs, Serves: n.Serves, Settings: n.Settings,
	}
}

// AddClient registers a client and returns its secret, of which only the hash is kept: it cannot be shown again. It is "" where
// the client has none: a public one, or one with a key. It returns an *InvalidError, or store.ErrExists if the ID is or was taken.
func (a *Admin) AddClient(ctx context.Context, n NewClient) (oauth.Secret, error) {
	if n.Resources == nil {
		n.Resources = a.resources()
	}
	if n.Scopes == nil {
		n.Scopes = a.clientScopes()
	}
	if err := a.checkClient(n); err != nil {
		return "", err
	}
	if err := a.checkIDTokenAlg(ctx, n.Settings.IDTokenAlg); err != nil {
		return "", err
	}
	c := n.client()
	c.Created = a.Now().UTC().Truncate(time.Second)
	if hasSecret(c) {
		n.Secret = cmp.Or(n.Secret, oauth.NewSecret())
		c.SecretHash = n.Secret.Hash()
	}
	w := a.write(audit.KindClientAdd, directory.User{}, func(e *audit.Entry) { setClient(e, c) })
	if err := a.Store.CreateClient(ctx, store.ClientWrite{Write: w, Client: c}); err != nil {
		if clash := clashing(err); clash != nil {
			return "", clash
		}
		return "", fmt.Errorf("adding client %s: %w", c.ID, err)
	}
	a.log(ctx, "added client "+c.ID, slog.String("client", c.ID))
	return n.Secret, nil
}

// RemoveClient removes a client with its grants and tickets and ends its sessions. store.ErrNotFound.
func (a *Admin) RemoveClient(ctx context.Context, id string) error {
	end := a.end(impersonation.ScopeClient, id, impersonation.EndClient)
	end.Write = a.write(audit.KindClientRemove, directory.User{}, func(e *audit.Entry) { e.Client = id })
	if err := a.Store.DeleteClient(ctx, id, end); err != nil {
		return fmt.Errorf("removing client %s: %w", id, err)
	}
	a.log(ctx, "removed client "+id, slog.String("client", id))
	return nil
}

func setClient(e *audit.Entry, c store.Client) {
	e.Client = c.ID
	e.Set("name", c.Name)
	e.Set("redirect_uris", strings.Join(c.RedirectURIs, " "))
	e.Set("resources", strings.Join(c.Resources, " "))
	e.Set("serves", strings.Join(c.Serves, " "))
	e.Set("scopes", oauth.JoinScope(c.Scopes))
	e.Set("public", strconv.FormatBool(c.Public))
	e.Set("exchange", strconv.FormatBool(c.Exchange))
	describeSettings(e, c)
}

// hasSecret reports whether the client authenticates by one.
func hasSecret(c store.Client) bool {
	return c.AuthMethod() == store.AuthBasic || c.AuthMethod() == store.AuthPost
}

func (a *Admin) resources() []string {
	var out []string
	for _, r := range a.Registry.Resources {
		out = append(out, r.URI)
	}
	return out
}

func (a *Admin) clientScopes() []string {
	out := []string{oauth.ScopeImpersonate}
	for _, s := range a.Registry.Scopes {
		if s.Class != policy.ScopeNever {
			out = append(out, s.Name)
		}
	}
	return out
}

// scopeNames are those that a client may have.
func (a *Admin) scopeNames() []string {
	out := []string{oauth.ScopeImpersonate}
	for _, s := range a.Registry.Scopes {
		out = append(out, s.Name)
	}
	return tidy(out)
}

var clientID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func (a *Admin) checkClient(n NewClient) error {
	switch {
	case !clientID.MatchString(n.ID):
		return invalid("id", "must be 1 to 64 letters, digits, dots, dashes and underscores")
	case n.Name == "" || utf8.RuneCountInString(n.Name) > 100 || strings.ContainsFunc(n.Name, unicode.IsControl):
		return invalid("name", "must have 1 to 100 characters, none of them a control character")
	case len(n.RedirectURIs) == 0 && len(n.Serves) == 0 && n.Settings.Service == "":
		return invalid("redirect_uri", "must be given, unless the client only serves a resource or acts for itself")
	case n.Public && n.Exchange:
		return invalid("public", "a public client cannot impersonate: nothing would prove who exchanges")
	case n.Secret != "" && !hasSecret(n.client()):
		return invalid("secret", "a client that authenticates by %s has none", n.client().AuthMethod())
	}
	if len(strings.Join(n.RedirectURIs, " ")) > maxURIs {
		return invalid("redirect_uri", "must have at most %d bytes together", maxURIs)
	}
	for _, u := range n.RedirectURIs {
		if err := checkURI("redirect_uri", u); err != nil {
			return err
		}
	}
	return firstErr(checkSettings(n.client()), a.checkSubjectIssuer(n.Settings), a.checkResources("resource", n.Resources), a.checkResources("serves", n.Serves), a.checkScopes(n.Scopes), checkSecret(n.Secret))
}

// maxURIs leaves all redirect URIs of a client room in one field of its audit entry.
const maxURIs = 4000

// firstErr is the first error.
func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkURI holds to RFC 6749 §3.1.2 and RFC 9700 §2.1: exact, absolute, no fragment, and http only where
// nobody else can listen.
func checkURI(field, raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return invalid(field, "%q must be an absolute URL", raw)
	case strings.Contains(raw, "#"):
		return invalid(field, "%q must not have a fragment", raw)
	case u.User != nil:
		return invalid(field, "%q must not have a user name", raw)
	case u.Scheme != "https" && !(u.Scheme == "http" && oauth.Loopback(u.Hostname())):
		return invalid(field, "%q must be https (http on localhost only)", raw)
	}
	return nil
}

func (a *Admin) checkResources(field string, uris []string) error {
	for _, uri := range uris {
		if !slices.Contains(a.resources(), uri) {
			return invalid(field, "%q is not registered (registered: %s)", uri, strings.Join(a.resources(), ", "))
		}
	}
	return nil
}

func (a *Admin) checkScopes(scopes []string) error {
	known := a.scopeNames()
	for _, s := range scopes {
		if !oauth.ValidScopeToken(s) {
			return invalid("scope", "%q is not a scope-token of RFC 6749 §3.3", s)
		}
		if s == oauth.ScopeImpersonationWrite {
			return invalid("scope", "%q cannot be asked for: the ticket's mode decides", s)
		}
		if !slices.Contains(known, s) {
			return invalid("scope", "%q is not registered (registered: %s)", s, strings.Join(known, ", "))
		}
	}
	return nil
}

func checkSecret(s oauth.Secret) error {
	if s == "" {
		return nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(string(s))
	if err != nil || len(raw) < 32 {
		return invalid("secret", "must be at least %d characters of base64url, from a random source", oauth.SecretLength)
	}
	return nil
}
