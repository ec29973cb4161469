package rp

import (
	"fmt"
	"strings"
	"unicode"
)

// messages are all words that a person reads, by key: plain text. A value goes in by %s, through text, which cleans it.
var messages = map[string]string{
	"error.prefix": "Error: ",
	"skip":         "Skip to content",
	"ways":         "Ways on",
	"back":         "Back",
	"back.app":     "Back to %s",
	"back.as":      "Back to %s as %s",
	"retry":        "Try again",
	"stop":         "Stop",
	"trail":        "See what was recorded",

	"banner.lead":  "You're impersonating ",
	"banner.you":   "you are ",
	"banner.read":  "look only",
	"banner.write": "full access",
	"banner.ends":  "ends ",

	"ended.title":    "The impersonation has ended",
	"ended.whom":     "You were impersonating %s, as %s, for %s.",
	"ended.unknown":  "Whom it was of can't be told any more: the cookie that knew can't be read.",
	"ended.nothing":  "It is over: the time was up, or it was stopped or ended elsewhere. Nothing was done by this request.",
	"ended.minute":   "1 minute",
	"ended.minutes":  "%d minutes",
	"ended.seconds":  "less than a minute",
	"typed.title":    "What you had typed",
	"typed.text":     "It was not saved. Copy here what you still need. What may be a secret is left out.",
	"nobody.title":   "Nobody is being impersonated here",
	"nobody.text":    "This address shows the app as somebody else sees it, and only while you are impersonating them.",
	"nobody.how":     "Start in the app itself.",
	"first.title":    "Stop first",
	"first.whom":     "You're already impersonating %s. Stop before you go on.",
	"first.unknown":  "An impersonation is under way in this browser, or has ended without being stopped. Stop it before you go on.",
	"first.nothing":  "Nothing was started.",
	"stopping.title": "The impersonation is over in this browser",
	"stopping.text":  "understudy has not confirmed yet that it ended there too. It will be told again until it does. It ends by %s UTC in any case.",
	"stopping.home":  "You can go back to the app. It may ask you to sign in.",
	"stop.title":     "Stop impersonating %s?",
	"stop.text":      "You are %s. You see this app as %s does.",
	"stop.ends":      "It ends by itself at %s UTC.",

	"blocked.read_only.title": "Not done: you are only looking",
	"blocked.read_only.text":  "You're impersonating %s to look, so changes are refused. The attempt is on record.",
	"blocked.forbidden.title": "Not done: this can't be done in somebody else's name",
	"blocked.forbidden.text":  "You're impersonating %s. Only they can do this, when they are signed in themselves. The attempt is on record.",
	"blocked.too_long.title":  "Not done: the address is too long",
	"blocked.too_long.text":   "You're impersonating %s. All that you do is put on record, and this address does not fit there. The attempt is on record.",

	"stale.title":   "Not done: that page is from before",
	"stale.text":    "You're impersonating %s. The page was made before that began: for yourself, or for somebody else.",
	"stale.nothing": "What it sent was not done in anybody's name. The attempt is on record.",
	"stale.on":      "Go on as %s",

	"unavailable.title": "understudy did not answer",
	"unavailable.text":  "Without it nobody can tell whether the impersonation goes on. Nothing was done.",
	"unavailable.wait":  "Try again in a moment.",

	"failed.state.title":     "This was open too long, or in another browser",
	"failed.state.text":      "The way here has to begin and end in the same browser within 10 minutes. Nothing was started.",
	"failed.answer.title":    "The answer from understudy could not be used",
	"failed.answer.text":     "It was not the one that was asked for. Nothing was started.",
	"failed.refused.title":   "understudy refused",
	"failed.refused.text":    "It may be that the page was open too long, or that you may not do this any more. Nothing was started.",
	"failed.login.title":     "You are not signed in",
	"failed.login.text":      "understudy did not say who you are. Go back and sign in again. Nothing was started.",
	"failed.signin.title":    "You have to sign in",
	"failed.signin.text":     "Nothing was done. Open the app, sign in, then try again.",
	"failed.actor.title":     "Your sign-in could not be used",
	"failed.actor.text":      "To impersonate somebody you have to be signed in to this app yourself. Nothing was started.",
	"failed.issuer.title":    "understudy did not answer",
	"failed.issuer.text":     "Nothing was started. Try again in a moment.",
	"failed.query.title":     "This link does not work",
	"failed.query.text":      "Something in it was wrong. Nothing was started.",
	"failed.app.title":       "This app is not set up right",
	"failed.app.text":        "understudy does not take what the app sends for its own. Tell the people who run the app. Nothing was started.",
	"failed.name.title":      "Your sign-in does not fit into the browser",
	"failed.name.text":       "What has to be kept about you is too long for a cookie. Tell the people who run the app.",
	"failed.hold.title":      "Your sign-in could not be set aside",
	"failed.hold.text":       "The app did not hold it, and without that nobody is impersonated here. It was ended at once. Try again in a moment.",
	"failed.large.title":     "This impersonation does not fit into the browser",
	"failed.large.text":      "What has to be kept about it is too long for a cookie. It was ended at once. Tell the people who run the app.",
	"failed.write.title":     "Full access is not possible in this app",
	"failed.write.text":      "Here you can only look. It was ended at once. Start again, and choose to look only.",
	"failed.veto.title":      "This app refuses this impersonation",
	"failed.veto.text":       "It was ended at once.",
	"failed.cancelled.title": "Nobody is being impersonated",
	"failed.cancelled.text":  "It was cancelled. Nothing was started.",
	"failed.origin.title":    "This did not come from a page of this app",
	"failed.origin.text":     "Nothing was done. Go back to the app and try again there.",
	"return.title":           "This link leads elsewhere",
	"return.text":            "The page to come back to has to be one of this app. Nothing was started.",
	"detail":                 "It says: %s",

	"signedout.title":  "You are signed out",
	"signedout.text":   "You are signed out of this app. understudy may still know you.",
	"signedout.again":  "Back to the app",
	"signedout.issuer": "Sign out of understudy too",
}

// FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE: between them a name cannot turn the words around it, not even in a title.
const isolate, isolateEnd = "\u2068", "\u2069"

// text is a message. Strings in it are cleaned and isolated; escaping is left to the template.
func text(key string, args ...any) string {
	m, ok := messages[key]
	if !ok {
		panic("rp: no message " + key) // a mistake of ours: a test runs every key
	}
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = isolate + clean(s) + isolateEnd
		}
	}
	return fmt.Sprintf(m, args...)
}

// maxName is how many characters of a name or an address are shown: enough to tell people apart, too few to fill a page.
const maxName = 100

// clean makes a stranger's text fit for one line: invalid bytes become U+FFFD, white space one space. Control and
// formatting characters go (bidirectional overrides, zero-width ones), all but the two joiners that emoji and several scripts
// need. Marks beyond two on one letter go too, and what is longer than maxName is cut. Escaping is left to others.
func clean(s string) string {
	if s = s[:min(len(s), 64*maxName)]; plainASCII(s) {
		return s
	}
	const zwnj, zwj = '\u200c', '\u200d'
	var out []rune
	marks := 0
	for _, c := range strings.Join(strings.Fields(s), " ") {
		switch {
		case unicode.In(c, unicode.Mn, unicode.Me):
			if marks++; marks > 2 {
				continue
			}
		case c != zwnj && c != zwj && unicode.In(c, unicode.C, unicode.Zl, unicode.Zp):
			continue
		default:
			marks = 0
		}
		if out = append(out, c); len(out) > maxName {
			return strings.TrimSpace(string(out[:maxName])) + "…"
		}
	}
	return strings.TrimSpace(string(out)) // once more, without what was before the space
}

// plainASCII tells what clean leaves alone, as most names are.
func plainASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == ' ' && (i == 0 || i == len(s)-1 || s[i-1] == ' ') {
			return false
		}
	}
	return len(s) <= maxName
}

// name is what to call somebody: their name or, of those without one, how else they are known.
func (p Person) name() string {
	if s := clean(p.Name); s != "" {
		return s
	}
	return clean(p.label())
}
