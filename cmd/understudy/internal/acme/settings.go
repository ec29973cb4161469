package acme

import (
	"net/http"
	"net/mail"
)

func (a *App) account(w http.ResponseWriter, r *http.Request, me *account) error {
	return a.show(w, r, http.StatusOK, "account", view{Title: "Account", Me: me})
}

func (a *App) askEmail(w http.ResponseWriter, r *http.Request, me *account) error {
	return a.show(w, r, http.StatusOK, "email", view{Title: "Change e-mail address", Me: me, Page: me.Notices})
}

// maxEmail is what fits between the brackets of SMTP (RFC 5321 §4.5.3.1.3).
const maxEmail = 254

func (a *App) setEmail(w http.ResponseWriter, r *http.Request, me *account) error {
	email, ok := text(r, "email", maxEmail)
	if parsed, err := mail.ParseAddress(email); !ok || err != nil || parsed.Address != email {
		return a.show(w, r, http.StatusUnprocessableEntity, "email",
			view{Title: "Change e-mail address", Me: me, Page: email, Fault: "That is not an e-mail address, such as name@example.com."})
	}
	if err := a.change(r.Context(), updateNotices, me.Subject, email); err != nil {
		return err
	}
	return seeOther(w, r, "/account")
}

func (a *App) askDelete(w http.ResponseWriter, r *http.Request, me *account) error {
	return a.show(w, r, http.StatusOK, "delete", view{Title: "Delete account", Me: me})
}

func (a *App) deleteAccount(w http.ResponseWriter, r *http.Request, me *account) error {
	if err := a.forget(r.Context(), me.Subject); err != nil {
		return err
	}
	return seeOther(w, r, "/")
}
