package meddler

import (
	"regexp"
	"slices"
	"strings"
)

// required are the members that an answer must have, and whose: who drops another does what the clause allows.
var required = []struct {
	kind    string // what the kind begins with
	members string
	clause  string
}{
	{"GET /.well-known/", "issuer authorization_endpoint token_endpoint jwks_uri response_types_supported subject_types_supported id_token_signing_alg_values_supported", "OpenID Connect Discovery §3"},
	{"GET /.well-known/", "token_endpoint_auth_signing_alg_values_supported", "RFC 8414 §2, beside private_key_jwt"},
	{"GET /.well-known/", "grant_types_supported token_endpoint_auth_methods_supported code_challenge_methods_supported authorization_response_iss_parameter_supported",
		"RFC 8414 §2, RFC 9207 §3: what their absence says is not so"},
	{"GET /keys", "keys keys.kty keys.crv keys.x keys.y keys.n keys.e keys.kid", "RFC 7517 §4.1, RFC 7518 §6; of two keys kid, OpenID Connect Core §10.1"},
	{"POST /token 200", "access_token token_type", "RFC 6749 §5.1"},
	{"POST /token 200 authorization_code", "id_token", "OpenID Connect Core §3.1.3.3"},
	{"POST /token 200 token-exchange", "issued_token_type", "RFC 8693 §2.2.1"},
	{"POST /par 201", "request_uri expires_in", "RFC 9126 §2.2"},
	{"POST /introspect", "active", "RFC 7662 §2.2"},
	{"GET /userinfo", "sub", "OpenID Connect Core §5.3.2"},
	{"POST /userinfo", "sub", "OpenID Connect Core §5.3.2"},
	{"POST ", "error", "RFC 6749 §5.2"},
	{"", "act act.sub", "RFC 8693 §4.1"},
	{"", "code ticket error state iss", "RFC 6749 §4.1.2, RFC 9207 §2; a ticket is what its page is for"},
}

// unregistered are members that no clause tells the meaning of: nobody can say what type and value are wrong.
var unregistered = []string{"roles", "act.sub_profile"}

// promised are members that no clause knows, and that whoever runs the suite has to name as there: the return token.
const promised = "return_token"

// endpoint is what a kind begins with that is of one, and of no other spelling of it.
var endpoint = regexp.MustCompile(`^(GET|POST) /(\.well-known/)?[a-z]+(-[a-z]+)* \d`)

// wrong reports whether an operation makes of an answer one that must not be. What a clause leaves open is not wrong, and neither is what no clause is about. It goes
// by clauses alone: by what is found of it nothing is changed here.
func (o Operation) wrong(a *Answer) bool {
	part, name, _ := strings.Cut(o.Part, " ")
	isJSON := members(a.Body) != nil
	if !endpoint.MatchString(o.Kind) || a.Status == 404 || a.Status == 405 {
		return false // it is no answer of an endpoint
	}
	switch part {
	case "member", "parameter":
		switch {
		case o.Do == "repeat":
			return true // RFC 8259 §4, RFC 6749 §3.1: each reader takes another
		case name == "error_description", slices.Contains(unregistered, name):
			return false
		case o.Do == "drop":
			return o.requires(name) || strings.HasSuffix(name, promised)
		}
		return true // a type that the clause does not allow, or what is not true
	case "header":
		return o.wrongHeader(name, a, isJSON)
	case "attribute":
		return true // RFC 6265 §4.1.2.6, §8.2
	case "status":
		return o.wrongStatus(a, isJSON)
	}
	return false
}

func (o Operation) requires(name string) bool {
	for _, r := range required {
		if strings.HasPrefix(o.Kind, r.kind) && slices.Contains(strings.Fields(r.members), name) {
			return true
		}
	}
	return false
}

func (o Operation) wrongHeader(name string, a *Answer, isJSON bool) bool {
	switch name {
	case "Content-Type": // RFC 6749 §5.1, §5.2, RFC 7662 §2.2, RFC 8414 §3.2, RFC 9126 §2.2, OpenID Connect Core §5.3.2; a set of keys may have several
		return isJSON && !strings.HasPrefix(o.Kind, "GET /keys")
	case "Cache-Control": // RFC 6749 §5.1 of tokens; what is of one person and told to be public is wrong anywhere
		return o.Do == "drop" && strings.HasPrefix(o.Kind, "POST /token 200") || o.Do == "value" && a.Status == 200 && len(a.Body) > 0
	}
	return true // Location, Set-Cookie, WWW-Authenticate: it does not work without
}

func (o Operation) wrongStatus(a *Answer, isJSON bool) bool {
	if strings.HasPrefix(a.Header.Get("Content-Type"), "text/html") {
		return a.Status == 200 && o.Do == "500" // no clause tells what status a page has, but that it is none of a failure
	}
	switch a.Status {
	case 200:
		return o.Do == "500" || o.Do == "201" || o.Do == "302"
	case 201:
		return o.Do == "200" || o.Do == "500"
	case 302, 303: // to go on as before with what was posted is RFC 9700 §4.12
		return o.Do == "200" || o.Do == "500" || o.Do == "307" && strings.HasPrefix(o.Kind, "POST")
	case 400:
		return isJSON && (o.Do == "200" || o.Do == "500")
	case 401, 403:
		return o.Do == "200" || o.Do == "400" || o.Do == "500"
	}
	return false
}
