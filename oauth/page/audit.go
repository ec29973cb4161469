package page

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/understudy-id/understudy/oauth/audit"
	"github.com/understudy-id/understudy/oauth/directory"
	"github.com/understudy-id/understudy/oauth/impersonation"
	"github.com/understudy-id/understudy/oauth/internal/form"
)

// auditRoute is where Audit must be mounted.
const auditRoute = "/audit"

// auditRows is how many entries one page of the trail shows.
const auditRows = 50

// What Config.Trail, Config.Session and the Search of Config.Directory answer beside success. Test with errors.Is.
var (
	// ErrNoSession: no such session.
	ErrNoSession = errors.New("page: no such session")
	// ErrCursor: what was asked to go on after is no cursor of the page before.
	ErrCursor = errors.New("page: not a cursor")
)

// AuditQuery asks for entries of the trail. Zero fields ask for all.
type AuditQuery struct {
	// Own keeps to what this user did and to the sessions in which they are the actor: a user ID.
	Own string
	// Person keeps to entries of which this user is the actor or the subject: a user ID.
	Person string
	// Session keeps to entries of one session.
	Session string
	// After is AuditPage.Next of the page before.
	After string
	// Limit is how many at most, 1 to 1000.
	Limit int
}

// AuditPage is a page of the trail.
type AuditPage struct {
	Entries []audit.Entry // newest first
	Next    string        // cursor of the next page, "" on the last
}

// Audit serves /audit, the trail: GET and HEAD. It must be mounted at exactly that path.
//
// The query may have person (an e-mail address or a user ID), session (a session ID: its story), and after (a cursor of the
// page). Who may audit (Config.MayAudit) reads all of it. Who may only impersonate reads what they did and their own sessions,
// cannot ask about a person, and is told of a session that is somebody else's that there is none.
func (p *Pages) Audit() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			p.methodNotAllowed(w, r, "GET, HEAD")
			return
		}
		q, err := form.Query(r, form.Rules{})
		if err != nil {
			p.fail(w, r, "reading the request", err)
			return
		}
		who, ok, err := p.cfg.SignedIn(r)
		switch {
		case err != nil:
			p.fail(w, r, "finding out who is signed in", err)
		case !ok:
			redirect(w, p.cfg.SignedOutURL(r, auditLink(q)))
		default:
			p.audit(&reading{p: p, w: w, r: r, who: who, query: q, users: make(map[string]directory.User), apps: make(map[string]string)})
		}
	})
}

// reading is one request for the trail, of somebody signed in.
type reading struct {
	p     *Pages
	w     http.ResponseWriter
	r     *http.Request
	who   Who
	query url.Values
	whole bool // reads everybody's entries
	// users and apps are those that were asked for, by ID.
	users map[string]directory.User
	apps  map[string]string
}

func (p *Pages) audit(v *reading) {
	me := impersonation.PersonOf(p.cfg.Issuer, v.who.User)
	v.whole = p.cfg.MayAudit(me)
	switch {
	case !v.whole && !p.cfg.MayImpersonate(me):
		v.show("staff", frame{
			status: http.StatusForbidden, Title: text("audit.staff.title"), Failed: true, Narrow: true,
			Page: staffPage{Title: markup("audit.staff.title"), Text: markup("audit.staff.text", me.Email)},
		})
	case p.cfg.RequireSecondFactor && !slices.Contains(v.who.Login.AMR, "mfa"):
		page := deniedPage{Heading: markup("audit.title"), Advice: text("audit.first")}
		p.stepUp(v.who, auditLink(v.query), &page)
		v.show("denied", frame{status: http.StatusForbidden, Title: text("audit.title"), Failed: true, Narrow: true, Page: page})
	case v.query.Get("session") != "":
		v.story(strings.TrimSpace(v.query.Get("session")))
	default:
		v.list()
	}
}

// show writes a page of the trail.
func (v *reading) show(name string, f frame) {
	f.Me = v.who.User.Email
	v.p.render(v.w, v.r, name, f)
}

// auditLink is a link to this page with what q has of its parameters, changed by name-value pairs.
func auditLink(q url.Values, change ...string) string {
	to := make(url.Values)
	for _, name := range []string{"person", "session", "after"} {
		if s := q.Get(name); s != "" {
			to.Set(name, s)
		}
	}
	for i := 0; i < len(change); i += 2 {
		if to.Set(change[i], change[i+1]); change[i+1] == "" {
			to.Del(change[i])
		}
	}
	if len(to) == 0 {
		return auditRoute
	}
	return auditRoute + "?" + to.Encode()
}

// auditPage is what audit.html reads.
type auditPage struct {
	Whole         bool
	Person        string // as typed
	Status        string // why there is no entry, "" where there are some
	Items         []item
	Newest, Older string // links, "" where they lead nowhere
}

// list shows the newest entries that the query asks for.
func (v *reading) list() {
	page := auditPage{Whole: v.whole}
	q := AuditQuery{After: v.query.Get("after"), Limit: auditRows}
	known := true
	var err error
	if v.whole {
		page.Person = v.query.Get("person")
		q.Person, known, err = v.person(strings.TrimSpace(page.Person))
	} else {
		q.Own = v.who.User.ID
	}
	if err != nil {
		v.p.fail(v.w, v.r, "finding a person", err)
		return
	}
	trail, err := v.p.cfg.Trail(v.r.Context(), q)
	if err == nil {
		page.Items, err = v.items(trail.Entries)
	}
	if err != nil {
		v.p.fail(v.w, v.r, "reading the trail", err)
		return
	}
	switch {
	case len(page.Items) > 0:
	case known:
		page.Status = text("audit.none")
	default:
		page.Status = text("audit.nobody", page.Person)
	}
	if trail.Next != "" {
		page.Older = auditLink(v.query, "after", trail.Next)
	}
	if q.After != "" {
		page.Newest = auditLink(v.query, "after", "")
	}
	v.show("audit", frame{status: http.StatusOK, Title: text("audit.title"), Page: page})
}

// person gives the ID of whoever has typed as e-mail address, and else takes it for an ID: the trail outlives its users. known
// tells whether the directory has them.
func (v *reading) person(typed string) (id string, known bool, err error) {
	if typed == "" {
		return "", true, nil
	}
	if email, bad := directory.NormalEmail(typed); bad == nil {
		u, err := v.p.cfg.Directory.ByEmail(v.r.Context(), email)
		if !errors.Is(err, directory.ErrNotFound) {
			return u.ID, err == nil, err
		}
	}
	u, err := v.user(typed)
	return typed, u.ID != "", err
}

// user finds who has an ID; the zero User and no error is nobody. Each is asked for once.
func (v *reading) user(id string) (directory.User, error) {
	if u, ok := v.users[id]; ok {
		return u, nil
	}
	u, err := v.p.cfg.Directory.Get(v.r.Context(), id)
	if err != nil && !errors.Is(err, directory.ErrNotFound) {
		return u, err
	}
	v.users[id] = u
	return u, nil
}

// appName is what to call the app of an entry: the registered name, or the ID where it is no longer registered.
func (v *reading) appName(id string) (string, error) {
	if name, ok := v.apps[id]; ok {
		return name, nil
	}
	c, err := v.p.cfg.Clients(v.r.Context(), id)
	if err != nil && !errors.Is(err, ErrNoClient) {
		return "", err
	}
	v.apps[id] = displayName(c.Name, id)
	return v.apps[id], nil
}

// staffPage is what staff.html reads.
type staffPage struct {
	Title, Text template.HTML
	Action      string // of the form that leads back to App, "" shows none
	App         string
}
