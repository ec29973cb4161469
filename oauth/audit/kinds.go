package audit

// Kinds are all kinds that there are, in the order in which Kind lists them.
func Kinds() []Kind {
	return []Kind{
		KindTicket, KindStart, KindRefused, KindRefusedFolded, KindStop, KindStopRefused, KindEnd, KindAction, KindReuse, KindRevoke,
		KindSignIn, KindSignOut, KindTOTPEnrolled,
		KindUserAdd, KindUserPassword, KindUserRole, KindUserDisable, KindUserEnable, KindUserChange, KindUserLink, KindUserUnlink, KindUserDelete,
		KindGroupAdd, KindGroupChange, KindGroupRemove, KindSourceAdd, KindSourceChange, KindSourceRemove, KindSourceRefused, KindSourceFolded,
		KindClientAdd, KindClientChange, KindClientRemove, KindStreamRemove,
		KindConsentAdd, KindConsentRemove,
		KindKill, KindLift, KindPolicy, KindKey, KindKeyRevoke, KindSearch,
	}
}
