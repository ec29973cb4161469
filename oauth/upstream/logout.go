package upstream

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/tokens"
)

const (
	// maxLogoutAge is how long ago a logout token may have been issued: the standard advises an exp of two minutes, and an issuer may
	// try again for a while.
	maxLogoutAge = 10 * time.Minute
	// maxHint is the most bytes of an ID token to send along in a URL, of which servers take 8 KiB in all, not rarely.
	maxHint = 4 << 10

	eventBackchannelLogout = "http://schemas.openid.net/event/backchannel-logout"
)

// logoutTypes are the typ of logout tokens: issuers of before that type was named send others.
var logoutTypes = []string{"logout+jwt", "jwt", ""}

// Ended is what a logout token says is over: a session where Session is set, else all sessions of Subject.
type Ended struct {
	// Issuer is who says so.
	Issuer string
	// Subject and Session are the sub and the sid, of which one is set at least: at most 255 and 256 bytes.
	Subject, Session string
	// ID is the jti, 1 to 256 bytes: it counts once. It may be forgotten at Expires, in UTC, from when Logout refuses it.
	ID      string
	Expires time.Time
}

// Logout verifies a logout token (OpenID Connect Back-Channel Logout §2.6) that anybody may have sent. It fails with ErrAnswer,
// with ErrDocument where a claim is of a wrong form, or the keys are, and with ErrUnavailable, also for a kid that is not known where the
// keys were asked for a moment ago: it may be new since, so let the issuer come again.
func (p *Provider) Logout(ctx context.Context, logoutToken string) (Ended, error) {
	payload, c, err := p.open(ctx, "logout_token", logoutToken, logoutTypes, tokens.MaxLength, p.issuer.keysOrLater)
	if err != nil {
		return Ended{}, err
	}
	now := p.issuer.now()
	e := Ended{Issuer: p.issuer.url}
	var issued time.Time
	c.line("sid", &e.Session, maxLine)
	c.line("jti", &e.ID, maxLine)
	c.text("sub", &e.Subject)
	c.time("exp", &e.Expires)
	c.time("iat", &issued)
	if err := p.checkIssued(c, now, maxLogoutAge); err != nil {
		return Ended{}, err
	}
	switch {
	case !c.endsSession():
		return Ended{}, fmt.Errorf("%w: events must have that of a back-channel logout, an object", ErrAnswer)
	case c.members["nonce"] != nil:
		return Ended{}, fmt.Errorf("%w: nonce is not for logout tokens", ErrAnswer)
	case e.ID == "":
		return Ended{}, fmt.Errorf("%w: jti is required", ErrAnswer)
	case e.Subject == "" && e.Session == "" || !isSubject(e.Subject):
		return Ended{}, fmt.Errorf("%w: sid or sub is required, sub of at most 255 printable ASCII characters", ErrAnswer)
	case !now.Before(e.Expires):
		return Ended{}, fmt.Errorf("%w: exp is required and must lie ahead", ErrAnswer)
	}
	if _, err := p.secondReader(payload).VerifyLogout(ctx, logoutToken); err != nil {
		return Ended{}, fmt.Errorf("%w: logout_token: another reader refuses it", ErrAnswer)
	}
	if latest := issued.Add(maxLogoutAge); latest.Before(e.Expires) {
		e.Expires = latest
	}
	return e, nil
}

// endsSession reports whether events has the member that makes a JWT a logout token.
func (o *object) endsSession() bool {
	var events map[string]json.RawMessage
	o.read("events", &events, "must be an object")
	var event map[string]json.RawMessage
	return json.Unmarshal(events[eventBackchannelLogout], &event) == nil && event != nil
}

// EndSessionURL gives where to send the browser of who signed out here, so that they sign out there too (OpenID Connect RP-Initiated
// Logout §2), and false where the issuer has no such place. idToken is the one of the sign-in, "" if it is not known; state comes
// back with who comes back. It fails with ErrUnavailable or ErrDocument: sign them out here first.
func (p *Provider) EndSessionURL(ctx context.Context, idToken oauth.Secret, state string) (string, bool, error) {
	m, err := p.issuer.Metadata(ctx)
	if err != nil || m.EndSessionEndpoint == "" {
		return "", false, err
	}
	u, err := url.Parse(m.EndSessionEndpoint)
	if err != nil {
		return "", false, fmt.Errorf("%w: end_session_endpoint must be a URL", ErrDocument)
	}
	q := u.Query()
	q.Set("client_id", p.c.ClientID)
	if idToken != "" && len(idToken) <= maxHint {
		q.Set("id_token_hint", string(idToken))
	}
	if p.c.PostLogoutURI != "" {
		q.Set("post_logout_redirect_uri", p.c.PostLogoutURI)
		if state != "" {
			q.Set("state", state)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), true, nil
}
