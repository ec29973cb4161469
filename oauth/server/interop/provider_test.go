package interop_test

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/upstream"
)

const signedOut = "http://127.0.0.1:9/signed-out"

// abroad is an idp, and us as a client of it.
type abroad struct {
	t        *testing.T
	idp      *idp
	provider *upstream.Provider
	browser  *visitor
	logouts  chan string // the logout tokens that it sent
}

func goAbroad(t *testing.T, start func(*testing.T, places) *idp) *abroad {
	t.Helper()
	a := &abroad{t: t, browser: newVisitor(t, callback, signedOut), logouts: make(chan string, 8)}
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.logouts <- r.PostFormValue("logout_token") }))
	t.Cleanup(receiver.Close)
	a.idp = start(t, places{callback, signedOut, receiver.URL})
	var err error
	a.provider, err = upstream.New(upstream.Config{
		Name: "idp", Issuer: upstream.IssuerConfig{URL: a.idp.issuer, Loopback: true}, ClientID: idpClient, ClientSecret: idpSecret, RedirectURI: callback,
		PostLogoutURI: signedOut, GroupsClaim: "groups",
	})
	must(t, err)
	return a
}

// ask goes to the idp with r, its secrets added, and gives what came back.
func (a *abroad) ask(r upstream.AuthRequest) (upstream.AuthRequest, upstream.Answer) {
	a.t.Helper()
	r.State, r.Nonce, r.Verifier, r.Asked = string(oauth.NewSecret()), string(oauth.NewSecret()), oauth2.GenerateVerifier(), time.Now()
	to, err := a.provider.AuthURL(a.t.Context(), r)
	must(a.t, err)
	q := a.browser.visit(to, sam).Query()
	if q.Get("state") != r.State {
		a.t.Fatalf("sent back with %v; want our state", q)
	}
	return r, upstream.Answer{Code: q.Get("code"), Error: q.Get("error"), Iss: q.Get("iss")}
}

func (a *abroad) signIn(r upstream.AuthRequest) *upstream.Identity {
	a.t.Helper()
	r, answer := a.ask(r)
	id, err := a.provider.Redeem(a.t.Context(), answer, r)
	must(a.t, err)
	return id
}

// TestProviders: sam signs in at somebody else's provider, again where that must be fresh or stronger, and out, of which the provider tells us.
func TestProviders(t *testing.T) {
	t.Parallel()
	for name, start := range idps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := goAbroad(t, start)
			r, answer := a.ask(upstream.AuthRequest{MaxAge: -1})
			id, err := a.provider.Redeem(t.Context(), answer, r)
			must(t, err)
			if id.Issuer != a.idp.issuer || id.Subject != "sam-there" || id.Email != "sam@acme.test" || !id.EmailVerified || id.Name != "Sam There" || !slices.Equal(id.Groups, a.idp.groups) {
				t.Errorf("got %+v; want sam with groups %v", id, a.idp.groups)
			}
			var no *upstream.Refused
			if _, err := a.provider.Redeem(t.Context(), answer, r); !errors.As(err, &no) || no.Code != "invalid_grant" {
				t.Errorf("the code again: got %v; want invalid_grant", err)
			}
			a.stepUp(id)
			a.signOut(id)
		})
	}
}

// stepUp wants a fresh sign-in though there is one, and a stronger one where the provider knows such.
func (a *abroad) stepUp(before *upstream.Identity) {
	a.t.Helper()
	time.Sleep(time.Until(before.AuthTime.Add(1100 * time.Millisecond))) // auth_time has whole seconds
	forms := a.browser.forms
	id := a.signIn(upstream.AuthRequest{MaxAge: 0, Prompt: "login"})
	if !id.AuthTime.After(before.AuthTime) || a.browser.forms == forms || id.Subject != before.Subject {
		a.t.Errorf("signed in %s, before %s, with %d forms more; want it fresh", id.AuthTime, before.AuthTime, a.browser.forms-forms)
	}
	if a.idp.acr == "" {
		return
	}
	if id.ACR == a.idp.acr {
		a.t.Errorf("the acr is %q already", id.ACR)
	}
	id = a.signIn(upstream.AuthRequest{MaxAge: 0, Prompt: "login", ACRValues: []string{a.idp.acr}})
	if id.ACR != a.idp.acr {
		a.t.Errorf("got acr %q; want %q", id.ACR, a.idp.acr)
	}
}

// signOut goes the way out that the provider offers, and wants its logout token to be read.
func (a *abroad) signOut(before *upstream.Identity) {
	a.t.Helper()
	id := a.signIn(upstream.AuthRequest{MaxAge: -1})
	out, ok, err := a.provider.EndSessionURL(a.t.Context(), id.IDToken, "bye")
	must(a.t, err)
	if back := a.browser.visit(out, nil); !ok || !strings.HasPrefix(back.String(), signedOut) || back.Query().Get("state") != "bye" {
		a.t.Errorf("signing out led to %s; want %s with our state", back, signedOut)
	}
	token := ""
	if a.idp.sendsLogout {
		select {
		case token = <-a.logouts:
		case <-time.After(time.Minute):
			a.t.Fatal("no logout token came")
		}
	} else {
		token = a.idp.logoutToken(a.t)
	}
	ended, err := a.provider.Logout(a.t.Context(), token)
	must(a.t, err)
	if ended.Issuer != a.idp.issuer || ended.ID == "" || ended.Session != id.Session || ended.Subject != "" && ended.Subject != before.Subject {
		a.t.Errorf("got %+v; want the session %q of %s", ended, id.Session, before.Subject)
	}
	r, answer := a.ask(upstream.AuthRequest{MaxAge: -1, Prompt: "none"})
	var no *upstream.Refused
	if _, err := a.provider.Redeem(a.t.Context(), answer, r); !errors.As(err, &no) || no.Code != "login_required" {
		a.t.Errorf("after the sign-out, prompt=none: got %v; want login_required", err)
	}
}

// logoutToken is signed by the key of a provider that has no back-channel logout of its own: zitadel's library leaves it to who uses it,
// and its example does not. It names no sid, since the example gives none.
func (i *idp) logoutToken(t *testing.T) string {
	t.Helper()
	key, err := i.signing.SigningKey(t.Context())
	must(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: key.SignatureAlgorithm(), Key: jose.JSONWebKey{Key: key.Key(), KeyID: key.ID()}},
		(&jose.SignerOptions{}).WithType("logout+jwt"))
	must(t, err)
	now := time.Now().Unix()
	claims := object(t, []byte(`{"events":{"http://schemas.openid.net/event/backchannel-logout":{}}}`))
	claims["iss"], claims["aud"], claims["iat"], claims["exp"], claims["jti"], claims["sub"] = i.issuer, idpClient, now, now+120, rand.Text(), "sam-there"
	payload, err := json.Marshal(claims)
	must(t, err)
	signed, err := signer.Sign(payload)
	must(t, err)
	token, err := signed.CompactSerialize()
	must(t, err)
	return token
}
