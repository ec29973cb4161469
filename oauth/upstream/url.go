package upstream

import (
	"errors"
	"net/url"

	"github.com/understudy-id/understudy/oauth"
)

// maxURL is the most bytes of a URL in a document: browsers and servers agree on no more.
const maxURL = 2048

// checkURL wants an absolute https URL without user or fragment; http only on this machine, where loopback says so.
func checkURL(raw string, loopback bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > maxURL:
		return errors.New("must be a URL of at most 2048 bytes")
	case u.Hostname() == "" || u.User != nil || u.Fragment != "" || u.Opaque != "":
		return errors.New("must be an absolute URL, without user and fragment")
	case u.Scheme == "https" || u.Scheme == "http" && loopback && oauth.Loopback(u.Hostname()):
		return nil
	}
	return errors.New("must be https, or http to this machine itself where that is allowed")
}

// checkIssuer wants, beside, no query (OpenID Connect Discovery §3).
func checkIssuer(raw string, loopback bool) error {
	if err := checkURL(raw, loopback); err != nil {
		return err
	}
	if u, err := url.Parse(raw); err != nil || u.RawQuery != "" || u.ForceQuery {
		return errors.New("must have no query")
	}
	return nil
}
