package rp

import (
	"net/http"
	"strings"
	"time"
)

// endedNotice says that an impersonation is over. s is nil if the cookies do not tell any more which. held tells that the
// actor's sign-in is held here: then the way on is a stop, which lifts the hold.
func (a *App) endedNotice(st *site, s *Session, held bool) notice {
	n := notice{status: http.StatusForbidden, reason: "ended", title: text("ended.title")}
	home := link{a.base.origin + "/", text("back.app", a.base.host)}
	if s == nil {
		n.lines = append(n.lines, text("ended.unknown"))
	} else {
		n.lines = append(n.lines, text("ended.whom", s.Subject.name(), s.Actor.label(), a.lasted(s)))
		n.session = s.ID
	}
	n.lines = append(n.lines, text("ended.nothing"))
	n.over = held
	switch {
	case !held:
		n.links = append(n.links, home)
	case s == nil:
		n.stop = home.Text
	default:
		n.stop = text("back.as", st.host, s.Actor.label())
	}
	if s != nil {
		n.links = append(n.links, link{a.cfg.Issuer + "/audit?session=" + s.ID, text("trail")})
	}
	return n
}

// duration is words of ours, and not a stranger's text.
type duration string

// lasted is how long s went on, as far as is known here: up to now, but not longer than it could.
func (a *App) lasted(s *Session) duration {
	end := a.now()
	if s.Expires.Before(end) {
		end = s.Expires
	}
	switch m := int(end.Sub(s.Started).Round(time.Minute) / time.Minute); {
	case end.Sub(s.Started) < time.Minute:
		return duration(text("ended.seconds"))
	case m == 1:
		return duration(text("ended.minute"))
	default:
		return duration(text("ended.minutes", m))
	}
}

// nobodyNotice is for an origin of its own where nobody is impersonated.
func (a *App) nobodyNotice() notice {
	return notice{
		status: http.StatusForbidden, reason: "not_impersonating", title: text("nobody.title"),
		lines: []string{text("nobody.text"), text("nobody.how")},
		links: []link{{a.base.origin + "/", text("back.app", a.base.host)}},
	}
}

// stopFirstNotice refuses what needs the actor's own sign-in while that is held. s is nil if nobody knows for whom.
func (a *App) stopFirstNotice(s *Session) notice {
	n := notice{status: http.StatusConflict, reason: "impersonating", title: text("first.title"), stop: text("stop")}
	if s == nil {
		n.lines = []string{text("first.unknown"), text("first.nothing")}
		return n
	}
	n.lines = []string{text("first.whom", s.Subject.name()), text("first.nothing")}
	n.session = s.ID
	n.links = []link{{"/", text("back")}}
	return n
}

// blockedNotice says that the guard refused; reason is read_only, forbidden or too_long.
func (a *App) blockedNotice(s *Session, reason string) notice {
	return notice{
		status: refusalStatus(reason), reason: reason, title: text("blocked." + reason + ".title"),
		lines: []string{text("blocked."+reason+".text", s.Subject.name())},
		stop:  text("stop"), session: s.ID, aside: true,
	}
}

// staleNotice refuses what a page sent that was made for somebody else than s is of.
func (a *App) staleNotice(s *Session) notice {
	return notice{
		status: http.StatusForbidden, reason: reasonEnded, title: text("stale.title"), lines: []string{text("stale.text", s.Subject.name()), text("stale.nothing")},
		links: []link{{"/", text("stale.on", s.Subject.name())}}, stop: text("stop"), session: s.ID, aside: true,
	}
}

// failedNotice says that the way to the issuer and back broke off: key is one of messages without .title and .text, detail
// a stranger's text or "".
func (a *App) failedNotice(key, detail string) notice {
	n := notice{
		status: http.StatusBadRequest, reason: strings.TrimPrefix(key, "failed."), title: text(key + ".title"), lines: []string{text(key + ".text")},
		links: []link{{a.base.origin + "/", text("back.app", a.base.host)}},
	}
	switch key {
	case "failed.refused", "failed.actor", "failed.login", "failed.write", "failed.veto", "failed.origin":
		n.status = http.StatusForbidden
	case "failed.issuer", "failed.answer", "failed.app", "failed.hold":
		n.status = http.StatusBadGateway
	}
	if detail != "" {
		n.lines = append(n.lines, text("detail", detail))
	}
	return n
}

// unavailableNotice says that the issuer did not answer, and so nothing was done.
func (a *App) unavailableNotice() notice {
	return notice{
		status: http.StatusServiceUnavailable, reason: "unavailable", title: text("unavailable.title"),
		lines: []string{text("unavailable.text"), text("unavailable.wait")},
	}
}

// stoppingNotice says that s is over here, and that the issuer has yet to hear of it.
func (a *App) stoppingNotice(s *Session) notice {
	return notice{
		status: http.StatusServiceUnavailable, reason: "unavailable", title: text("stopping.title"),
		lines: []string{text("stopping.text", s.Expires.UTC().Format("15:04")), text("stopping.home")},
		links: []link{{a.base.origin + "/", text("back.app", a.base.host)}},
	}
}

// stopNotice asks for a stop, where there is no banner.
func (a *App) stopNotice(s *Session) notice {
	subject := s.Subject.name()
	return notice{
		status: http.StatusOK, title: text("stop.title", subject),
		lines: []string{text("stop.text", s.Actor.label(), subject), text("stop.ends", s.Expires.UTC().Format("15:04"))},
		stop:  text("stop"), session: s.ID, links: []link{{"/", text("back")}},
	}
}
