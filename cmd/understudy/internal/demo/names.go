package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
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

// name gives everything its address and its place.
func (d *Demo) name(c Config, issuerPort, appPort int) (err error) {
	d.IssuerURL = origin("localhost", issuerPort)
	d.Database, d.AppDatabase = filepath.Join(c.Directory, databaseName), filepath.Join(c.Directory, appDatabaseName)
	if d.AppURL, err = appOrigin("app URL", c.AppURL, "localhost", appPort); err != nil {
		return err
	}
	if c.SameOrigin {
		if c.AsUserURL != "" {
			return errors.New("as-user URL: there is none on the same origin")
		}
	} else if d.AsUserURL, err = appOrigin("as-user URL", c.AsUserURL, "127.0.0.1", appPort); err != nil {
		return err
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
		return "", fmt.Errorf("%s %q: must be http and a host of this machine, such as http://app.localhost", what, raw)
	}
	out := origin(strings.ToLower(u.Hostname()), port)
	if u.Port() != "" && u.Port() != strconv.Itoa(port) {
		return "", fmt.Errorf("%s %q: the app's port is %d", what, raw, port)
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
