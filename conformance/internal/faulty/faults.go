package faulty

import (
	"bytes"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Fault is a way to be wrong, in words.
type Fault string

// Wrong tells of a fault.
type Wrong struct {
	Fault Fault
	// Grants tells that by it somebody gets a token that they must not have.
	Grants bool
	// Cases are the ids of the cases that fail by it, all of them.
	Cases []string
}

// Faults are all that there are. The result is the caller's own.
func Faults() (all []Wrong) {
	for _, f := range faults {
		all = append(all, Wrong{f.fault, f.grants, strings.Fields(f.cases)})
	}
	return all
}

const (
	grants = true
	says   = false // it gives no token to anybody
)

var faults = []struct {
	fault  Fault
	grants bool
	cases  string
}{
	// The request of an exchange.
	{"grant-type-by-prefix", grants, "exchange/grant-type-exact"},
	{"grant-type-in-any-case", grants, "exchange/grant-type-exact"},
	{"get-taken", grants, "exchange/post-only"},
	{"json-taken", grants, "exchange/form-body-only"},
	{"multipart-taken", grants, "exchange/form-body-only"},
	{"content-type-not-looked-at", grants, "exchange/form-body-only"},
	{"query-taken", grants, "exchange/form-body-only"},
	{"first-of-two-taken", grants, "exchange/parameters-once"},
	{"missing-subject-token-passed-over", grants, "exchange/subject-token-required exchange/subject-token-unreadable"},
	{"long-subject-token-left-out", grants, "exchange/subject-token-unreadable"},
	{"subject-type-guessed", grants, "exchange/subject-token-type-required"},
	{"subject-type-not-looked-at", grants, "exchange/subject-token-type-decides"},
	{"unknown-type-passed-over", grants, "exchange/unknown-types"},
	{"requested-type-passed-over", grants, "exchange/unknown-types exchange/no-other-type-issued"},
	{"refresh-token-when-asked", grants, "exchange/no-other-type-issued"},
	{"actor-type-guessed", grants, "exchange/actor-token-needs-type"},
	{"actor-type-alone-passed-over", grants, "exchange/actor-type-needs-token"},
	{"missing-actor-passed-over", grants, "exchange/actor-required"},
	{"malformed-target-passed-over", grants, "exchange/resource-malformed"},
	{"target-fragment-cut-off", grants, "exchange/resource-malformed"},
	{"unknown-target-passed-over", grants, "exchange/target-unknown exchange/many-targets"},
	{"unknown-target-copied", grants, "exchange/target-unknown exchange/many-targets"},
	{"audience-passed-over", grants, "exchange/target-unknown exchange/many-targets"},
	{"first-target-only", grants, "exchange/many-targets"},
	{"unknown-scope-granted", grants, "exchange/scope-unknown"},

	// Who may exchange what.
	{"client-id-is-enough", grants, "exchange/client-authentication-required"},
	{"any-secret-taken", grants, "exchange/client-authentication-required"},
	{"client-of-the-ticket", grants, "exchange/client-authentication-required"},
	{"any-client-exchanges", grants, "exchange/public-clients-refused exchange/unregistered-client-refused"},
	{"public-client-exchanges", grants, "exchange/public-clients-refused"},
	{"ticket-of-any-client", grants, "exchange/another-clients-ticket"},
	{"ticket-of-any-actor", grants, "exchange/another-actors-ticket"},
	{"ticket-compared-by-half", grants, "exchange/subject-token-tampered"},
	{"ticket-taken-again", grants, "exchange/ticket-once exchange/ticket-once-in-parallel"},
	{"ticket-marked-late", grants, "exchange/ticket-once-in-parallel"},
	{"second-try-ends-nothing", says, "exchange/ticket-once"},
	{"missing-verifier-passed-over", grants, "exchange/ticket-needs-verifier"},
	{"any-verifier-taken", grants, "exchange/ticket-needs-verifier"},
	{"wrong-verifier-lifts-it", grants, "exchange/ticket-needs-verifier"},
	{"code-taken-for-ticket", grants, "exchange/one-kind-not-for-another"},
	{"ticket-taken-for-code", grants, "exchange/one-kind-not-for-another"},
	{"actor-token-of-any-client", grants, "exchange/another-clients-actor-token"},
	{"actor-signature-not-verified", grants, "exchange/actor-token-tampered"},
	{"revoked-actor-token-taken", grants, "exchange/actor-token-revoked"},
	{"anybody-starts", grants, "exchange/unprivileged-actor"},
	{"protected-subject-started", grants, "exchange/protected-subject"},
	{"oneself-started", grants, "exchange/not-oneself"},
	{"impersonation-token-exchanged", grants, "token/not-exchanged-again"},
	{"act-taken-for-actor", grants, "token/no-actor-of-another"},

	// What is answered.
	{"answer-is-text", says, "exchange/start-works"},
	{"member-twice", says, "exchange/start-works"},
	{"expires-in-is-text", says, "exchange/start-works token/short-lived"},
	{"expires-in-of-the-sign-in", says, "token/short-lived"},
	{"issued-type-missing", says, "token/answer-complete"},
	{"token-type-n-a", says, "token/answer-complete"},
	{"refresh-token-given", grants, "exchange/no-offline-access"},
	{"answers-stored", says, "exchange/not-stored"},
	{"error-has-token", says, "exchange/errors-tell-nothing"},
	{"error-has-quotes", says, "exchange/errors-tell-nothing"},
	{"start-ends-sign-in", says, "token/sign-in-goes-on"},

	// What the token says.
	{"act-missing", says, "token/names-both token/act-names-issuer token/act-identifies-only token/one-actor"},
	{"act-is-text", says, "token/names-both token/act-names-issuer token/act-identifies-only token/one-actor"},
	{"act-names-client", says, "token/names-both"},
	{"sub-is-actor", grants, "token/names-both"},
	{"act-has-no-issuer", says, "token/act-names-issuer"},
	{"act-has-roles", says, "token/act-identifies-only"},
	{"act-in-act", says, "token/one-actor"},
	{"may-act-in-token", says, "token/one-actor"},
	{"type-jwt", says, "token/signed"},
	{"audience-missing", says, "token/claims-complete token/audience-asked"},
	{"audience-too-wide", says, "token/audience-asked"},
	{"client-id-missing", says, "token/claims-complete"},
	{"issuer-with-slash", says, "token/claims-complete"},
	{"times-are-text", says, "token/claims-complete token/short-lived"},
	{"scope-is-list", says, "token/scope-one-string"},
	{"scope-widened", grants, "token/scope-within"},
	{"look-only-writes", grants, "token/look-only-cannot-write"},
	{"token-lasts-a-day", says, "token/short-lived"},
	{"auth-time-of-subject", says, "token/no-sign-in-of-the-subject"},
	{"ids-alike", says, "token/ids-differ"},
}

var known = func() map[Fault]bool {
	m := make(map[Fault]bool)
	for _, f := range faults {
		m[f.fault] = true
	}
	return m
}()

// wrong reports whether that is how s is wrong. A fault that is not in the table ends the program: nobody would try it.
func (s *Server) wrong(f Fault) bool {
	if !known[f] {
		panic("no fault is called " + f)
	}
	return s.fault == f
}

// spoilToken makes of what a token says what it must not say.
func (s *Server) spoilToken(t *token, header, claims object) {
	if s.fault == "" || t.actor == nil {
		return
	}
	act := claims["act"].(object)
	switch {
	case s.wrong("act-missing"):
		delete(claims, "act")
	case s.wrong("act-is-text"):
		claims["act"] = t.actor.Subject
	case s.wrong("act-names-client"):
		act["sub"] = t.client.ID
	case s.wrong("sub-is-actor"):
		claims["sub"] = t.actor.Subject
	case s.wrong("act-has-no-issuer"):
		delete(act, "iss")
	case s.wrong("act-has-roles"):
		act["roles"] = []string{"admin"}
	case s.wrong("act-in-act"):
		act["act"] = object{"sub": t.client.ID}
	case s.wrong("may-act-in-token"):
		claims["may_act"] = object{"sub": t.actor.Subject}
	case s.wrong("type-jwt"):
		header["typ"] = "JWT"
	case s.wrong("audience-missing"):
		delete(claims, "aud")
	case s.wrong("audience-too-wide"):
		claims["aud"] = []string{t.audience, s.issuer}
	case s.wrong("client-id-missing"):
		delete(claims, "client_id")
	case s.wrong("issuer-with-slash"):
		claims["iss"] = s.issuer + "/"
	case s.wrong("times-are-text"):
		claims["exp"] = t.expires.Format(time.RFC3339)
	case s.wrong("scope-is-list"):
		claims["scope"] = t.scope
	case s.wrong("scope-widened"):
		claims["scope"] = strings.Join(append(t.scope, impersonateScope), " ")
	case s.wrong("token-lasts-a-day"):
		t.expires = t.issued.Add(24 * time.Hour)
		claims["exp"] = t.expires.Unix()
	case s.wrong("auth-time-of-subject"):
		claims["auth_time"] = t.login.at.Add(-time.Hour).Unix()
	case s.wrong("ids-alike"):
		claims["jti"] = "one"
	}
}

// spoilAnswer makes of an answer of the token endpoint what it must not be.
func (s *Server) spoilAnswer(f url.Values, answer object) {
	if f.Get("grant_type") != grantExchange {
		return
	}
	switch {
	case s.wrong("expires-in-is-text"):
		answer["expires_in"] = "1800"
	case s.wrong("expires-in-of-the-sign-in"):
		answer["expires_in"] = AccessLifetime.Seconds()
	case s.wrong("issued-type-missing"):
		delete(answer, "issued_token_type")
	case s.wrong("token-type-n-a"):
		answer["token_type"] = "N_A"
	case s.wrong("refresh-token-given"), s.wrong("refresh-token-when-asked") && f.Get("requested_token_type") == typeRefresh:
		answer["refresh_token"] = random()
	}
}

// spoilError makes of an error what it must not say.
func (s *Server) spoilError(f url.Values, o object) {
	switch {
	case s.wrong("error-has-token"):
		o["error_description"] = "this does not hold: " + f.Get("subject_token")
	case s.wrong("error-has-quotes"):
		o["error_description"] = `this "does not hold"`
	}
}

// write sends an answer of the token endpoint.
func (s *Server) write(w http.ResponseWriter, answer object) {
	b, err := json.Marshal(answer)
	if err != nil { // it holds what has a JSON form
		panic(err)
	}
	kind := "application/json"
	switch {
	case s.wrong("answer-is-text"):
		kind = "text/html"
	case s.wrong("member-twice"):
		b = append([]byte(`{"scope":"everything",`), b[1:]...)
	}
	w.Header().Set("Content-Type", kind)
	w.Write(b)
}

// aboutTheActor gives the actor a token that they have not asked for.
func (s *Server) aboutTheActor(c *Client, f url.Values) (object, *refusal) {
	actor := s.actor(c, f.Get("actor_token"))
	if actor == nil {
		return nil, unproven()
	}
	return s.mint(&token{client: c, subject: actor.subject, audience: Resource, login: actor.login, grant: &grant{}, expires: actor.expires}).answer(), nil
}

// ofJSON reads a form that is JSON.
func ofJSON(body []byte) (url.Values, error) {
	var members map[string]string
	f := url.Values{}
	err := json.Unmarshal(body, &members)
	for name, value := range members {
		f.Set(name, value)
	}
	return f, err
}

// ofParts reads a form that has parts.
func ofParts(body []byte, boundary string) (url.Values, error) {
	form, err := multipart.NewReader(bytes.NewReader(body), boundary).ReadForm(1 << 20)
	if err != nil {
		return nil, err
	}
	return form.Value, nil
}
