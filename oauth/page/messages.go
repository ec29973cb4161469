package page

import (
	"fmt"
	"html/template"
	"strings"
)

// messages are all words of the pages, by key. They are HTML of our own: a value goes in by %s or %d only, through markup
// or text, which clean and escape it.
var messages = map[string]string{
	"product":      "understudy",
	"skip":         "Skip to content",
	"help":         "Help",
	"help.label":   "Help",
	"me":           "Signed in as %s",
	"error.prefix": "Error: ",
	"summary":      "There is a problem",
	"request":      "If you ask for help, quote this number: %s",
	"rule.text":    "must be printable ASCII, at most %d characters",
	"rule.cursor":  "is not a cursor of this page",

	"find.title":        "Impersonate a user",
	"find.lead":         "%s asks whom you want to impersonate.",
	"find.label":        "Find a user",
	"find.hint":         "Name, e-mail address or user id. At least 2 characters.",
	"find.button":       "Search",
	"find.empty":        "Search to see the users whom you may impersonate.",
	"find.none":         "No users match “%s”. Check the spelling, or try the e-mail address.",
	"find.one":          "1 user matches “%s”.",
	"find.some":         "%d users match “%s”.",
	"find.more":         "These are %d users who match “%s”. There are more: refine your search, or go to the next page.",
	"find.many":         "Too many match “%s” to look through them all. Refine your search, or go to the next page.",
	"find.nomore":       "No further users match “%s”.",
	"find.caption":      "Matching users",
	"find.name":         "Name",
	"find.email":        "E-mail",
	"find.organisation": "Organisation",
	"find.action":       "Action",
	"find.choose":       "Choose",
	"find.pages":        "Pages of users",
	"find.next":         "Next page",
	"find.short":        "Type at least 2 characters",
	"find.long":         "Type at most 100 characters",

	"ask.title":        "Impersonate %s",
	"ask.who":          "Who you will impersonate",
	"ask.lastsignin":   "last sign-in",
	"ask.never":        "never signed in here",
	"ask.change":       "Change user",
	"ask.reason":       "Why do you need this?",
	"ask.reason.hint":  "Auditors can read this. 10 to 500 characters.",
	"ask.ticket":       "Ticket number",
	"ask.ticket.hint":  "The help-desk case, for example SUP-1234. Leave it empty if there is none.",
	"ask.ticket.wrong": "The help-desk case, for example SUP-1234.",
	"ask.mode":         "What you can do",
	"ask.read":         "Look only",
	"ask.read.hint":    "You see what %s sees. Changes are refused.",
	"ask.write":        "Full access",
	"ask.write.hint":   "You can change what %s can change. It counts as done by you.",
	"ask.unavailable":  "Not available",
	"ask.notallowed":   "Your role does not allow this.",
	"ask.minutes":      "For how long",
	"ask.minute":       "1 minute",
	"ask.nminutes":     "%d minutes",
	"ask.most":         "(the most you may have)",
	"ask.before":       "<strong>Before you start.</strong> Everything you do is recorded under your name, %s. You can't change the password of %s or the way they sign in. %s opens as %s sees it. The impersonation ends by itself when the time is up.",
	"ask.button":       "Impersonate %s",
	"ask.cancel":       "Cancel",
	"ask.err.reason":   "Say why you need to impersonate %s, in at least 10 characters",
	"ask.err.toolong":  "Say it in at most 500 characters",
	"ask.err.ticket":   "Enter a ticket number: you need one to impersonate %s",
	"ask.err.longcase": "Enter a ticket number of at most 64 characters",
	"ask.err.mode":     "Choose what you can do",
	"ask.err.minutes":  "Choose for how long",
	"ask.err.most":     "Choose at most %d minutes",

	"home.title":        "Signed in",
	"home.who":          "You are %s (%s).",
	"home.audit":        "Read the audit trail",
	"home.nofactor":     "You have no second factor yet.",
	"home.enrol":        "Set one up",
	"home.factor":       "Your second factor is set up.",
	"home.signout":      "Sign out",
	"home.signout.hint": "Signing out also ends every impersonation that you started.",

	"audit.title":        "Audit",
	"audit.own":          "You see your own sessions only.",
	"audit.first":        "You need a second factor to read the trail.",
	"audit.staff.title":  "Your account can't read the trail",
	"audit.staff.text":   "You are signed in as %s. No role of this account allows impersonation, or reading what others did. Ask who administers understudy if you need it.",
	"audit.who":          "Person",
	"audit.who.hint":     "E-mail address or user id, as who acted or who was impersonated.",
	"audit.session":      "Session",
	"audit.session.hint": "A session id tells that session's story.",
	"audit.filter":       "Filter",
	"audit.none":         "No entries match.",
	"audit.nobody":       "No entries match: nobody has the e-mail address or user id %s.",
	"audit.pages":        "Pages of entries",
	"audit.newest":       "Newest entries",
	"audit.older":        "Older entries",
	"audit.by":           "by %s",
	"audit.about":        "about %s",
	"audit.as":           "as %s",
	"audit.opened":       "Opened the user with the id “%s”",
	"why.read_only":      "Only looking was allowed",
	"why.forbidden":      "Nobody may do this in somebody else's name",
	"why.ended":          "The page was of a session that is over",
	"audit.person":       "%s (%s)",
	"audit.cli":          "the command line (%s)",
	"audit.source":       "the directory source %s",
	"audit.ticket":       "Ticket number %s",
	"audit.reason":       "“%s”",
	"audit.query":        "Searched for “%s”",
	"audit.count":        "%s times",
	"audit.roles":        "Roles: %s",
	"audit.rule":         "Rule %s",
	"audit.note":         "Note: %s",
	"audit.status":       "Answered %s",
	"audit.before":       "Recorded before it ran",
	"audit.over":         "The session was over",
	"audit.story":        "Session %s",

	"story.title":         "%s impersonated %s",
	"story.heading":       "%s impersonated %s",
	"story.app":           "App",
	"story.mode":          "What they could do",
	"story.reason":        "Reason",
	"story.ticket":        "Ticket number",
	"story.none":          "None",
	"story.from":          "From",
	"story.to":            "To",
	"story.end":           "How it ended",
	"story.live":          "It goes on, at the latest until",
	"story.operator":      "the command line",
	"story.told":          "Requests on record",
	"story.requests":      "%d recorded, %d of them refused",
	"story.some":          "%d recorded in the part below, %d of them refused",
	"story.entries":       "What happened, oldest first",
	"story.all":           "Back to the trail",
	"story.unknown.title": "There is no such session",
	"story.unknown.text":  "There is no session with this id, or you may not read about it.",

	"mode.read":  "Look only",
	"mode.write": "Full access",

	"kind.ticket.issued":                "Ticket",
	"kind.impersonation.start":          "Started",
	"kind.impersonation.refused":        "Refused",
	"kind.impersonation.refused_folded": "Refused many times",
	"kind.impersonation.stop":           "Stopped",
	"kind.impersonation.stop_refused":   "Stop refused",
	"kind.impersonation.end":            "Ended",
	"kind.impersonation.action":         "Action",
	"kind.refused_action":               "Action refused",
	"kind.token.reuse":                  "Used twice",
	"kind.token.revoke":                 "Token revoked",
	"kind.login.start":                  "Signed in",
	"kind.login.end":                    "Signed out",
	"kind.user.totp":                    "Second factor set up",
	"kind.user.add":                     "User added",
	"kind.user.password":                "Password set",
	"kind.user.role":                    "Roles changed",
	"kind.user.disable":                 "User disabled",
	"kind.user.enable":                  "User enabled",
	"kind.user.change":                  "Name or address changed",
	"kind.user.link":                    "Identity linked",
	"kind.user.unlink":                  "Identity unlinked",
	"kind.user.delete":                  "User deleted",
	"kind.group.add":                    "Group added",
	"kind.group.change":                 "Group changed",
	"kind.group.remove":                 "Group removed",
	"kind.source.add":                   "Source of users added",
	"kind.source.change":                "Source of users changed",
	"kind.source.remove":                "Source of users removed",
	"kind.client.add":                   "App added",
	"kind.client.change":                "App changed",
	"kind.client.remove":                "App removed",
	"kind.consent.add":                  "Permission to act given",
	"kind.consent.remove":               "Permission to act taken back",
	"kind.kill.on":                      "Kill switch on",
	"kind.kill.off":                     "Kill switch off",
	"kind.policy.change":                "Policy changed",
	"kind.key.create":                   "Key made",
	"kind.key.revoke":                   "Key revoked",
	"kind.directory.search":             "Searched users",

	"end.stopped":    "They pressed Stop",
	"end.revoked":    "The app gave it up",
	"end.expired":    "The time was up",
	"end.idle":       "Nothing happened for too long",
	"end.superseded": "They started another one in the same app",
	"end.reuse":      "Its ticket came a second time",
	"end.signed_out": "Their sign-in was over",
	"end.operator":   "It was ended",
	"end.killed":     "The kill switch was thrown",
	"end.disabled":   "One of the two accounts was disabled",
	"end.changed":    "Roles or protection of one of the two changed",
	"end.policy":     "The policy no longer allowed it",
	"end.client":     "The app was removed",
	"end.issuer":     "Their sign-in's provider no longer vouched for it",
	"end.consent":    "The permission that it stood on was taken back",

	"denied.title":   "You can't impersonate %s",
	"denied.advice":  "Impersonation is not possible at the moment. Ask who administers understudy.",
	"denied.stepup":  "Sign in again with your second factor, and you come back here. What you typed is kept.",
	"denied.again":   "Sign in again, and you come back here. What you typed is kept.",
	"denied.first":   "You need a second factor to impersonate anybody.",
	"denied.signin":  "Sign in again",
	"denied.factor":  "You have none yet. Set one up, and you come back here. What you typed is kept.",
	"denied.enrol":   "Set up a second factor",
	"denied.other":   "Choose another user",
	"denied.nothing": "Nothing was started. The attempt is on record.",

	"unknown.title": "This user can't be impersonated",
	"unknown.text":  "There is no such user, or you may not impersonate them.",

	"staff.title": "Your account can't impersonate others",
	"staff.text":  "You are signed in as %s. No role of this account allows impersonation. Ask who administers understudy if you need it.",
	"staff.back":  "Back to %s",

	"parameter.title": "This link to understudy does not work",
	"parameter.text":  "Something in the address is wrong. Go back to where you came from and try again. If it happens again, tell the people who run that app what stands below.",
	"parameter.name":  "Parameter",
	"parameter.rule":  "Rule",

	"busy.title": "Too many searches",
	"busy.text":  "You searched very often in a short time.",
	"busy.wait":  "Wait 1 minute, then try again.",

	"directory.title": "The user directory did not answer",
	"directory.text":  "Nothing was recorded against any user. Try again in a moment.",

	"status.400": "This request does not work",
	"status.403": "You may not do this",
	"status.404": "There is no such page",
	"status.405": "This page does not work that way",
	"status.429": "Too many tries",
	"status.500": "Something went wrong",
	"status.503": "understudy can't do this right now",
	"text.400":   "Something in the request was wrong. Nothing was done.",
	"text.403":   "Nothing was done.",
	"text.404":   "Check the address.",
	"text.405":   "Go back and try again. Nothing was done.",
	"text.429":   "Nothing was done.",
	"text.500":   "Nothing more is known here. Try again.",
	"text.503":   "Nothing was done. Try again in a moment.",
	"retry":      "Try again",

	"signin.title":     "Sign in",
	"signin.for":       "To continue to %s",
	"signin.email":     "E-mail address",
	"signin.password":  "Password",
	"signin.button":    "Sign in",
	"signin.failed":    "The e-mail address or the password is wrong",
	"signin.expired":   "This page was open too long: sign in again",
	"signin.over":      "Your session is over: sign in again. What you typed is kept.",
	"signin.with":      "Continue with %s",
	"signin.or":        "Or with a password of understudy",
	"signin.emergency": "In an emergency, sign in with a password of understudy",
	"signin.alarm":     "This way in is for emergencies. Each use raises an alarm.",
	"signin.locked":    "Too many tries: wait %d minutes, then try again",
	"signin.locked1":   "Too many tries: wait 1 minute, then try again",
	"acting.title":     "You're still impersonating somebody",
	"acting.app":       "At %s, in this browser or another one, you're impersonating:",
	"acting.noapp":     "In this browser or another one, you're impersonating:",
	"acting.text":      "To go on as yourself, stop that first.",
	"acting.button":    "Stop, and go on as %s",
	"factor.title":     "Enter your code",
	"factor.label":     "Code",
	"factor.hint":      "The 6 digits that your authenticator app shows now.",
	"factor.button":    "Continue",
	"factor.failed":    "The code is wrong or was used before: enter the one that the app shows now",
	"enrol.title":      "Set up a second factor",
	"enrol.lead":       "To impersonate others you need an authenticator app on your phone or computer.",
	"enrol.scan":       "Scan this picture with the app",
	"enrol.alt":        "QR code that holds the key below",
	"enrol.link":       "Open it in an app on this device",
	"enrol.type":       "Or type this key into the app",
	"enrol.hint":       "Then enter the 6 digits that the app shows.",
	"enrol.button":     "Finish",
	"signout.title":    "Sign out?",
	"signout.app":      "%s asks to sign you out of understudy. You are signed in as %s.",
	"signout.noapp":    "You are signed in to understudy as %s, and followed a link that leads to signing out.",
	"signout.button":   "Sign out",
	"signout.stay":     "Stay signed in",

	"leave.title":     "Going on to %s",
	"leave.text":      "You will be there in a moment. If nothing happens, press the button.",
	"leave.signedout": "You are signed out of understudy. Now %s signs you out too. If nothing happens, press the button.",
	"leave.on":        "Go on to %s",

	"upstream.down.title":     "%s did not answer",
	"upstream.down":           "Nothing was stored. Try again in a moment, or sign in another way.",
	"upstream.slow.title":     "%s did not answer in time",
	"upstream.slow":           "Nothing was stored. Try again in a moment, or sign in another way.",
	"upstream.lied.title":     "%s gave an answer that can't be used",
	"upstream.lied":           "Nothing was stored. If it happens again, ask who administers understudy.",
	"upstream.refused.title":  "%s did not sign you in",
	"upstream.refused":        "Nothing was stored. Try again, or sign in another way.",
	"upstream.expired.title":  "This page was open too long",
	"upstream.expired":        "Nothing was stored. Start again.",
	"upstream.weak.title":     "%s did not ask for your second factor",
	"upstream.weak":           "What you want to do needs a sign-in by more than one factor. Set one up there, then try again. Nothing was stored.",
	"upstream.stale.title":    "%s did not ask you to sign in again",
	"upstream.stale":          "What you want to do needs a fresh sign-in. Sign out there, then try again. Nothing was stored.",
	"upstream.unknown.title":  "You have no account here",
	"upstream.unknown":        "%s knows you, understudy does not. Ask who administers understudy to add you.",
	"upstream.disabled.title": "Your account is disabled",
	"upstream.disabled":       "Nobody can sign in with it. Ask who administers understudy.",
	"upstream.taken.title":    "Your e-mail address is in use here",
	"upstream.taken":          "Another account has the address that %s gave. The two were not joined. Ask who administers understudy.",
	"upstream.noemail.title":  "%s gave no verified e-mail address",
	"upstream.noemail":        "An account here needs one. Nothing was stored.",
	"upstream.noplace.title":  "%s did not say which organisation you are in",
	"upstream.noplace":        "An account here needs one. Nothing was stored.",
	"upstream.again":          "Back to sign-in",

	"signedout.title":  "You are signed out",
	"signedout.text":   "You are signed out of understudy. Impersonations that you had started have ended. Apps may keep a sign-in of their own.",
	"signedout.still":  "You may still be signed in at %s. To be sure, sign out there too, or close the browser.",
	"signedout.signin": "Sign in again",
}

// text is a message as text, for a title or an error. Strings in it are cleaned and isolated; escaping is left to the template.
func text(key string, args ...any) string {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = isolate(clean(s, maxName))
		}
	}
	return fmt.Sprintf(message(key), args...)
}

// named is text for a message that says who, or does not.
func named(key, name string) string {
	if strings.Contains(message(key), "%s") {
		return text(key, name)
	}
	return text(key)
}

// markup is a message as HTML. Strings in it are cleaned, escaped, and isolated in a bdi element (HTML §4.5.25).
func markup(key string, args ...any) template.HTML {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = bdi(s)
		}
	}
	return template.HTML(fmt.Sprintf(message(key), args...))
}

// bdi is a stranger's text as an element of its own.
func bdi(s string) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(clean(s, maxName)) + "</bdi>")
}

func message(key string) string {
	m, ok := messages[key]
	if !ok {
		panic("page: no message " + key) // a mistake of ours: a test runs every key of every template
	}
	return m
}
