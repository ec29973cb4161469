package oauth

// GrantTypeTokenExchange is the grant_type of RFC 8693 §2.1.
const GrantTypeTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// TokenType is a token type identifier (RFC 8693 §3).
type TokenType string

// The token types that we know. Those under urn:understudy are our own and are never issued_token_type.
const (
	TokenTypeAccessToken  TokenType = "urn:ietf:params:oauth:token-type:access_token"
	TokenTypeRefreshToken TokenType = "urn:ietf:params:oauth:token-type:refresh_token"
	TokenTypeIDToken      TokenType = "urn:ietf:params:oauth:token-type:id_token"
	TokenTypeJWT          TokenType = "urn:ietf:params:oauth:token-type:jwt"

	// TokenTypeTicket is the one-time hand-over of the impersonate page; as subject_token it starts.
	TokenTypeTicket TokenType = "urn:understudy:params:oauth:token-type:ticket"
	// TokenTypeReturnToken is the one-time secret issued with an impersonation token; as subject_token it stops.
	TokenTypeReturnToken TokenType = "urn:understudy:params:oauth:token-type:return_token"
	// TokenTypeUserID is a bare sub; as subject_token it starts without the page, where a client may.
	TokenTypeUserID TokenType = "urn:understudy:params:oauth:token-type:user_id"
)

// How a person signed in here: the authentication context class references (acr, OpenID Connect Core §2). The values are our
// own, since those that others have registered promise what a password and a one-time code do not keep: phr and phrh of OpenID's
// EAP profile that nobody can be phished, and the assurance levels of RFC 6711's registry who the person is. MFA contains
// Password.
const (
	// ACRPassword is a sign-in by password.
	ACRPassword = "urn:understudy:acr:password"
	// ACRMFA is one by password and a second factor.
	ACRMFA = "urn:understudy:acr:mfa"
)

// The parameters of a start by TokenTypeUserID. With a ticket both were told to the page.
const (
	// ParamReason is why, 10 to 500 characters: required.
	ParamReason = "understudy_reason"
	// ParamTicketNumber is the help-desk case, at most 64 characters.
	ParamTicketNumber = "understudy_ticket_number"
)

// ParamNotImpersonating at the authorization endpoint, with the value true, asks for an answer only while this login
// impersonates nobody at this client: otherwise the person is asked first, and prompt=none gives interaction_required. An
// app that holds an actor's sign-in sends it, since script in a page can make a browser forget that it is held.
const ParamNotImpersonating = "understudy_not_impersonating"

// Scopes with a meaning of our own.
const (
	// ScopeImpersonate lets a token serve as actor_token. It is on the never-list: no impersonation token has it.
	ScopeImpersonate = "impersonate"
	// ScopeImpersonationWrite marks an impersonation token as full access. Absent means look only. It can never
	// be requested at the authorization endpoint and is in no token without act.
	ScopeImpersonationWrite = "impersonation:write"
	// ScopeOpenID opens userinfo (OpenID Connect Core §5.3).
	ScopeOpenID = "openid"
	// ScopeOfflineAccess asks for a refresh token. No impersonation token has it.
	ScopeOfflineAccess = "offline_access"
)
