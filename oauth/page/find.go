package page

import (
	"errors"
	"net/http"
	"unicode/utf8"

	"github.com/understudy-id/understudy/oauth/directory"
)

const (
	// maxRows is how many users one page shows.
	maxRows = 50
	// maxReads is how often one search may go back to the directory, to fill a page whose users were left out.
	maxReads = 4
)

// findPage is what find.html reads.
type findPage struct {
	App    string
	Action string            // of the cancel form
	Carry  map[string]string // hidden fields of the search form
	Search string
	Faults faults
	Status string // what was found, in words; "" before a search
	Rows   []row
	Next   string // link to the next page
}

// row is one user who can be impersonated.
type row struct{ Name, Email, Organisation, Choose string }

// find shows the search and what it found.
func (v *visit) find() {
	page := findPage{App: v.appName(), Action: v.link(), Carry: make(map[string]string), Search: v.search}
	for name := range v.carry {
		page.Carry[name] = v.carry.Get(name)
	}
	status := http.StatusOK
	switch n := utf8.RuneCountInString(v.search); {
	case n == 0:
	case n < minSearch:
		status = http.StatusUnprocessableEntity
		page.Faults.add("q", text("find.short"))
	case n > maxSearch:
		status = http.StatusUnprocessableEntity
		page.Faults.add("q", text("find.long"))
	default:
		if !v.fill(&page) {
			return
		}
	}
	v.show("find", frame{status: status, Title: text("find.title"), Failed: status != http.StatusOK, Page: page})
}

// fill fills in the page. Where it reports false it has answered with an error page.
func (v *visit) fill(page *findPage) bool {
	if err := v.p.cfg.Searched(v.r.Context(), v.who, v.search); err != nil {
		v.p.fail(v.w, v.r, "recording a search", err)
		return false
	}
	users, next, err := v.searchAllowed()
	if errors.Is(err, ErrCursor) {
		v.p.fail(v.w, v.r, "reading the directory", err)
		return false
	}
	if err != nil {
		v.directoryFailed(err)
		return false
	}
	for _, u := range users {
		page.Rows = append(page.Rows, row{
			Name: displayName(u.Name, u.Email), Email: u.Email, Organisation: u.Organisation,
			Choose: v.link("q", v.search, "subject", v.nameOf(u)),
		})
	}
	if next != "" {
		page.Next = v.link("q", v.search, "after", next)
	}
	page.Status = v.found(len(users), next != "")
	return true
}

// searchAllowed reads the directory until a page is full of users who can be impersonated, or for maxReads times.
// Who cannot be is left out and not counted, so that the list does not tell that they exist.
func (v *visit) searchAllowed() (users []directory.User, next string, err error) {
	q := directory.Query{
		Organisation: v.who.User.Organisation, AnyOrganisation: v.p.cfg.AnyOrganisation(v.actor), Text: v.search, After: v.after,
	}
	for range maxReads {
		q.Limit = maxRows - len(users)
		page, next, err := v.p.cfg.Directory.Search(v.r.Context(), q)
		if err != nil {
			return nil, "", err
		}
		for _, u := range page {
			if v.offersFor(u).any() {
				users = append(users, u)
			}
		}
		if next == "" || len(users) >= maxRows {
			return users, next, nil
		}
		q.After = next
	}
	return users, q.After, nil
}

// found says in words how many there are.
func (v *visit) found(n int, more bool) string {
	switch {
	case more:
		return text("find.more", n, v.search)
	case n > 0:
		return plural(n, "find.one", "find.some", v.search)
	case v.after != "":
		return text("find.nomore", v.search)
	}
	return text("find.none", v.search)
}

// directoryFailed is the page for a directory that did not answer.
func (v *visit) directoryFailed(err error) {
	v.p.log(v.r, "reading the directory", err)
	v.p.Error(v.w, v.r, ErrorView{
		Status: http.StatusServiceUnavailable, Title: text("directory.title"), Text: text("directory.text"), RetryAfter: retryAfter, Back: retry(v.r),
	})
}
