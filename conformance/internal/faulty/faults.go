package faulty

import "strings"

// Fault is a way to be wrong, in words.
type Fault string

// Forgetful is no fault: whoever signs in has done so for the one request that asked for it, as at servers that keep no sessions.
const Forgetful Fault = "nobody-kept-signed-in"

// Wrong tells of a fault.
type Wrong struct {
	Fault Fault
	// Grants tells that by it somebody gets a token, or an answer about one, that they must not have.
	Grants bool
	// Cases are the ids of the cases that fail by it, all of them. One that begins with ~ sees a side of it by which nobody gets anything.
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
	says   = false // nobody gets anything by it
)

var faults = []struct {
	fault  Fault
	grants bool
	cases  string
}{
	// The request of an exchange.
	{"grant-type-by-prefix", grants, "exchange/grant-type-exact"},
	{"grant-type-in-any-case", grants, "exchange/grant-type-exact"},
	{"get-taken", says, "exchange/post-only"},
	{"json-taken", says, "exchange/form-body-only"},
	{"multipart-taken", says, "exchange/form-body-only"},
	{"content-type-not-looked-at", says, "exchange/form-body-only"},
	{"query-taken", says, "exchange/form-body-only"},
	{"first-of-two-taken", says, "exchange/parameters-once code/redemption-parameters-once"},
	{"missing-subject-token-passed-over", grants, "exchange/subject-token-required exchange/subject-token-unreadable"},
	{"long-subject-token-left-out", grants, "exchange/subject-token-unreadable confusion/kid-unchecked error/too-long"},
	{"subject-type-guessed", grants, "exchange/subject-token-type-required"},
	{"subject-type-not-looked-at", grants, "exchange/subject-token-type-decides"},
	{"unknown-type-passed-over", grants, "exchange/unknown-types"},
	{"requested-type-passed-over", grants, "exchange/unknown-types exchange/no-other-type-issued"},
	{"refresh-token-when-asked", grants, "exchange/no-other-type-issued"},
	{"actor-type-guessed", grants, "exchange/actor-token-needs-type"},
	{"actor-type-alone-passed-over", grants, "exchange/actor-type-needs-token"},
	{"missing-actor-passed-over", grants, "exchange/actor-required"},
	{"malformed-target-passed-over", says, "exchange/resource-malformed resource/exact resource/unknown-at-sign-in"},
	{"target-fragment-cut-off", says, "exchange/resource-malformed"},
	{"unknown-target-passed-over", grants, "~exchange/target-unknown ~exchange/many-targets ~resource/exact ~resource/another-clients-audience ~resource/unknown-at-sign-in resource/ticket-bounds"},
	{"unknown-target-copied", grants, "exchange/target-unknown exchange/many-targets resource/exact resource/another-clients-audience ~resource/unknown-at-sign-in stop/never-another-resource"},
	{"audience-passed-over", says, "exchange/target-unknown exchange/many-targets resource/another-clients-audience"},
	{"first-target-only", grants, "~exchange/many-targets resource/ticket-bounds"},
	{"unknown-scope-granted", says, "exchange/scope-unknown code/scope-not-beyond"},

	// Who may exchange what.
	{"client-id-is-enough", grants, "exchange/client-authentication-required stop/client-authentication-required refresh/client-authentication-required client/secret-whole client/forged-certificate-header"},
	{"any-secret-taken", grants, "exchange/client-authentication-required stop/client-authentication-required refresh/client-authentication-required client/secret-whole client/wrong-secret client/anothers-secret ~client/unknown-looks-like-wrong client/brute-force ~start/ticket-outlives-a-wrong-try"},
	{"client-of-the-ticket", grants, "exchange/client-authentication-required stop/client-authentication-required"},
	{"any-client-exchanges", grants, "exchange/public-clients-refused exchange/unregistered-client-refused"},
	{"public-client-exchanges", grants, "exchange/public-clients-refused"},
	{"ticket-of-any-client", grants, "exchange/another-clients-ticket"},
	{"ticket-of-any-actor", grants, "exchange/another-actors-ticket"},
	{"ticket-compared-by-half", grants, "exchange/subject-token-tampered"},
	{"ticket-taken-again", grants, "exchange/ticket-once exchange/ticket-once-in-parallel error/same-for-every-refused-token"},
	{"ticket-marked-late", grants, "exchange/ticket-once-in-parallel"},
	{"second-try-ends-nothing", says, "exchange/ticket-once"},
	{"missing-verifier-passed-over", grants, "exchange/ticket-needs-verifier"},
	{"any-verifier-taken", grants, "exchange/ticket-needs-verifier"},
	{"wrong-verifier-lifts-it", grants, "exchange/ticket-needs-verifier"},
	{"code-taken-for-ticket", grants, "exchange/one-kind-not-for-another"},
	{"ticket-taken-for-code", grants, "exchange/one-kind-not-for-another"},
	{"actor-token-of-any-client", grants, "exchange/another-clients-actor-token"},
	{"actor-signature-not-verified", grants, "exchange/actor-token-tampered confusion/compact-form error/repeats-no-signature"},
	{"revoked-actor-token-taken", grants, "exchange/actor-token-revoked"},
	{"anybody-starts", grants, "exchange/unprivileged-actor"},
	{"protected-subject-started", grants, "exchange/protected-subject"},
	{"oneself-started", says, "exchange/not-oneself"},
	{"impersonation-token-exchanged", grants, "token/not-exchanged-again stop/impersonation-token-leads-nowhere agent/not-again"},
	{"act-taken-for-actor", grants, "token/no-actor-of-another"},

	// A second factor.
	{"half-signed-in-is-in", grants, "second-factor/asked-everywhere"},
	{"empty-code-taken", grants, "second-factor/asked-everywhere"},
	{"second-factor-taken-again", grants, "second-factor/code-once"},

	// Agents.
	{"consent-not-looked-at", grants, "agent/not-without-consent agent/may-act-not-by-word"},
	{"consent-at-any-client", grants, "agent/nobody-elses-consent"},
	{"consent-for-any-actor", grants, "agent/nobody-elses-consent agent/not-again"},
	{"may-act-of-the-request", grants, "agent/may-act-not-by-word"},
	{"may-act-is-list", says, "agent/may-act-names-it"},
	{"may-act-carried-over", says, "agent/not-again"},
	{"agent-called-the-user", says, "agent/starts-as-itself"},
	{"kind-dropped", says, "agent/kind-told"},
	{"agent-has-any-scope", grants, "agent/no-more-than-the-user-gave"},
	{"agent-outlives-users-token", says, "agent/no-more-than-the-user-gave"},
	{"agents-own-token-lasts", says, "agent/nothing-that-lasts"},
	{"agent-signs-in", says, "agent/own-token-is-its-own"},

	// What is answered.
	{"answer-is-text", says, "exchange/start-works"},
	{"member-twice", says, "exchange/start-works"},
	{"expires-in-is-text", says, "exchange/start-works token/short-lived"},
	{"start-tells-another-lifetime", says, "token/short-lived"},
	{"issued-type-missing", says, "token/answer-complete"},
	{"token-type-n-a", says, "token/answer-complete"},
	{"start-gives-refresh-token", grants, "exchange/no-offline-access ~agent/nothing-that-lasts"},
	{"answers-stored", says, "exchange/not-stored stop/not-stored error/not-stored"},
	{"error-has-token", says, "exchange/errors-tell-nothing error/same-for-every-refused-token"},
	{"error-has-quotes", says, "exchange/errors-tell-nothing"},
	{"start-ends-sign-in", says, "token/sign-in-goes-on revocation/actor-token-is-not-the-impersonation"},

	// A stop.
	{"stop-keeps-act", says, "stop/gives-back-the-actor"},
	{"stop-gives-the-subject", grants, "stop/gives-back-the-actor"},
	{"stop-issued-type-missing", says, "stop/answer-complete"},
	{"stop-token-type-n-a", says, "stop/answer-complete"},
	{"stop-ends-nothing", says, "stop/ends-the-impersonation"},
	{"stop-ends-all-of-the-subject", says, "stop/one-of-two"},
	{"return-token-taken-again", grants, "stop/once stop/once-in-parallel"},
	{"return-token-marked-late", grants, "stop/once-in-parallel"},
	{"return-token-of-any-client", grants, "stop/another-client"},
	{"return-token-compared-by-half", grants, "stop/tampered"},
	{"return-token-under-any-type", grants, "stop/return-token-is-nothing-else"},
	{"return-token-is-active", says, "stop/return-token-is-nothing-else"},
	{"return-token-starts-again", grants, "stop/after-revocation-no-impersonation"},
	{"return-token-short", says, "stop/return-token-not-guessed"},
	{"ticket-short", says, "stop/return-token-not-guessed"},
	{"wrong-secret-spends-return-token", says, "stop/client-authentication-required"},
	{"impersonation-token-leads-back", grants, "stop/impersonation-token-leads-nowhere"},
	{"stop-widens-scope", grants, "stop/never-wider-scope"},
	{"stop-drops-scope", says, "stop/start-again"},
	{"stop-for-any-resource", grants, "stop/never-another-resource"},
	{"stop-lasts-a-day", says, "stop/lasts-no-longer"},
	{"stop-signs-in-anew", says, "stop/sign-in-unchanged"},
	{"stop-keeps-id", says, "stop/own-id"},
	{"stop-gives-refresh-token", grants, "stop/no-refresh-token"},
	{"stop-gives-return-token", grants, "stop/no-refresh-token"},
	{"stop-tells-another-lifetime", says, "stop/lifetime-told"},

	// Introspection.
	{"introspection-by-client-id", grants, "introspection/authentication-required"},
	{"introspection-by-any-secret", grants, "introspection/authentication-required"},
	{"introspection-by-public-client", grants, "introspection/public-client-refused"},
	{"introspection-by-bearer", grants, "introspection/impersonation-token-opens-nothing"},
	{"introspection-by-secret-in-query", says, "introspection/body-only"},
	{"introspection-by-get", says, "introspection/body-only"},
	{"introspection-of-query", says, "introspection/body-only"},
	{"introspection-of-any-client", grants, "introspection/other-client-told-nothing introspection/no-other-form"},
	{"introspection-as-jwt-for-any-client", grants, "introspection/no-other-form"},
	{"introspection-of-nothing", grants, "introspection/token-required"},
	{"introspection-of-changed-token", grants, "introspection/changed-token-inactive confusion/compact-form"},
	{"introspection-has-member-twice", says, "introspection/living-token-active"},
	{"introspection-hint-decides", says, "introspection/hint-changes-nothing"},
	{"introspection-without-act", says, "introspection/names-both introspection/as-the-token"},
	{"introspection-of-wider-scope", says, "introspection/as-the-token"},
	{"introspection-spends-ticket", says, "introspection/one-time-tokens-are-none"},
	{"introspection-stored", says, "introspection/not-stored"},
	{"inactive-says-why", says, "introspection/inactive-says-nothing introspection/one-time-tokens-are-none"},
	{"code-is-active", grants, "introspection/one-time-tokens-are-none"},
	{"ticket-is-active", grants, "introspection/one-time-tokens-are-none"},
	{"id-token-is-active", grants, "~introspection/id-token-inactive confusion/id-token"},
	{"revoked-token-active", says, "introspection/revoked-inactive exchange/ticket-once stop/ends-the-impersonation stop/by-revocation revocation/works revocation/hint-changes-nothing code/second-use-ends-the-first refresh/revoked refresh/old-one-dead agent/ended"},
	{"expired-token-active", says, "stop/token-over-with-its-time"},

	// Revocation.
	{"revocation-by-client-id", says, "revocation/client-authentication-required"},
	{"revocation-by-any-secret", says, "revocation/client-authentication-required"},
	{"revocation-by-any-client", says, "revocation/own-tokens-only"},
	{"revocation-by-any-public-client", says, "revocation/public-client-own-only"},
	{"revocation-not-for-public-clients", says, "revocation/public-client"},
	{"revocation-by-secret-in-query", says, "revocation/body-only"},
	{"revocation-of-query", says, "revocation/body-only"},
	{"revocation-by-get", says, "revocation/body-only"},
	{"revocation-spares-impersonation", says, "stop/by-revocation revocation/hint-changes-nothing introspection/revoked-inactive agent/ended"},
	{"revocation-hint-decides", says, "revocation/hint-changes-nothing"},
	{"revocation-of-unknown-refused", says, "revocation/unknown-token"},
	{"revocation-of-nothing", says, "revocation/token-required"},
	{"revocation-of-changed-token", says, "revocation/changed-token-spares-the-real"},

	// Metadata and keys.
	{"metadata-issuer-with-slash", says, "metadata/issuer-exact"},
	{"metadata-differs", says, "metadata/documents-agree"},
	{"metadata-has-empty-list", says, "metadata/complete"},
	{"exchange-not-told", says, "metadata/exchange-told"},
	{"algorithm-none-told", says, "metadata/no-weak-algorithms"},
	{"algorithm-of-secrets-told", says, "metadata/client-algorithms-told"},
	{"implicit-told", says, "metadata/no-token-from-the-browser"},
	{"plain-told", says, "metadata/pkce-told"},
	{"endpoint-not-found", says, "metadata/endpoints-are-there"},
	{"endpoint-in-the-clear", says, "metadata/tls"},
	{"method-not-told", says, "metadata/client-methods-true"},
	{"forwarded-host-believed", says, "metadata/forwarded-headers-ignored"},
	{"host-believed", says, "metadata/host-header-ignored"},
	{"issuer-in-answer-not-told", says, "metadata/issuer-in-answer-told"},
	{"key-without-id", says, "metadata/jwks-found"},
	{"private-key-published", grants, "metadata/jwks-public-only"},
	{"short-key-published", says, "metadata/jwks-sound"},
	{"id-token-key-unknown", grants, "~metadata/tokens-verify-by-jwks ~code/id-token ~code/auth-time-true ~code/acr-told code/reserved-claims"},
	{"rs256-missing", says, "metadata/rs256-offered"},

	// The sign-in.
	{"sign-in-token-type-n-a", says, "code/works"},
	{"code-taken-again", grants, "code/once code/once-in-parallel ~code/second-use-ends-the-first"},
	{"code-marked-late", grants, "code/once-in-parallel"},
	{"second-redemption-ends-nothing", says, "code/second-use-ends-the-first"},
	{"code-of-any-client", grants, "code/own-client"},
	{"redirect-uri-not-compared", grants, "code/redirect-uri-the-same"},
	{"code-compared-by-half", grants, "code/changed"},
	{"code-short", says, "code/not-guessed"},
	{"code-never-over", grants, "code/over-with-its-time"},
	{"ticket-never-over", grants, "code/ticket-over-with-its-time"},
	{"redirect-uri-by-prefix", grants, "code/redirect-uri-exact par/validated-at-once"},
	{"unknown-client-led-back", says, "code/client-known"},
	{"state-cut", says, "code/state-exact"},
	{"issuer-not-in-errors", says, "code/issuer-in-answer"},
	{"token-at-redirect", says, "code/no-token-through-the-browser"},
	{"first-of-two-asked", says, "code/parameters-once"},
	{"challenge-optional", says, "code/pkce-required"},
	{"public-challenge-optional", says, "code/pkce-public-client"},
	{"challenge-stripped", grants, "code/pkce-downgrade ~code/pkce-required ~code/pkce-public-client"},
	{"plain-taken", says, "code/pkce-plain-refused"},
	{"redeemed-without-verifier", grants, "code/pkce-verified code/pkce-stays-in-force code/pkce-public-client"},
	{"redeemed-by-any-verifier", grants, "code/pkce-verified code/pkce-stays-in-force ~code/pkce-verifier-form"},
	{"wrong-verifier-frees-code", grants, "code/pkce-stays-in-force"},
	{"short-verifier-taken", says, "code/pkce-verifier-form"},
	{"prompt-none-shows-page", says, "code/prompt-none"},
	{"prompt-none-beside-another", says, "code/prompt-none"},
	{"prompt-none-refused", says, "code/prompt-none-signed-in"},
	{"prompt-login-passed-over", says, "code/prompt-login"},
	{"auth-time-moves", says, "code/auth-time-true code/acr-told"},
	{"nonce-dropped", says, "code/id-token"},
	{"claims-of-the-request", grants, "code/reserved-claims start/actor-by-word-alone"},
	{"request-object-believed", grants, "code/request-object-unsigned"},
	{"acr-passed-over", says, "code/acr-unmet"},
	{"acr-dropped", says, "code/acr-told"},
	{"acr-not-told", says, "code/acr-told"},
	{"password-is-grant", grants, "code/no-password-grant"},
	{"any-assertion-is-grant", grants, "code/no-grant-by-a-client-jwt"},

	// Who sends a request.
	{"two-ways-taken", grants, "client/one-way-only"},
	{"secret-in-query-taken", says, "client/no-secret-in-the-query"},
	{"any-id-beside-basic", says, "client/id-agrees"},
	{"no-challenge", says, "client/wrong-secret"},
	{"secret-in-any-case", grants, "client/secret-whole"},
	{"basic-not-decoded", says, "client/basic-is-decoded"},
	{"unknown-client-told", says, "client/unknown-looks-like-wrong"},
	{"any-clients-secret-taken", grants, "client/anothers-secret"},
	{"certificate-header-believed", grants, "client/forged-certificate-header"},
	{"unreadable-header-breaks-it", says, "client/malformed-header"},
	{"secrets-tried-for-ever", says, "client/brute-force"},
	{"assertion-for-list-refused", says, "client/key-works"},
	{"key-not-asked-for", grants, "client/key-replaces-secret"},
	{"assertion-of-any-issuer", grants, "client/key-names-itself"},
	{"assertion-of-any-subject", grants, "client/key-names-itself"},
	{"assertion-for-anybody", grants, "client/key-audience client/key-spent-by-its-owner-alone"},
	{"assertion-for-others-too", says, "client/key-audience"},
	{"assertion-without-end", grants, "client/key-time"},
	{"assertion-for-years", says, "client/key-time"},
	{"assertion-dates-passed-over", grants, "client/key-dates-are-numbers"},
	{"assertion-not-verified", grants, "client/key-signature client/key-spent-by-its-owner-alone"},
	{"assertion-of-none", grants, "client/key-no-alg-none"},
	{"assertion-by-secret", grants, "client/key-no-shared-secret"},
	{"assertion-algorithm-not-looked-at", grants, "client/key-algorithm-fits"},
	{"assertion-crit-passed-over", grants, "client/key-critical-headers"},
	{"assertion-key-from-header", grants, "client/key-from-the-token"},
	{"assertion-kid-is-a-path", grants, "client/key-id-unchecked"},
	{"assertion-first-of-two-members", grants, "client/key-members-once"},
	{"assertion-in-json-form", grants, "client/key-compact-form"},
	{"assertion-taken-again", grants, "client/key-once"},
	{"assertion-marked-late", says, "client/key-once"},
	{"assertion-spent-by-anybody", says, "client/key-spent-by-its-owner-alone"},
	{"assertion-beside-any-id", says, "client/key-id-agrees"},
	{"assertion-beside-secret", grants, "client/key-and-secret"},
	{"client-assertion-is-grant", grants, "client/key-is-no-grant"},
	{"key-client-may-not-start", says, "client/key-starts"},

	// Refresh.
	{"refresh-keeps-id", says, "refresh/works"},
	{"refresh-of-any-client", grants, "refresh/own-client"},
	{"refresh-widens-scope", says, "refresh/no-wider-scope"},
	{"refresh-keeps-scope", says, "refresh/narrowed-stays-narrow"},
	{"refresh-compared-by-half", grants, "refresh/changed"},
	{"refresh-token-taken-again", grants, "refresh/old-one-dead refresh/once-in-parallel"},
	{"old-refresh-token-ends-nothing", grants, "refresh/old-one-dead"},
	{"refresh-marked-late", grants, "refresh/once-in-parallel"},
	{"refresh-after-revocation", grants, "refresh/revoked refresh/old-one-dead"},
	{"refresh-signs-in-anew", says, "refresh/sign-in-unchanged"},
	{"refresh-token-taken-for-actor", grants, "refresh/no-subject-and-no-actor"},
	{"ticket-taken-for-refresh-token", grants, "refresh/access-token-is-none exchange/one-kind-not-for-another"},
	{"impersonation-token-refreshed", grants, "refresh/access-token-is-none"},
	{"refresh-lengthens-impersonation", says, "refresh/impersonation-lasts-no-longer"},

	// Pushed requests.
	{"pushed-with-200", says, "par/works"},
	{"pushed-by-client-id", says, "par/authentication-required"},
	{"request-uri-within-pushed", says, "par/no-request-uri-within"},
	{"pushed-in-query", says, "par/body-only"},
	{"pushed-redirect-uri-not-looked-at", grants, "par/validated-at-once"},
	{"request-uri-of-any-client", says, "par/own-client"},
	{"request-uri-taken-again", says, "par/once"},
	{"request-uri-compared-by-half", says, "par/changed"},
	{"query-beside-request-uri-wins", grants, "par/query-changes-nothing"},
	{"pushed-state-dropped", says, "par/signs-in-with-issuer par/query-changes-nothing"},
	{"ticket-taken-for-request-uri", says, "par/no-ticket-in-its-place"},
	{"request-uri-never-over", says, "par/over-with-its-time"},

	// Userinfo.
	{"userinfo-not-by-post", says, "userinfo/works"},
	{"userinfo-without-act", says, "userinfo/impersonation-tells-both"},
	{"userinfo-of-the-actor", grants, "userinfo/impersonation-tells-both"},
	{"userinfo-roles-of-the-actor", grants, "userinfo/roles-of-the-subject"},
	{"userinfo-after-revocation", grants, "userinfo/over-with-the-impersonation ~revocation/ends-at-userinfo ~revocation/public-client"},
	{"userinfo-of-changed-token", grants, "userinfo/changed-token confusion/compact-form error/repeats-no-signature"},
	{"userinfo-without-challenge", says, "userinfo/challenge userinfo/over-with-the-impersonation userinfo/changed-token userinfo/access-tokens-only"},
	{"userinfo-of-two-tokens", says, "userinfo/one-token"},
	{"userinfo-by-query", says, "userinfo/no-token-in-the-query"},
	{"userinfo-without-openid", says, "userinfo/needs-openid"},
	{"userinfo-by-code", grants, "userinfo/access-tokens-only"},
	{"userinfo-stored", says, "userinfo/not-stored"},

	// Tokens that are none of the server's.
	{"token-of-any-issuer", grants, "confusion/self-signed"},
	{"token-key-from-header", grants, "confusion/key-from-the-token"},
	{"token-of-client-key", grants, "confusion/client-assertion"},
	{"token-of-none", grants, "confusion/no-alg-none exchange/actor-token-tampered introspection/changed-token-inactive userinfo/changed-token"},
	{"token-by-secret", grants, "confusion/no-shared-secret"},
	{"token-kid-is-a-path", grants, "confusion/kid-unchecked"},
	{"token-signature-of-zeros", grants, "confusion/signature-of-zeros introspection/changed-token-inactive"},
	{"token-scope-not-signed", grants, "confusion/claims-edited"},
	{"token-in-json-form", grants, "confusion/compact-form"},
	{"id-token-taken-for-access-token", grants, "confusion/id-token userinfo/access-tokens-only ~introspection/id-token-inactive"},
	{"token-taken-for-assertion", grants, "confusion/token-as-client-assertion"},
	{"return-token-is-weak-jwt", grants, "confusion/no-weak-secret"},

	// For which API, about whom, and how it is refused.
	{"resource-forgotten", says, "resource/for-the-one-asked"},
	{"audience-of-everybody", says, "resource/default"},
	{"ticket-for-any-resource", grants, "resource/ticket-bounds"},
	{"code-for-any-resource", grants, "resource/code-bounds"},
	{"refresh-for-any-resource", grants, "resource/refresh-bounds"},
	{"target-slash-cut-off", says, "resource/exact"},
	{"unknown-target-at-sign-in", says, "resource/unknown-at-sign-in"},
	{"disabled-subject-started", grants, "start/subject-disabled"},
	{"other-organisation-started", grants, "start/other-organisation"},
	{"unknown-subject-is-somebody", grants, "start/nobody-known"},
	{"two-tokens-start", grants, "start/two-tokens-are-no-reason agent/nobody-elses-consent"},
	{"wrong-try-spends-ticket", says, "start/ticket-outlives-a-wrong-try"},
	{"token-has-login", says, "start/says-little-of-people"},
	{"token-has-unknown-claim", says, "start/claims-of-known-names"},
	{"protected-subject-told", says, "start/answers-know-no-guess"},
	{"id-token-called-bearer", says, "start/what-opens-nothing-is-called-so"},
	{"missing-grant-breaks-it", says, "error/json error/unknown-grant metadata/endpoints-are-there"},
	{"used-ticket-told", says, "error/same-for-every-refused-token"},

	// What the token says.
	{"act-missing", says, "token/names-both start/actor-by-word-alone token/act-names-issuer token/act-identifies-only token/one-actor introspection/names-both agent/starts-as-itself agent/kind-told start/says-little-of-people"},
	{"act-is-text", says, "token/names-both token/act-names-issuer token/act-identifies-only token/one-actor introspection/names-both start/actor-by-word-alone agent/starts-as-itself agent/kind-told"},
	{"act-names-client", says, "token/names-both introspection/names-both agent/starts-as-itself start/actor-by-word-alone"},
	{"sub-is-actor", grants, "token/names-both introspection/names-both agent/starts-as-itself"},
	{"act-has-no-issuer", says, "token/act-names-issuer"},
	{"act-has-roles", says, "token/act-identifies-only"},
	{"act-in-act", says, "token/one-actor"},
	{"may-act-in-token", says, "token/one-actor agent/not-again"},
	{"type-jwt", says, "token/signed"},
	{"audience-missing", says, "token/claims-complete token/audience-asked"},
	{"audience-too-wide", says, "token/audience-asked resource/for-the-one-asked"},
	{"client-id-missing", says, "token/claims-complete introspection/names-both"},
	{"issuer-with-slash", says, "token/claims-complete"},
	{"times-are-text", says, "token/claims-complete token/short-lived agent/no-more-than-the-user-gave"},
	{"scope-is-list", says, "token/scope-one-string"},
	{"scope-widened", grants, "token/scope-within agent/no-more-than-the-user-gave"},
	{"look-only-writes", grants, "token/look-only-cannot-write"},
	{"token-lasts-a-day", says, "token/short-lived agent/no-more-than-the-user-gave"},
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
