package meddler

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// kind tells answers apart: by what was asked for where they hold, and by why where they do not.
func kind(method, path string, form url.Values, a *Answer) string {
	what := ""
	var members struct {
		Error  string `json:"error"`
		Active *bool  `json:"active"`
	}
	json.Unmarshal(a.Body, &members) // where it is no object there is nothing to tell
	switch {
	case members.Error != "":
		what = members.Error
	case members.Active != nil && *members.Active:
		what = "active"
	case members.Active != nil:
		what = "inactive"
	case a.Status == 200 && form.Has("grant_type"):
		what = last(form.Get("grant_type"))
		if t := form.Get("subject_token_type"); t != "" {
			what += " " + last(t)
		}
	case led(a) != nil:
		what = "with " + strings.Join(names(led(a).Query()), " ")
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %d %s", method, path, a.Status, what))
}

// last is the end of a URN.
func last(urn string) string { return urn[strings.LastIndexByte(urn, ':')+1:] }

// led is where an answer leads to, if it is to an application; else nil.
func led(a *Answer) *url.URL {
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || u.Host == "" || a.Status < 300 || a.Status > 399 {
		return nil
	}
	return u
}

func names(q url.Values) (all []string) {
	for name := range q {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
