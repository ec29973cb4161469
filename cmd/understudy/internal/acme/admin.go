package acme

import (
	"net/http"
	"net/url"
	"strings"
)

var errNotStaff = &fault{http.StatusForbidden, "For staff only", "The list of users is for those who look after customers. Nothing was changed."}

// row is one user in the list.
type row struct {
	*account
	Impersonate string // where the button leads; "" for no button
}

// users is the list of those that one of staff looks after.
func (a *App) users(w http.ResponseWriter, r *http.Request, me *account) error {
	if !me.Staff() {
		return errNotStaff
	}
	all, err := a.accounts(r.Context())
	if err != nil {
		return err
	}
	search := strings.TrimSpace(r.FormValue("q"))
	var rows []row
	for _, u := range all {
		if me.looksAfter(u) && u.matches(search) {
			rows = append(rows, row{u, start(u, r.URL.RequestURI())})
		}
	}
	return a.show(w, r, http.StatusOK, "admin", view{Title: "Users", Me: me, Page: map[string]any{"Search": search, "Rows": rows}})
}

// start is where an impersonation of u begins, which leads back to a page of ours. Staff have none: the issuer would refuse.
func start(u *account, back string) string {
	if u.Staff() {
		return ""
	}
	return "/.understudy/start?" + url.Values{"subject": {u.Subject}, "return_to": {back}}.Encode()
}
