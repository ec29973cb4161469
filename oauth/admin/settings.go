package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/store"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// checkSettings holds the settings of a client to each other and to what it is otherwise.
func checkSettings(c store.Client) error {
	return firstErr(checkAuth(c), checkService(c), checkLogout(c.Settings))
}

func checkAuth(c store.Client) error {
	s := c.Settings
	switch s.Auth {
	case "", store.AuthBasic, store.AuthPost, store.AuthPrivateKey, store.AuthNone:
	default:
		return invalid("auth", "must be %s, %s, %s or %s", store.AuthBasic, store.AuthPost, store.AuthPrivateKey, store.AuthNone)
	}
	keyed := c.AuthMethod() == store.AuthPrivateKey
	switch {
	case c.Public && s.Auth != "" && s.Auth != store.AuthNone:
		return invalid("auth", "must be %s: a public client can keep neither secret nor key", store.AuthNone)
	case !c.Public && s.Auth == store.AuthNone:
		return invalid("auth", "%s is for public clients only", store.AuthNone)
	case keyed && len(s.Keys) == 0:
		return invalid("jwks", "must be given with %s", store.AuthPrivateKey)
	case !keyed && len(s.Keys) > 0:
		return invalid("jwks", "goes with %s only", store.AuthPrivateKey)
	case s.IDTokenAlg != "" && !slices.Contains(tokens.Algorithms(), s.IDTokenAlg):
		return invalid("id_token_alg", "must be one of %s", strings.Join(tokens.Algorithms(), ", "))
	}
	if !keyed {
		return nil
	}
	if _, err := tokens.ParseKeys(s.Keys); err != nil {
		return invalid("jwks", "must be a JWK set of public keys: %s", fault(err))
	}
	return nil
}

// checkIDTokenAlg refuses an algorithm for which there is no key: nobody could sign in at the client.
func (a *Admin) checkIDTokenAlg(ctx context.Context, algorithm string) error {
	if algorithm == "" || algorithm == a.SigningAlgorithm || algorithm == tokens.RS256 { // the server keeps these itself
		return nil
	}
	all, err := a.Store.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("reading signing keys: %w", err)
	}
	if !slices.ContainsFunc(all, func(k store.SigningKey) bool { return k.Algorithm == algorithm && k.Current() }) {
		return invalid("id_token_alg", "there is no key for %s: make one first, or take %s or %s", algorithm, a.SigningAlgorithm, tokens.RS256)
	}
	return nil
}

// fault is what package tokens finds wrong with keys, without what it calls that.
func fault(err error) string {
	return strings.NewReplacer(tokens.ErrKey.Error()+": ", "", tokens.ErrMalformed.Error()+": ", "").Replace(err.Error())
}

func checkService(c store.Client) error {
	switch s := c.Settings; {
	case s.Service != "" && !s.Service.Machine():
		return invalid("service", "must be %s or %s", oauth.ActorService, oauth.ActorAIAgent)
	case s.Service != "" && c.Public:
		return invalid("service", "a public client cannot act for itself: nothing would prove who does")
	case s.UserID && !c.Exchange:
		return invalid("user_id_start", "is for clients that may impersonate")
	}
	return nil
}

func checkLogout(s store.Settings) error {
	if len(strings.Join(s.PostLogoutRedirectURIs, " ")) > maxURIs {
		return invalid("post_logout_redirect_uri", "must have at most %d bytes together", maxURIs)
	}
	for _, u := range s.PostLogoutRedirectURIs {
		if err := checkURI("post_logout_redirect_uri", u); err != nil {
			return err
		}
	}
	return firstErr(checkHearing("backchannel_logout_uri", s.BackchannelLogoutURI), checkHearing("ssf_push_uri", s.PushURI))
}

// checkHearing holds a URI at which a client hears of ends, "" for none.
func checkHearing(field, u string) error {
	switch {
	case u == "":
		return nil
	case len(u) > maxURIs:
		return invalid(field, "must have at most %d bytes", maxURIs)
	}
	return checkURI(field, u)
}

// checkSubjectIssuer holds the setting to what an iss can be (OpenID Connect Core §2). People are found by it byte by byte, so nothing is
// tidied: with and without a slash at its end are two issuers.
func (a *Admin) checkSubjectIssuer(s store.Settings) error {
	const field = "subject_issuer"
	switch iss := s.SubjectIssuer; {
	case iss == "":
		return nil
	case len(iss) > directory.MaxID || strings.ContainsFunc(iss, func(c rune) bool { return c < 0x21 || c > 0x7e }):
		return invalid(field, "must have at most %d printable ASCII characters, without space", directory.MaxID)
	case strings.ContainsAny(iss, "?#"):
		return invalid(field, "must have neither query nor fragment")
	case iss == a.Issuer:
		return invalid(field, "is this server: leave it out, people are known by their IDs here then")
	default:
		return checkURI(field, iss)
	}
}

// clashing is the *InvalidError of a *store.NamingError, nil of any other: one sub under our own iss would be two people at the resource.
func clashing(err error) error {
	var clash *store.NamingError
	if !errors.As(err, &clash) {
		return nil
	}
	return invalid("subject_issuer", "client %q has another one and may ask for %q too: clients that know people by different names must not share one; give it others (--resource)", clash.Client, clash.Resource)
}

