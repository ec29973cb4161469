package upstream_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/upstream"
)

const (
	clientID    = "understudy"
	secret      = oauth.Secret("s3cret: with %+ characters")
	redirectURI = "https://id.acme.test/sign-in/callback/idp"
	accessToken = "the-access-token"
	logoutEvent = "http://schemas.openid.net/event/backchannel-logout"
)

// honest are the claims of the ID token that f gives for r.
func (f *fake) honest(r upstream.AuthRequest) map[string]any {
	now := f.clk.now().Unix()
	return map[string]any{
		"iss": f.url, "sub": "ann-there", "aud": clientID, "exp": now + 300, "iat": now, "auth_time": now - 30, "nonce": r.Nonce, "sid": "session-1",
		"email": "ann@acme.test", "email_verified": true, "name": "Ann Admin", "acr": "mfa", "amr": []string{"pwd", "otp"}, "at_hash": atHash(f.signer().alg, accessToken),
	}
}

func (f *fake) signer() key {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.keys[0]
}

// atHash is the left half of the hash that goes with alg (OpenID Connect Core §3.1.3.6).
func atHash(alg, token string) string {
	if alg == "EdDSA" {
		sum := sha512.Sum512([]byte(token))
		return b64(sum[:32])
	}
	sum := sha256.Sum256([]byte(token))
	return b64(sum[:16])
}

// with gives claims with changes; a change to nil takes one out.
func with(claims, changes map[string]any) map[string]any {
	out := maps.Clone(claims)
	for name, value := range changes {
		if out[name] = value; value == nil {
			delete(out, name)
		}
	}
	return out
}

// gives has the token endpoint answer with idToken to the code of the answer that it gives, and to the verifier of r alone.
func (f *fake) gives(r upstream.AuthRequest, idToken string) upstream.Answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	code := rand.Text()
	f.codes[code] = grant{r.Verifier, idToken}
	return upstream.Answer{Code: code}
}

// grant is what a code stands for.
type grant struct{ verifier, idToken string }

// tokenEndpoint is there, to the right client alone.
func (f *fake) tokenEndpoint(w http.ResponseWriter, r *http.Request) {
	id, pass, basic := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	pass, _ = url.QueryUnescape(pass)
	if !basic {
		id, pass = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	f.mu.Lock()
	g, ok := f.codes[r.PostFormValue("code")]
	f.mu.Unlock()
	ok = ok && g.verifier == r.PostFormValue("code_verifier") && r.PostFormValue("redirect_uri") == redirectURI && r.PostFormValue("grant_type") == "authorization_code"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case id != clientID || pass != string(secret):
		w.WriteHeader(http.StatusUnauthorized)
		w.Write([]byte(`{"error":"invalid_client","error_description":"<script>"}`))
	case !ok:
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error":"invalid_grant"}`))
	default:
		sendJSON(w, map[string]any{"access_token": accessToken, "token_type": "Bearer", "expires_in": 300, "id_token": g.idToken})
	}
}

// userinfo has userinfo answer these claims to who brings the access token.
func (f *fake) userinfo(claims map[string]any) {
	f.answer("/userinfo", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+accessToken {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendJSON(w, claims)
	})
}

// provider signs in through f; change may be nil.
func (f *fake) provider(change func(*upstream.Config)) *upstream.Provider {
	f.t.Helper()
	c := upstream.Config{Name: "idp", Issuer: f.config(), ClientID: clientID, ClientSecret: secret, RedirectURI: redirectURI, PostLogoutURI: "https://id.acme.test/signed-out"}
	if change != nil {
		change(&c)
	}
	p, err := upstream.New(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

// request is a fresh one, that asks nothing beside.
func request() upstream.AuthRequest {
	return upstream.AuthRequest{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), MaxAge: -1}
}

// redeem redeems a good code for r, whose ID token is idToken.
func (f *fake) redeem(p *upstream.Provider, r upstream.AuthRequest, idToken string) (*upstream.Identity, error) {
	f.t.Helper()
	return p.Redeem(f.t.Context(), f.gives(r, idToken), r)
}

// idToken is the honest one for r, with changes.
func (f *fake) idToken(r upstream.AuthRequest, changes map[string]any) string {
	return jwt(f.t, f.signer(), nil, with(f.honest(r), changes))
}

// jwt spells a JWT with this header and payload, signed by k as its alg says.
func jwt(t testing.TB, k key, header map[string]any, claims any) string {
	t.Helper()
	full := with(map[string]any{"alg": k.alg, "kid": k.ID}, header)
	return compact(t, k, string(marshal(t, full)), string(marshal(t, claims)))
}

// compact signs whatever header and payload are.
func compact(t testing.TB, k key, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	return input + "." + b64(sign(t, k, []byte(input)))
}

func sign(t testing.TB, k key, input []byte) []byte {
	t.Helper()
	digest := sha256.Sum256(input)
	var signature []byte
	var err error
	switch k.alg {
	case "ES256":
		r, s, failed := ecdsa.Sign(rand.Reader, k.Signer.(*ecdsa.PrivateKey), digest[:])
		if failed != nil {
			t.Fatal(failed)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case "EdDSA":
		signature, err = k.Sign(rand.Reader, input, crypto.Hash(0))
	default:
		signature, err = k.Sign(rand.Reader, digest[:], crypto.SHA256)
	}
	if err != nil {
		t.Fatal(err)
	}
	return signature
}

// hs256 signs with a secret.
func hs256(secret []byte, header, payload string) string {
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + b64(mac.Sum(nil))
}

func marshal(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// seconds is a NumericDate, by so much from now.
func (f *fake) seconds(from time.Duration) int64 { return f.clk.now().Add(from).Unix() }
