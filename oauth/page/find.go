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
	// maxReads is how often one search may go on reading the directory where users were left out, and widePage is how many it reads then:
	// 850 at most, in a few milliseconds.
	maxReads = 5
	widePage = 200
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
	hits, err := v.searchAllowed()
	if errors.Is(err, ErrCursor) {
		v.p.fail(v.w, v.r, "reading the directory", err)
		return false
	}
	if err != nil {
		v.directoryFailed(err)
		return false
	}
	for _, u := range hits.users {
		page.Rows = append(page.Rows, row{
			Name: displayName(u.Name, u.Email), Email: u.Email, Organisation: u.Organisation,
			Choose: v.link("q", v.search, "subject", v.nameOf(u)),
		})
	}
	if hits.next != "" {
		page.Next = v.link("q", v.search, "after", hits.next)
	}
	page.Status = v.found(hits)
	return true
}

// hits are the users of one page.
type hits struct {
	users []directory.User
	next  string // the cursor behind them; "" where there is nobody
	more  bool   // there is somebody behind next; otherwise nobody has looked that far
}

// searchAllowed reads the directory until it has a page of users who can be impersonated and one more, or maxReads times. Who cannot be is left out and
// not counted, and no next page is promised for their sake, so that the list does not tell that they exist. Where even that many reads do not settle it, it
// tells that there are hundreds, all in the actor's own reach: users of another organisation are not in the answer of the directory to begin with.
func (v *visit) searchAllowed() (hits, error) {
	var h hits
	q := directory.Query{
		Organisation: v.who.User.Organisation, AnyOrganisation: v.p.cfg.AnyOrganisation(v.actor), Text: v.search, After: v.after, Limit: maxRows,
	}
	last := q // ends at the last of h.users
	for range maxReads {
		page, next, err := v.p.cfg.Directory.Search(v.r.Context(), q)
		if err != nil {
			return hits{}, err
		}
		for i, u := range page {
			if !v.offersFor(u).any() {
				continue
			}
			if h.more = len(h.users) == maxRows; h.more {
				_, h.next, err = v.p.cfg.Directory.Search(v.r.Context(), last)
				return h, err
			}
			h.users, last = append(h.users, u), q
			last.Limit = i + 1
		}
		if h.next = next; next == "" {
			return h, nil
		}
		q.After, q.Limit = next, widePage
	}
	return h, nil
}

// found says in words how many there are.
func (v *visit) found(h hits) string {
	switch n := len(h.users); {
	case h.more:
		return text("find.more", n, v.search)
	case h.next != "":
		return text("find.many", v.search)
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