// ClientChange is what to change of a client. A nil field stays as it is.
type ClientChange struct {
	// Exchange allows or takes away the token-exchange grant.
	Exchange *bool
	// Settings gives the new settings from those that there are.
	Settings func(store.Settings) store.Settings
}

// ChangeClient changes how a client authenticates and what it gets. What takes something away from it ends its sessions and
// revokes its tokens, so that none is left of what it could get before; so does DPoP, since what it has is bound to no key, another
// SubjectIssuer, since what it has names people otherwise, and the end of a key or of its secret, since whoever has a stolen one may have used it. RequirePAR, ID tokens of another algorithm and where
// sign-out goes say how the next sign-in is, and end nothing. A client that gets a key loses its secret; one that
// has a key gets no secret again. It fails with an *InvalidError, store.ErrNotFound, or impersonation.ErrChanged if somebody else
// changed the client at the same time.
func (a *Admin) ChangeClient(ctx context.Context, id string, change ClientChange) (ended bool, err error) {
	was, err := a.Store.Client(ctx, id)
	if err != nil {
		return false, fmt.Errorf("changing client %s: %w", id, err)
	}
	c := was
	if change.Exchange != nil {
		c.Exchange = *change.Exchange
		c.Settings.UserID = c.Settings.UserID && c.Exchange // it is a way to impersonate
	}
	if change.Settings != nil {
		c.Settings = change.Settings(c.Settings)
	}
	if err := firstErr(checkChange(was, c), a.checkSubjectIssuer(c.Settings)); err != nil {
		return false, err
	}
	if c.Settings.IDTokenAlg != was.Settings.IDTokenAlg {
		if err := a.checkIDTokenAlg(ctx, c.Settings.IDTokenAlg); err != nil {
			return false, err
		}
	}
	if !hasSecret(c) {
		c.SecretHash = oauth.Hash{}
	}
	w := store.ClientChange{EndWrite: a.end(impersonation.ScopeClient, id, impersonation.EndChanged), Client: c, Was: was.Settings, Ends: narrows(was, c)}
	w.Write = a.write(audit.KindClientChange, directory.User{}, func(e *audit.Entry) { setClient(e, c) })
	if err := a.Store.ChangeClient(ctx, w); err != nil {
		if clash := clashing(err); clash != nil {
			return false, clash
		}
		return false, fmt.Errorf("changing client %s: %w", id, err)
	}
	a.log(ctx, "changed client "+id, slog.String("client", id), slog.Bool("ended_sessions", w.Ends))
	return w.Ends, nil
}

func checkChange(was, c store.Client) error {
	switch {
	case c.Public && c.Exchange:
		return invalid("exchange", "a public client cannot impersonate: nothing would prove who exchanges")
	case hasSecret(c) && !hasSecret(was):
		return invalid("auth", "a client that has a key gets no secret: add another client")
	}
	return checkSettings(c)
}

// narrows reports whether the client could get something before that it could not get now, or could get it by less; or whether what it has
// names people otherwise than it will be told from now on.
func narrows(was, is store.Client) bool {
	a, b := was.Settings, is.Settings
	return a.SubjectIssuer != b.SubjectIssuer || losesKey(was, is) || was.Exchange && !is.Exchange || !a.DPoP && b.DPoP || a.Refresh && !b.Refresh || a.UserID && !b.UserID || a.Service != "" && a.Service != b.Service
}

// losesKey reports whether something by which the client could prove who it is counts no more. Keys are compared by their thumbprints:
// the same key under another kid is the same.
func losesKey(was, is store.Client) bool {
	left := Thumbprints(is.Settings)
	gone := func(key string) bool { return !slices.Contains(left, key) }
	return hasSecret(was) && !hasSecret(is) || slices.ContainsFunc(Thumbprints(was.Settings), gone)
}

// describeSettings puts the settings into an entry: keys by their thumbprints (RFC 7638), by which anybody can tell which they were.
func describeSettings(e *audit.Entry, c store.Client) {
	s := c.Settings
	e.Set("auth_method", string(c.AuthMethod()))
	e.Set("jwks", strings.Join(Thumbprints(s), " "))
	for name, on := range map[string]bool{"dpop": s.DPoP, "require_par": s.RequirePAR, "refresh": s.Refresh, "user_id_start": s.UserID} {
		e.Set(name, strconv.FormatBool(on))
	}
	e.Set("id_token_alg", s.IDTokenAlg)
	e.Set("service", string(s.Service))
	e.Set("subject_issuer", s.SubjectIssuer)
	e.Set("post_logout_redirect_uris", strings.Join(s.PostLogoutRedirectURIs, " "))
	e.Set("backchannel_logout_uri", s.BackchannelLogoutURI)
	e.Set("ssf_push_uri", s.PushURI)
}

// Thumbprints names a client's keys, each by its thumbprint (RFC 7638): 43 characters of base64url. It gives nil where there are none.
func Thumbprints(s store.Settings) []string {
	keys, err := tokens.ParseKeys(s.Keys)
	if err != nil {
		return nil
	}
	var out []string
	for _, k := range keys {
		out = append(out, k.Thumbprint())
	}
	return out
}
