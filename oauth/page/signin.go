package page

import (
	"bytes"
	"encoding/base64"
	"html/template"
	"net/http"
	"strings"
	"time"
)

// SignInView is the sign-in form. It posts email and password.
type SignInView struct {
	// Action is where the form goes: path and query on this origin.
	Action string
	// App is the registered name of the app that one is going to; "" names none.
	App string
	// RedirectURI is the validated redirect_uri at which the whole flow ends, for form-action; "" if it ends here.
	RedirectURI string
	// Email is what was typed before.
	Email string
	// Failed says that address or password was wrong, not which. Expired says that the page was open too long, Over that the
	// sign-in is over with which a form was opened, and that the form comes back filled in.
	Failed, Expired, Over bool
	// Locked is how long nobody may try; zero: not locked.
	Locked time.Duration
	// Upstreams are other providers to sign in through; they come first.
	Upstreams []UpstreamChoice
	// NoPassword leaves the form for a password out. PasswordURL is a link to the page that has it, "" for none: path and query on this
	// origin. Emergency says that the form raises an alarm.
	NoPassword  bool
	PasswordURL string
	Emergency   bool
}

// SignIn writes the sign-in page.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, status int, v SignInView) {
	var f faults
	switch {
	case v.Locked > 0:
		f.add("email", locked(v.Locked))
	case v.Failed:
		f.add("email", text("signin.failed"))
	case v.Expired:
		f.add("email", text("signin.expired"))
	}
	p.render(w, r, "signin", frame{
		status: status, formEnd: origin(v.RedirectURI), Title: text("signin.title"), Failed: f != nil, Narrow: true,
		Page: struct {
			Action, App, Email        string
			Over, Password, Emergency bool
			PasswordURL               string
			Upstreams                 []UpstreamChoice
			Faults                    faults
		}{v.Action, v.App, v.Email, v.Over && f == nil, !v.NoPassword, v.Emergency, v.PasswordURL, v.Upstreams, f},
	})
}

// SecondFactorView asks for a one-time code (RFC 6238). The form posts code; spaces in it must be let pass.
type SecondFactorView struct {
	Action, App, RedirectURI string // as in SignInView
	// Failed says that the code was wrong or used before, Locked how long nobody may try.
	Failed bool
	Locked time.Duration
}

// SecondFactor writes the page that asks for a code.
func (p *Pages) SecondFactor(w http.ResponseWriter, r *http.Request, status int, v SecondFactorView) {
	f := codeFaults(v.Failed, v.Locked)
	p.render(w, r, "factor", frame{
		status: status, formEnd: origin(v.RedirectURI), Title: text("factor.title"), Failed: f != nil, Narrow: true,
		Page: struct {
			Action, App string
			Faults      faults
		}{v.Action, v.App, f},
	})
}

// EnrolView shows a new one-time secret. The form posts code.
type EnrolView struct {
	Action, RedirectURI string // as in SignInView
	// Secret is the key in base32, Link the otpauth URL of it, QR that URL as a picture in PNG. A Link of another scheme
	// and a QR that is no PNG are left out.
	Secret, Link string
	QR           []byte
	// Failed says that the code was wrong, Locked how long nobody may try.
	Failed bool
	Locked time.Duration
}

// Enrol writes the page on which somebody sets up a second factor: the only page with a picture.
func (p *Pages) Enrol(w http.ResponseWriter, r *http.Request, status int, v EnrolView) {
	f := codeFaults(v.Failed, v.Locked)
	p.render(w, r, "enrol", frame{
		status: status, formEnd: origin(v.RedirectURI), images: true, Title: text("enrol.title"), Failed: f != nil, Narrow: true,
		Page: struct {
			Action, Secret string
			Link, QR       template.URL
			Faults         faults
		}{v.Action, grouped(v.Secret), otpauth(v.Link), picture(v.QR), f},
	})
}

func codeFaults(failed bool, wait time.Duration) (f faults) {
	switch {
	case wait > 0:
		f.add("code", locked(wait))
	case failed:
		f.add("code", text("factor.failed"))
	}
	return f
}

// locked says in words how long to wait.
func locked(wait time.Duration) string {
	return plural(minutes(wait), "signin.locked1", "signin.locked")
}

// otpauth lets the one scheme through that the template does not know to be harmless.
func otpauth(link string) template.URL {
	if !strings.HasPrefix(link, "otpauth://") {
		return ""
	}
	return template.URL(link)
}

func picture(png []byte) template.URL {
	if !bytes.HasPrefix(png, []byte("\x89PNG\r\n\x1a\n")) {
		return ""
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(png))
}

// grouped puts a space after every four characters: nobody can type 32 in one go.
func grouped(secret string) string {
	var b strings.Builder
	for i, c := range []byte(secret) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
	}
	return b.String()
}
