package page

import (
	"errors"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/impersonation"
)

// storyRows is how many entries of a session its story shows: more than somebody does by hand in an hour.
const storyRows = 1000

// storyPage is what story.html reads.
type storyPage struct {
	Heading              template.HTML
	App                  string
	Mode                 template.HTML
	Reason, TicketNumber template.HTML // TicketNumber is "" where there is none
	From, To             time.Time
	End, By              template.HTML // how it ended and by whom; End is "" while it goes on
	Requests             template.HTML
	Items                []item
	Older                string // link to what came before Items
	All                  string // link to the whole trail
}

// story shows one session from its start on. A session that the reader may not see is as unknown as one that never was.
func (v *reading) story(sid string) {
	s, err := v.p.cfg.Session(v.r.Context(), sid)
	if errors.Is(err, ErrNoSession) || err == nil && !v.whole && s.Actor != v.who.User.ID {
		v.p.Error(v.w, v.r, ErrorView{
			Status: http.StatusNotFound, Title: text("story.unknown.title"), Text: text("story.unknown.text"), Back: Link{auditRoute, text("story.all")},
		})
		return
	}
	if err != nil {
		v.p.fail(v.w, v.r, "reading a session", err)
		return
	}
	page, title, err := v.tell(s)
	if err != nil {
		v.p.fail(v.w, v.r, "reading a session's story", err)
		return
	}
	v.show("story", frame{status: http.StatusOK, Title: title, Page: page})
}

// tell puts a session into words.
func (v *reading) tell(s impersonation.Session) (page storyPage, title string, err error) {
	trail, err := v.p.cfg.Trail(v.r.Context(), AuditQuery{Session: s.ID, After: v.query.Get("after"), Limit: storyRows})
	if err != nil {
		return page, "", err
	}
	told, refused := requests(trail.Entries)
	slices.Reverse(trail.Entries)
	actor, err1 := v.today(s.Actor)
	subject, err2 := v.today(s.Subject)
	app, err3 := v.appName(s.Client)
	items, err4 := v.items(trail.Entries)
	for i := range items {
		items[i].Story = "" // one is there
	}
	page = storyPage{
		Heading: markup("story.heading", actor, subject), App: app, Mode: word("mode.", string(s.Mode)), Reason: quoted(s.Reason, maxReason),
		From: s.Started, To: s.Ended, Requests: markup("story.requests", told, refused), Items: items, All: auditRoute,
	}
	if s.TicketNumber != "" {
		page.TicketNumber = bdi(s.TicketNumber)
	}
	if trail.Next != "" {
		page.Older, page.Requests = auditLink(v.query, "after", trail.Next), markup("story.some", told, refused)
	}
	err5 := v.ending(s, &page)
	a, b := v.users[s.Actor], v.users[s.Subject]
	return page, text("story.title", displayName(a.Name, a.Email), displayName(b.Name, b.Email)), errors.Join(err1, err2, err3, err4, err5)
}

// ending says how a session ended. One whose time is up has ended, though nobody may have written that down yet.
func (v *reading) ending(s impersonation.Session, page *storyPage) (err error) {
	reason := s.EndReason
	if s.Ended.IsZero() {
		page.To = s.Expires
		if v.p.cfg.Now().Before(s.Expires) {
			return nil
		}
		reason = impersonation.EndExpired
	}
	page.End = word("end.", string(reason))
	source, ofSource := strings.CutPrefix(s.EndedBy, "scim:")
	switch {
	case s.EndedBy == "", s.EndedBy == s.Actor:
	case s.EndedBy == "cli":
		page.By = markup("story.operator")
	case ofSource:
		page.By = markup("audit.source", source)
	default:
		page.By, err = v.today(s.EndedBy)
	}
	return err
}

// requests counts the requests that an app told of, and those among them that it refused. What is told before and after is one.
func requests(entries []audit.Entry) (told, refused int) {
	no := make(map[string]bool)
	for _, e := range entries {
		if e.Kind == audit.KindAction {
			id := e.Fields["action"]
			no[id] = no[id] || refusedAction(e)
		}
	}
	for _, r := range no {
		if r {
			refused++
		}
	}
	return len(no), refused
}
