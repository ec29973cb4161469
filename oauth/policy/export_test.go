package policy

// RuleIDs gives the id of every rule, so that a test can hold that each has a case.
func RuleIDs() []string {
	var ids []string
	for _, r := range []*rule{
		&errContext, &neverIdentity, &neverSelf, &neverActorDisabled, &neverSubjectDisabled, &neverProtected, &neverActorKind,
		&neverMode, &neverDuration, &neverReason, &neverTicketNumber, &neverClient, &targetUnknown, &targetClient, &targetAct,
		&clientUserID, &neverVia, &doorMode, &consentNone, &consentOther, &consentOver, &consentMode, &needSecondFactor, &needFreshSignIn, &roleNone, &roleOrganisation, &roleSubjects, &rolePrivileged,
		&clientMode, &roleMode, &roleDuration, &roleTicketNumber, &scopeNone,
	} {
		ids = append(ids, r.id)
	}
	return ids
}

// Unchecked gives Rules for a registry that New might refuse.
func Unchecked(reg Registry) *Rules { return &Rules{registry: reg, version: reg.Version()} }
