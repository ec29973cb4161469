package server

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/page"
)

// demand is how good a sign-in must be that is about to happen. A password of ours is always given anew; an upstream has a session of its
// own, and must be asked. The demand rides in the URL of the sign-in page, where anybody can take it away: what decides in the end is
// where they go on to, by the auth_time and acr of the login that came of it.
type demand struct {
	maxAge time.Duration // how long ago at most, rounded to seconds; negative: any
	mfa    bool
}

var noDemand = demand{maxAge: -1}

// encode adds d to the query of the sign-in page.
func (d demand) encode(q url.Values) {
	if d.maxAge >= 0 {
		q.Set("max_age", strconv.Itoa(int(d.maxAge/time.Second)))
	}
	if d.mfa {
		q.Set("acr_values", oauth.ACRMFA)
	}
}

// demandOf reads what encode wrote.
func demandOf(q url.Values) (demand, error) {
	maxAge, err := parseMaxAge(q)
	return demand{maxAge, slices.Contains(strings.Fields(q.Get("acr_values")), oauth.ACRMFA)}, err
}

// demand is what a asks of the sign-in.
func (a *authRequest) demand() demand {
	d := demand{maxAge: a.maxAge, mfa: len(a.acr) > 0 && !slices.Contains(a.acr, oauth.ACRPassword)}
	if a.form.Get("prompt") == "login" || a.other { // an upstream would give whom it has, over and over
		d.maxAge = 0
	}
	return d
}

// stepUpURL is where a sign-in becomes good enough to impersonate by, before coming back to returnTo; "" if signing in again cannot help.
func (s *Server) stepUpURL(who page.Who, returnTo string) string {
	d := demand{mfa: s.rules.Options().RequireSecondFactor}
	if !s.hasSecondFactor(&who.Login, who.User) && (d.mfa || who.Login.Upstream == "") { // by password alone it would lead back to where they are
		return ""
	}
	return s.signInURL(returnTo, d)
}
