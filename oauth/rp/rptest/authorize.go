package rptest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/rp"
)

// once is what can be redeemed one time.
type once struct {
	kind      string // code, ticket, return
	person    rp.Person
	subject   rp.Person
	mode      oauth.Mode
	redirect  string
	challenge string
	scope     string
	nonce     string
	session   *session
	expires   int64
}

// authorize is GET /oauth2/auth: whoever is signed in agrees.
func (i *Issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q, back, ok := i.asked(w, r)
	switch {
	case !ok:
	case q.Get("response_type") != "code":
		i.sendBack(w, q, back, "error", "unsupported_response_type")
	case i.person.Subject == "":
		i.sendBack(w, q, back, "error", "login_required")
	case q.Get(oauth.ParamNotImpersonating) == "true" && i.impersonates(i.person):
		i.sendBack(w, q, back, "error", "interaction_required")
	default:
		i.sendBack(w, q, back, "code", i.issue(&once{
			kind: "code", person: i.person, redirect: back, challenge: q.Get("code_challenge"), scope: q.Get("scope"), nonce: q.Get("nonce"),
		}))
	}
}

// impersonate is GET /impersonate: the page, and what was chosen on it, in one.
func (i *Issuer) impersonate(w http.ResponseWriter, r *http.Request) {
	q, back, ok := i.asked(w, r)
	switch {
	case !ok:
	case i.person.Subject == "" || i.subject.Subject == "":
		i.sendBack(w, q, back, "error", "access_denied")
	default:
		i.sendBack(w, q, back, "ticket", i.issue(&once{
			kind: "ticket", person: i.person, subject: i.subject, mode: i.mode, redirect: back, challenge: q.Get("code_challenge"),
		}))
	}
}

// asked reads what comes by the browser. Where it reports false it has answered: nobody is sent to an address that is not the app's.
func (i *Issuer) asked(w http.ResponseWriter, r *http.Request) (q url.Values, back string, ok bool) {
	q = r.URL.Query()
	back = q.Get("redirect_uri")
	if q.Get("client_id") != ClientID || !strings.HasSuffix(back, "/.understudy/callback") {
		http.Error(w, "unknown client_id or redirect_uri", http.StatusBadRequest)
		return nil, "", false
	}
	if len(q.Get("state")) < 8 || q.Get("code_challenge_method") != "S256" || len(q.Get("code_challenge")) != oauth.SecretLength {
		i.sendBack(w, q, back, "error", "invalid_request")
		return nil, "", false
	}
	return q, back, true
}

// sendBack is RFC 6749 §4.1.2 with the iss of RFC 9207.
func (i *Issuer) sendBack(w http.ResponseWriter, q url.Values, back, name, value string) {
	w.Header().Set("Location", back+"?"+url.Values{name: {value}, "state": {q.Get("state")}, "iss": {i.URL}}.Encode())
	w.WriteHeader(http.StatusSeeOther)
}

func (i *Issuer) impersonates(p rp.Person) bool {
	for _, s := range i.sessions {
		if s.Actor.Subject == p.Subject && i.lives(s) {
			return true
		}
	}
	return false
}

func (i *Issuer) lives(s *session) bool { return !s.ended && i.Now().Before(s.Expires) }

// issue keeps o under a value that is given once.
func (i *Issuer) issue(o *once) string {
	if o.expires == 0 {
		o.expires = i.Now().Add(onceLifetime).Unix()
	}
	value := string(oauth.NewSecret())
	i.once[value] = o
	return value
}

// redeem gives what value stands for, the first time; nil if it is of another kind or out of time.
func (i *Issuer) redeem(kind, value string) *once {
	o := i.once[value]
	if o == nil || o.kind != kind || i.Now().Unix() >= o.expires {
		return nil
	}
	delete(i.once, value)
	return o
}

// proves is the check of RFC 7636 §4.6.
func (o *once) proves(verifier string) bool {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:]) == o.challenge
}
