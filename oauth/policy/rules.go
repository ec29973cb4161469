package policy

// rule is one reason for a denial. Its id never changes once released: audit trails hold it.
type rule struct {
	id, advice string
	need       Need
	refusal    Refusal
}

// What is said of a subject is always the same sentence: an actor who may not see somebody must not learn from
// it whether they are disabled, protected, privileged or of another organisation.
const notThem = "You cannot impersonate this user."

// How the ids of the rules that allowed begin: the name of the deciding role follows, and the id of the consent.
const (
	allowRole    = "role.allow:"
	allowConsent = "consent.allow:"
)

// All rules, in the order in which Decide asks.
var (
	errContext = rule{id: "error.context", advice: "That took too long. Try again."}

	neverClient   = rule{id: "never.client", advice: "This application may not impersonate.", refusal: RefusalClient}
	clientUserID  = rule{id: "client.user_id", advice: "This application may not start by a user id.", refusal: RefusalClient}
	targetUnknown = rule{id: "target.unknown", advice: "This application asks for a resource that is not registered.", refusal: RefusalTarget}
	targetClient  = rule{id: "target.client", advice: "This application asks for a resource that is not its own.", refusal: RefusalTarget}
	targetAct     = rule{id: "target.accepts_act", advice: "The resource behind this application does not accept impersonation.", refusal: RefusalTarget}

	needSecondFactor = rule{id: "need.second_factor", advice: "Sign in again with your second factor.", need: NeedStepUp, refusal: RefusalStepUp}
	needFreshSignIn  = rule{id: "need.fresh_sign_in", advice: "You signed in too long ago. Sign in again.", need: NeedStepUp, refusal: RefusalStepUp}

	neverIdentity        = rule{id: "never.identity", advice: notThem}
	neverSelf            = rule{id: "never.self", advice: "You cannot impersonate yourself."}
	neverActorDisabled   = rule{id: "never.actor_disabled", advice: "Your account is disabled."}
	neverSubjectDisabled = rule{id: "never.subject_disabled", advice: notThem}
	neverProtected       = rule{id: "never.protected", advice: notThem}
	neverActorKind       = rule{id: "never.actor_kind", advice: "Only a person can impersonate somebody."}
	neverMode            = rule{id: "never.mode", advice: "Choose between looking and full access."}
	neverDuration        = rule{id: "never.duration", advice: "Choose a time of at most 60 minutes."}
	neverReason          = rule{id: "never.reason", advice: "Say why, in 10 to 500 characters."}
	neverTicketNumber    = rule{id: "never.ticket_number", advice: "A ticket number has at most 64 characters, on one line."}

	neverVia     = rule{id: "never.via", advice: "Start from the impersonate page."}
	doorMode     = rule{id: "door.mode", advice: "Full access starts from the impersonate page."}
	consentNone  = rule{id: "consent.none", advice: notThem, need: NeedConsent}
	consentOther = rule{id: "consent.other", advice: notThem, need: NeedConsent}
	consentOver  = rule{id: "consent.over", advice: notThem, need: NeedConsent}
	consentMode  = rule{id: "consent.mode", advice: "You may look, but not change anything."}

	roleNone         = rule{id: "role.none", advice: "You have no role that allows impersonation."}
	roleOrganisation = rule{id: "role.organisation", advice: notThem}
	roleSubjects     = rule{id: "role.subjects", advice: notThem}
	rolePrivileged   = rule{id: "role.privileged", advice: notThem}
	clientMode       = rule{id: "client.mode", advice: "This application can only be looked at, not changed."}
	roleMode         = rule{id: "role.mode", advice: "You may look, but not change anything."}
	roleDuration     = rule{id: "role.duration", advice: "Choose a shorter time."}
	roleTicketNumber = rule{id: "role.ticket_number", advice: "Give the number of the help-desk case.", need: NeedTicketNumber}

	scopeNone = rule{id: "scope.none", advice: "Nothing is left that you could do as this user there.", refusal: RefusalScope}
)
