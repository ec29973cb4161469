package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/understudy-id/understudy/oauth"
)

// The files of a demo.
const (
	databaseName    = "understudy-demo.db"
	appDatabaseName = "understudy-demo-acme.db"
)

// AddressError means that a port or a URL of Config cannot be used. Nothing was written.
type AddressError struct {
	What    string // such as "app URL" or "issuer port"
	Problem string // with the value
}

// Error says what must be otherwise.
func (e *AddressError) Error() string { return e.What + " " + e.Problem }

// checkPorts is before any of them is taken, since the issuer's own would else seem to be somebody else's.
func checkPorts(issuer, app int) error {
	if err := checkPort("issuer port", issuer); err != nil {
		return err
	}
	if issuer == app && app != 0 {
		return &AddressError{"app port", fmt.Sprintf("%d: is the issuer's too, and each needs its own", app)}
	}
	return checkPort("app port", app)
}

func checkPort(what string, port int) error {
	if port < 0 || port > math.MaxUint16 {
		return &AddressError{what, fmt.Sprintf("%d: must be 1 to %d, or 0 for a free one", port, math.MaxUint16)}
	}
	return nil
}

// name gives everything its address and its place.
func (d *Demo) name(c Config, issuerPort, appPort int) (err error) {
	d.IssuerURL = origin("localhost", issuerPort)
	d.Database, d.AppDatabase = filepath.Join(c.Directory, databaseName), filepath.Join(c.Directory, appDatabaseName)
	if d.AppURL, err = appOrigin("app URL", c.AppURL, "localhost", appPort); err != nil {
		return err
	}
	if c.SameOrigin {
		if c.AsUserURL != "" {
			return &AddressError{"as-user URL", fmt.Sprintf("%q: there is none on the same origin", c.AsUserURL)}
		}
	} else if d.AsUserURL, err = appOrigin("as-user URL", c.AsUserURL, "127.0.0.1", appPort); err != nil {
		return err
	}
	if d.AsUserURL == d.AppURL { // of one port
		return &AddressError{"as-user URL", fmt.Sprintf("%q: is the app's host too, and they must differ: cookies do not know ports", d.AsUserURL)}
	}
	d.ClientID = clientID(d.redirectURIs())
	return nil
}

func origin(host string, port int) string {
	if port == 80 {
		return "http://" + host // as browsers write it
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// appOrigin checks one of the app's URLs and puts the port in.
func appOrigin(what, raw, otherwise string, port int) (string, error) {
	if raw == "" {
		return origin(otherwise, port), nil
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" || !oauth.Loopback(u.Hostname()) || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return "", &AddressError{what, fmt.Sprintf("%q: must be http and a host of this machine, such as http://app.localhost", raw)}
	}
	out := origin(strings.ToLower(u.Hostname()), port)
	if u.Port() != "" && u.Port() != strconv.Itoa(port) {
		return "", &AddressError{what, fmt.Sprintf("%q: the app's port is %d", raw, port)}
	}
	return out, nil
}

func (d *Demo) redirectURIs() []string {
	out := []string{d.AppURL + "/.understudy/callback"}
	if d.AsUserURL != "" {
		out = append(out, d.AsUserURL+"/.understudy/callback")
	}
	return out
}

// clientID names the registration with these redirect URIs. A registration does not change, and its name is never free
// again: a run under other addresses has one of its own.
func clientID(uris []string) string {
	usual := []string{origin("localhost", DefaultAppPort), origin("127.0.0.1", DefaultAppPort)}
	if len(uris) == 2 && strings.HasPrefix(uris[0], usual[0]+"/") && strings.HasPrefix(uris[1], usual[1]+"/") {
		return "acme"
	}
	sum := sha256.Sum256([]byte(strings.Join(uris, " ")))
	return "acme-" + hex.EncodeToString(sum[:4])
}
