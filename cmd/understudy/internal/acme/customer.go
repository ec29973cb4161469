package acme

import (
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

// overview is where a customer lands; staff land at their list.
func (a *App) overview(w http.ResponseWriter, r *http.Request, me *account) error {
	if me.Staff() {
		return seeOther(w, r, "/admin")
	}
	projects, err := a.projectsOf(r.Context(), me.Organisation)
	if err != nil {
		return err
	}
	invoices, err := a.invoicesOf(r.Context(), me.Organisation)
	if err != nil {
		return err
	}
	return a.show(w, r, http.StatusOK, "overview", view{Title: "Overview", Me: me, Page: map[string]any{"Projects": projects, "Invoices": invoices}})
}

func (a *App) projects(w http.ResponseWriter, r *http.Request, me *account) error {
	return a.showProjects(w, r, me, http.StatusOK, "")
}

func (a *App) showProjects(w http.ResponseWriter, r *http.Request, me *account, status int, fault string) error {
	projects, err := a.projectsOf(r.Context(), me.Organisation)
	if err != nil {
		return err
	}
	return a.show(w, r, status, "projects", view{Title: "Projects", Me: me, Fault: fault, Page: projects})
}

// The longest texts that a form takes, in characters.
const (
	maxName = 80
	maxNote = 500
)

func (a *App) renameProject(w http.ResponseWriter, r *http.Request, me *account) error {
	name, ok := text(r, "name", maxName)
	if !ok {
		return a.showProjects(w, r, me, http.StatusUnprocessableEntity, "A project's name has 1 to 80 characters.")
	}
	if err := a.change(r.Context(), updateProject, me.Organisation, r.PathValue("id"), name); err != nil {
		return err
	}
	return seeOther(w, r, "/projects")
}

func (a *App) addNote(w http.ResponseWriter, r *http.Request, me *account) error {
	note, ok := text(r, "text", maxNote)
	if !ok {
		return a.showProjects(w, r, me, http.StatusUnprocessableEntity, "A note has 1 to 500 characters.")
	}
	now := a.now().UTC().Truncate(time.Millisecond)
	if err := a.change(r.Context(), insertNote, me.Organisation, r.PathValue("id"), me.Subject, note, now.UnixMilli()); err != nil {
		return err
	}
	return seeOther(w, r, "/projects")
}

// text reads one field of a form; ok if it has 1 to longest characters.
func text(r *http.Request, field string, longest int) (s string, ok bool) {
	s = strings.TrimSpace(r.PostFormValue(field))
	return s, s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= longest
}

var errNoReports = &fault{http.StatusForbidden, "Reports are not part of your role",
	"Reports are part of the Analyst role. Your own role is shown on your account's page; whoever looks after your organisation can change it."}

func (a *App) reports(w http.ResponseWriter, r *http.Request, me *account) error {
	if !me.SeesReports() {
		return errNoReports
	}
	reports, err := a.reportsOf(r.Context(), me.Organisation)
	if err != nil {
		return err
	}
	return a.show(w, r, http.StatusOK, "reports", view{Title: "Reports", Me: me, Page: reports})
}
