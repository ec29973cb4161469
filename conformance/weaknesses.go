package conformance

import "strings"

// Weakness is a weakness that was published of some product, and that a case would have found.
type Weakness struct {
	IDs     []string // such as CVE-2026-9704; what has no number is named by where it was told
	Product string
}

// String is the ids with the product behind them.
func (w Weakness) String() string { return strings.Join(w.IDs, ", ") + " (" + w.Product + ")" }

// KnownFrom gives the published weaknesses that c would have found, none for most cases. The result is the caller's own.
func (c Case) KnownFrom() (all []Weakness) {
	for _, w := range weaknesses {
		for id := range strings.FieldsSeq(w.cases) {
			if id == c.ID && w.product != "" {
				all = append(all, Weakness{strings.Fields(w.ids), w.product})
			}
		}
	}
	return all
}

// weaknesses are those of testdata/weaknesses.txt that cases find, with all of these cases. One without a product was not published, and no report names it.
var weaknesses = []struct{ ids, product, cases string }{
	{"CVE-2026-17526", "Keycloak", "exchange/protected-subject userinfo/roles-of-the-subject"},
	{"CVE-2025-14559", "Keycloak", "start/subject-disabled"},
	{"CVE-2026-9704", "Keycloak", "exchange/subject-token-required exchange/subject-token-unreadable exchange/actor-required"},
	{"GHSA-75p6-52g3-rqc8 CVE-2022-1245", "Keycloak", "resource/another-clients-audience exchange/target-unknown exchange/many-targets"},
	{"keycloak#48104", "Keycloak", "exchange/unregistered-client-refused exchange/public-clients-refused"},
	{"CVE-2026-11800", "Keycloak", "confusion/no-shared-secret confusion/no-alg-none client/key-no-shared-secret client/key-algorithm-fits code/no-grant-by-a-client-jwt"},
	{"CVE-2026-4282", "Keycloak", "exchange/one-kind-not-for-another stop/return-token-is-nothing-else refresh/no-subject-and-no-actor refresh/access-token-is-none par/no-ticket-in-its-place"},
	{"CVE-2026-16089 CVE-2026-32245", "Keycloak, Tinyauth", "code/own-client code/redirect-uri-the-same code/pkce-verified exchange/another-clients-ticket"},
	{"CVE-2026-1035", "Keycloak", "refresh/once-in-parallel code/once-in-parallel exchange/ticket-once-in-parallel"},
	{"CVE-2026-37979 CVE-2026-58425", "Keycloak, Gitea", "introspection/other-client-told-nothing"},
	{"CVE-2026-18208", "Keycloak", "introspection/no-other-form introspection/inactive-says-nothing"},
	{"CVE-2025-14778", "Keycloak", "exchange/many-targets resource/another-clients-audience"},
	{"CVE-2022-3916", "Keycloak", "exchange/no-offline-access refresh/impersonation-lasts-no-longer"},
	{"CVE-2026-1529", "Keycloak", "confusion/claims-edited exchange/subject-token-tampered"},
	{"CVE-2026-18963", "Keycloak", "second-factor/asked-everywhere pages/ticket-needs-sign-in"},
	{"CVE-2026-56668 GHSA-vrh8-c9cm-wh8v", "ZITADEL", "exchange/another-clients-actor-token exchange/another-clients-ticket token/scope-within start/two-tokens-are-no-reason token/not-exchanged-again"},
	{"zitadel#12319 zitadel#12322 zitadel#12413", "ZITADEL", "exchange/start-works stop/start-again client/key-starts"},
	{"zitadel#7516", "ZITADEL", "pages/impersonation-token-opens-nothing introspection/impersonation-token-opens-nothing events/streams-need-authentication"},
	{"CVE-2026-27840", "ZITADEL", "introspection/changed-token-inactive userinfo/changed-token exchange/actor-token-tampered stop/tampered refresh/changed code/changed revocation/changed-token-spares-the-real"},
	{"CVE-2024-28197", "ZITADEL", "pages/cookie-fresh-at-sign-in pages/cookies"},
	{"CVE-2025-64101 GHSA-93m4-mfpg-c3xf", "ZITADEL", "metadata/forwarded-headers-ignored metadata/host-header-ignored pages/no-open-redirect"},
	{"CVE-2026-29191 CVE-2026-29192 CVE-2025-67495", "ZITADEL", "pages/nothing-repeated-as-markup pages/sign-out-leads-nowhere-else code/redirect-uri-exact"},
	{"CVE-2026-9097", "Casdoor", "exchange/actor-token-revoked"},
	{"CVE-2026-9094", "Casdoor", "start/other-organisation confusion/self-signed"},
	{"CVE-2018-0114 CVE-2026-9090 CVE-2025-24976", "Casdoor, distribution, node-jose", "confusion/key-from-the-token client/key-from-the-token"},
	{"CVE-2026-9091", "Casdoor", "second-factor/asked-everywhere"},
	{"CVE-2016-4340", "GitLab", "exchange/unprivileged-actor pages/ticket-needs-sign-in"},
	{"CVE-2025-55241", "Microsoft Entra ID", "confusion/claims-edited confusion/no-alg-none token/signed token/short-lived stop/by-revocation start/other-organisation"},
	{"CVE-2021-28680", "devise_masquerade", "stop/impersonation-token-leads-nowhere stop/tampered stop/another-client"},
	{"better-auth#6448", "better-auth", "token/not-exchanged-again token/no-actor-of-another token/one-actor"},
	{"CVE-2025-61928", "better-auth", "start/actor-by-word-alone pages/ticket-needs-sign-in"},
	{"GHSA-xg6x-h9c9-2m83", "better-auth", "second-factor/asked-everywhere"},
	{"trigger.dev#4576", "trigger.dev", "token/no-actor-of-another stop/start-again"},
	{"agenticos#943", "two open-source apps", "token/names-both introspection/names-both"},
	{"nextcloud/impersonate#31 nextcloud/impersonate#225", "Nextcloud impersonate", "stop/gives-back-the-actor stop/start-again token/sign-in-goes-on revocation/actor-token-is-not-the-impersonation"},
	{"CVE-2026-23990", "Flux Operator", "start/nobody-known"},
	{"GHSA-c7xh-gjv4-4jgv", "kcp", "exchange/protected-subject start/nobody-known"},
	{"CVE-2025-12421", "Mattermost", "exchange/one-kind-not-for-another introspection/one-time-tokens-are-none userinfo/access-tokens-only confusion/id-token"},
	{"CVE-2020-15233 CVE-2020-15234", "ory/fosite", "code/redirect-uri-exact pages/ticket-redirect-exact"},
	{"LAB-1", "", "resource/exact exchange/target-unknown"},
	{"LAB-2", "", "code/pkce-stays-in-force exchange/ticket-needs-verifier"},
	{"LAB-3", "", "code/once-in-parallel refresh/once-in-parallel"},
	{"LAB-4", "", "code/parameters-once code/redemption-parameters-once exchange/parameters-once"},
	{"LAB-5", "", "introspection/impersonation-token-opens-nothing introspection/authentication-required"},
	{"LAB-6", "", "userinfo/no-token-in-the-query introspection/body-only"},
	{"LAB-9", "", "stop/one-of-two token/sign-in-goes-on revocation/actor-token-is-not-the-impersonation pages/ended-with-the-sign-in"},
	{"CVE-2026-28513", "Pocket ID", "code/own-client code/over-with-its-time"},
	{"CVE-2026-28512 CVE-2026-7504 CVE-2026-3872 CVE-2024-8883 GHSA-p64j-f4x9-wq66", "Pocket ID, Keycloak, Ech0", "code/redirect-uri-exact pages/ticket-redirect-exact pages/sign-out-leads-nowhere-else"},
	{"GHSA-hp74-gm6m-2qm5", "Pocket ID", "code/acr-unmet"},
	{"CVE-2026-22751 CVE-2026-45720 CVE-2026-50139 CVE-2026-20779", "Spring Security, Omni, goshs, Gitea", "exchange/ticket-once-in-parallel stop/once-in-parallel client/key-once second-factor/code-once"},
	{"CVE-2026-56654 CVE-2026-28699", "Gitea", "refresh/no-wider-scope token/scope-within stop/never-wider-scope agent/no-more-than-the-user-gave"},
	{"CVE-2026-34969 CVE-2026-44883", "Nhost, Portainer", "pages/no-token-in-a-url pages/no-referrer code/no-token-through-the-browser"},
	{"CVE-2019-7644", "Auth0 JWT library", "error/repeats-no-signature"},
	{"CVE-2025-4143 CVE-2025-4144", "Cloudflare workers-oauth-provider", "code/redirect-uri-exact code/pkce-downgrade code/pkce-verified"},
	{"workers-oauth-provider#120", "Cloudflare workers-oauth-provider", "exchange/target-unknown stop/never-another-resource"},
	{"Abblix#187", "Abblix OIDC server", "code/once-in-parallel client/key-time exchange/target-unknown introspection/public-client-refused"},
	{"GHSA-v9xq-2mvm-x8xc", "Duende IdentityServer", "dpop/userinfo-needs-proof dpop/actors-key-only dpop/start-bound"},
	{"CVE-2018-1000211 CVE-2023-34246 CVE-2026-44476", "doorkeeper", "revocation/public-client client/secret-whole exchange/public-clients-refused"},
	{"COAT CORF", "integration platforms", "code/issuer-in-answer metadata/issuer-in-answer-told pages/ticket-state-and-issuer par/signs-in-with-issuer"},
	{"LAB-11", "", "client/key-time client/key-critical-headers client/key-dates-are-numbers"},
	{"CVE-2025-30204 CVE-2025-27144 CVE-2025-66506 CVE-2025-22868", "golang-jwt, go-jose, Fulcio, x/oauth2", "error/too-long"},
	{"CVE-2024-5037", "openshift telemeter", "client/key-names-itself confusion/self-signed"},
	{"CVE-2026-38651 CVE-2026-23518 GO-2026-4703", "Netmaker, Fleet, Centrifugo", "confusion/claims-edited confusion/self-signed client/key-signature dpop/proof-signature userinfo/changed-token exchange/actor-token-tampered"},
	{"CVE-2026-41164", "nuts-node", "introspection/id-token-inactive confusion/id-token confusion/client-assertion confusion/dpop-proof confusion/token-as-client-assertion"},
	{"CVE-2023-51774 CVE-2026-29000", "json-jwt, pac4j-jwt", "confusion/compact-form client/key-compact-form"},
	{"CVE-2022-39227", "python-jwt", "confusion/compact-form client/key-compact-form client/key-members-once dpop/proof-members-once"},
	{"CVE-2022-29217 CVE-2024-37568 CVE-2023-48223 CVE-2026-34950 CVE-2026-22817", "PyJWT, Authlib, fast-jwt, Hono", "confusion/no-shared-secret client/key-no-shared-secret metadata/client-algorithms-told"},
	{"CVE-2022-21449", "Java ECDSA", "confusion/signature-of-zeros client/key-signature"},
	{"CVE-2025-59420", "Authlib, PyJWT", "client/key-critical-headers dpop/proof-type"},
	{"CVE-2024-28180 GHSA-2c7c-3mj9-8fqh CVE-2025-63811 CVE-2023-6681 CVE-2026-34986", "go-jose, jose2go, jwcrypto", "confusion/compact-form client/key-compact-form"},
	{"CVE-2025-24358 CVE-2025-47909 CVE-2025-46721", "gorilla/csrf, nosurf", "pages/ticket-form-of-another-site pages/sign-in-form-of-another-site"},
	{"CVE-2025-47910", "Go net/http CrossOriginProtection", "pages/ticket-form-by-another-path"},
	{"CVE-2015-9284 CVE-2026-40883", "OmniAuth, goshs", "pages/ticket-not-by-link pages/sign-out-not-by-link"},
	{"CVE-2023-30861", "Flask", "answer/not-for-caches pages/not-stored userinfo/not-stored"},
	{"CWE-1021", "consent pages", "pages/not-framed"},
	{"CVE-2025-64484 CVE-2026-40575 CVE-2026-34457 CVE-2026-20896", "oauth2-proxy, Gitea", "client/forged-certificate-header start/actor-by-word-alone"},
	{"GHSA-vrw8-fxc6-2r93 GHSA-mqqf-5wvp-8fh8 CVE-2026-40295", "chi RedirectSlashes, Devise", "pages/no-open-redirect pages/sign-out-leads-nowhere-else"},
	{"CVE-2026-34762", "Ella Core", "exchange/parameters-once code/parameters-once"},
	{"CVE-2025-61726 CVE-2025-58186 CVE-2023-24534 CVE-2026-39825", "Go net/url, net/http", "error/too-long error/json"},
	{"CVE-2026-39826 CVE-2026-39823 CVE-2026-27142 CVE-2026-32289 CVE-2026-56858 CVE-2024-24785 CVE-2023-39318 CVE-2023-39319", "Go html/template", "pages/nothing-repeated-as-markup"},
	{"CVE-2026-25679 CVE-2025-47912 CVE-2026-39821 CVE-2023-29406", "Go net/url, idna, Host header", "metadata/host-header-ignored"},
	{"CVE-2026-55672", "ZITADEL", "code/own-client code/redirect-uri-the-same"},
	{"CVE-2019-8400", "ory/hydra", "pages/nothing-repeated-as-markup"},
	{"CVE-2020-15222 CVE-2020-5300", "ory/fosite, ory/hydra", "client/key-once"},
	{"CVE-2025-27370 CVE-2025-27371", "OpenID Connect, RFC 7523", "client/key-audience"},
}
