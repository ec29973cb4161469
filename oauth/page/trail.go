package page

import (
	"errors"
	"html/template"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/audit"
)

// The longest texts that an entry shows: a reason, and a method with its route, are meant to be read whole.
const (
	maxReason  = 500
	maxRequest = 16 + 1 + 512
)

// item is one entry, in words.
type item struct {
	Time    time.Time
	Word    template.HTML
	Actor   template.HTML // "" for the clock
	Subject template.HTML // "" where there is nobody
	Facts   []template.HTML
	Session string // its ID
	Story   string // link to it
	As      bool   // the actor did it as the subject
	ID      string
}

func (v *reading) items(entries []audit.Entry) ([]item, error) {
	items := make([]item, 0, len(entries))
	for _, e := range entries {
		one, err := v.item(e)
		if err != nil {
			return nil, err
		}
		items = append(items, one)
	}
	return items, nil
}

func (v *reading) item(e audit.Entry) (item, error) {
	one := item{Time: e.Time, Word: word("kind.", string(e.Kind)), ID: e.ID, Session: e.Session}
	if refusedAction(e) {
		one.Word = markup("kind.refused_action")
	}
	one.As = e.Kind == audit.KindStart || e.Kind == audit.KindAction || e.Kind == audit.KindStop
	if e.Session != "" {
		one.Story = auditLink(nil, "session", e.Session)
	}
	var err1, err2, err3 error
	one.Actor, err1 = v.side(e, e.Actor, "actor")
	if v.hidden(e) {
		one.Subject = bdi(e.Subject.Subject)
	} else {
		one.Subject, err2 = v.side(e, e.Subject, "subject")
	}
	one.Facts, err3 = v.facts(e)
	return one, errors.Join(err1, err2, err3)
}

// hidden tells that the reader may not learn more from a refusal than it told them when it happened: not whom an ID belongs to, and
// not by which rule.
func (v *reading) hidden(e audit.Entry) bool { return !v.whole && e.Kind == audit.KindRefused }

// side is one of the two people of an entry: as the entry has them, or else as they are today.
func (v *reading) side(e audit.Entry, p oauth.Party, role string) (template.HTML, error) {
	name, email := e.Fields[role+"_name"], e.Fields[role+"_email"]
	switch {
	case p.Subject == "":
		return "", nil
	case p.Issuer == "cli":
		return markup("audit.cli", p.Subject), nil
	case p.Issuer == "scim":
		return markup("audit.source", p.Subject), nil
	case name == "" && email == "" && p.Issuer == v.p.cfg.Issuer:
		return v.today(p.Subject)
	}
	return personal(name, email, p.Subject), nil
}

// today is a user as they are now.
func (v *reading) today(id string) (template.HTML, error) {
	u, err := v.user(id)
	return personal(u.Name, u.Email, id), err
}

// personal is a person by name and e-mail address, or by what there is.
func personal(name, email, id string) template.HTML {
	switch {
	case name != "" && email != "":
		return markup("audit.person", name, email)
	case name != "":
		return markup("audit.person", name, id)
	case email != "":
		return bdi(email)
	}
	return bdi(id)
}

// facts are what else an entry says, as far as its reader may know.
func (v *reading) facts(e audit.Entry) (facts []template.HTML, err error) {
	say := func(key, value string, most int) {
		if value != "" {
			facts = append(facts, markup(key, quoted(value, most)))
		}
	}
	f := e.Fields
	switch e.Kind {
	case audit.KindAction:
		facts = append(facts, actionFacts(e)...)
		if _, ours := messages["why."+f["note"]]; ours {
			facts = append(facts, word("why.", f["note"]))
		} else {
			say("audit.note", f["note"], maxName)
		}
		for _, name := range slices.Sorted(maps.Keys(f)) {
			if detail, ok := strings.CutPrefix(name, "detail_"); ok {
				say("audit.detail", detail+" "+f[name], maxReason)
			}
		}
	case audit.KindEnd:
		facts = append(facts, word("end.", f["reason"]))
	default:
		if mode := f["mode"]; mode != "" {
			facts = append(facts, word("mode.", mode))
		}
		say("audit.ticket", f["ticket_number"], maxName)
		say("audit.reason", f["reason"], maxReason)
		if id, opened := strings.CutPrefix(f["query"], "id:"); opened {
			say("audit.opened", id, maxName)
		} else {
			say("audit.query", f["query"], maxName)
		}
		say("audit.count", f["count"], maxName)
		say("audit.roles", f["roles"], maxReason)
	}
	if v.whole {
		say("audit.rule", f["rule"], maxName)
	}
	if v.whole && e.Kind != audit.KindAction {
		say("audit.note", f["note"], maxReason)
	}
	if e.Client != "" {
		var app string
		app, err = v.appName(e.Client)
		facts = append(facts, bdi(app))
	}
	return facts, err
}

// actionFacts says which request an action was, and how it went.
func actionFacts(e audit.Entry) []template.HTML {
	facts := []template.HTML{quoted(e.Fields["method"]+" "+e.Fields["route"], maxRequest)}
	if e.Fields["phase"] == "before" {
		facts = append(facts, markup("audit.before"))
	}
	if status := e.Fields["status"]; status != "" {
		facts = append(facts, markup("audit.status", status))
	}
	if e.Fields["session_state"] != "" {
		facts = append(facts, markup("audit.over"))
	}
	return facts
}

// refusedAction tells an action that the app answered with 403, or with 414 since it could not be told whole.
func refusedAction(e audit.Entry) bool {
	status := e.Fields["status"]
	return e.Kind == audit.KindAction && (status == "403" || status == "414" && e.Fields["note"] == "too_long")
}

// quoted is a stranger's text of up to most characters as an element of its own.
func quoted(s string, most int) template.HTML {
	return template.HTML("<bdi>" + template.HTMLEscapeString(clean(s, most)) + "</bdi>")
}

// word is the message for a value that the trail knows, or the value itself: the trail outlives the program that wrote it.
func word(prefix, value string) template.HTML {
	if m, ok := messages[prefix+value]; ok {
		return template.HTML(m)
	}
	return bdi(value)
}

// moment is a time to the second, for people and for programs.
func moment(t time.Time) template.HTML {
	t = t.UTC()
	return template.HTML(`<time datetime="` + t.Format(time.RFC3339) + `">` + t.Format("2 January 2006, 15:04:05") + " UTC</time>")
}
