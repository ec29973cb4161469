package config

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// SealingKeySize is the length of the sealing key in bytes.
const SealingKeySize = 32

// Check judges the values. It returns what keeps the server from starting, empty if nothing does.
func (l *Loaded) Check() []*Problem {
	c := checker{l: l}
	c.url()
	c.listeners()
	c.tls()
	c.proxies()
	c.backchannel()
	c.trusted()
	c.upstreams()
	c.sealingKey()
	c.words()
	c.lifetimes()
	if err := l.Registry().Validate(); err != nil {
		c.addAt(c.rulesAt(), err.Error(), "")
	}
	c.database()
	return c.found
}

// CheckDatabase judges the database alone: whoever owns its tables and migrates them needs none of the server's secrets.
func (l *Loaded) CheckDatabase() []*Problem {
	c := checker{l: l}
	c.database()
	return c.found
}

// checker collects problems.
type checker struct {
	l     *Loaded
	found []*Problem
}

// add notes a problem of the value at path.
func (c *checker) add(path, what, hint string) { c.addAt(c.at(path), path+" "+what, hint) }

func (c *checker) addAt(where, what, hint string) {
	c.found = append(c.found, &Problem{Where: where, What: what, Hint: hint})
}

func (c *checker) at(path string) string { return c.l.From(path) }

// addItem notes a problem of the item of a list at path, such as "upstreams[0]", at the line of the key that it begins with.
func (c *checker) addItem(path, what, hint string) {
	key, _, _ := strings.Cut(what, " ")
	list, _, _ := strings.Cut(path, "[")
	at := c.at(path + "." + strings.TrimSuffix(key, ":"))
	for _, whole := range []string{path, list} { // a key that is missing has no line of its own, nor has what is an alias of YAML
		if at == "default" {
			at = c.at(whole)
		}
	}
	c.addAt(at, path+": "+what, hint)
}

// addFaults notes each of the errors that are joined in err, which is of the item of a list at path.
func (c *checker) addFaults(path string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			c.addFaults(path, e)
		}
	} else if err != nil {
		c.addItem(path, strings.TrimPrefix(err.Error(), "upstream: "), "")
	}
}

func (c *checker) rulesAt() string {
	for _, part := range []string{"roles", "scopes", "resources", "clients.modes"} {
		if at := c.at(part); at != "default" {
			return at
		}
	}
	return "default"
}

// Loopback reports whether only this machine's users reach the public URL.
func (c *Config) Loopback() bool {
	u, err := url.Parse(c.PublicURL)
	return err == nil && oauth.Loopback(u.Hostname())
}

func (c *checker) url() {
	raw := c.l.PublicURL
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.add("public_url", fmt.Sprintf("%q must be an http or https URL", raw), "such as https://login.example.com")
	case strings.TrimSuffix(u.Path, "/") != "" || u.RawQuery != "" || strings.Contains(raw, "#") || u.User != nil || strings.HasSuffix(raw, "/"):
		c.add("public_url", fmt.Sprintf("%q must be scheme and host only, without a slash at the end", raw), "it is compared byte by byte as the issuer of every token")
	case u.Scheme == "http" && !oauth.Loopback(u.Hostname()):
		c.add("public_url", fmt.Sprintf("%q must be https: sign-in cookies and tokens would travel in clear", raw), "set public_url to https and give tls.cert_file and tls.key_file, or trusted_proxies")
	}
}

func (c *checker) https() bool { return strings.HasPrefix(c.l.PublicURL, "https://") }

func (c *checker) listeners() {
	host, ok := c.hostPort("listen", c.l.Listen)
	if ok && !c.https() && !oauth.Loopback(host) {
		c.add("listen", fmt.Sprintf("%q is open to the network while public_url is http", c.l.Listen), "listen on 127.0.0.1, or set an https public_url")
	}
	if c.l.PrivateListen != "" {
		c.hostPort("private_listen", c.l.PrivateListen)
	}
}

func (c *checker) hostPort(path, addr string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	if err != nil {
		c.add(path, fmt.Sprintf("%q is not host:port", addr), "such as 127.0.0.1:8080")
	}
	return host, err == nil
}

func (c *checker) tls() {
	cert, key := c.l.TLS.CertFile != "", c.l.TLS.KeyFile != ""
	switch {
	case cert && !key:
		c.add("tls.key_file", "is missing beside tls.cert_file", "")
	case key && !cert:
		c.add("tls.cert_file", "is missing beside tls.key_file", "")
	case cert && !c.https():
		c.add("public_url", "must be https when tls.cert_file is set", "")
	case c.https() && !cert && len(c.l.TrustedProxies) == 0:
		c.add("public_url", "is https, but TLS ends neither here nor at a trusted proxy", "set tls.cert_file and tls.key_file, or trusted_proxies")
	}
}

func (c *checker) proxies() {
	for _, s := range c.l.TrustedProxies {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			c.add("trusted_proxies", fmt.Sprintf("%q is not a network", s), "such as 10.0.0.0/8 or 192.0.2.7/32")
		} else if p.Bits() == 0 {
			c.add("trusted_proxies", fmt.Sprintf("%q is everybody: any client could say that it is another", s), "name the proxy's own network")
		}
	}
}

func (c *checker) backchannel() {
	for _, s := range c.l.Backchannel.AllowPrivate {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			c.add("backchannel.allow_private", fmt.Sprintf("%q is not a network", s), "such as 10.1.0.0/16 or fd00:1::/32")
		} else if p.Bits() == 0 {
			c.add("backchannel.allow_private", fmt.Sprintf("%q is everything: a client's URI could name any service beside this server", s), "name the networks of your apps")
		}
	}
}

// Proxies are the trusted proxies of a configuration that Check found nothing in.
func (c *Config) Proxies() []netip.Prefix { return prefixes(c.TrustedProxies) }

// Networks are those of a configuration that Check found nothing in.
func (b Backchannel) Networks() []netip.Prefix { return prefixes(b.AllowPrivate) }

func prefixes(texts []string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range texts {
		if p, err := netip.ParsePrefix(s); err == nil {
			out = append(out, p.Masked())
		}
	}
	return out
}

func (c *checker) sealingKey() {
	if c.l.SealingKey == "" {
		switch {
		case c.l.Postgres():
			c.add("sealing_key", "must be set when the database is Postgres: every replica needs the same", "openssl rand -base64 32 makes one; give it as UNDERSTUDY_SEALING_KEY or sealing_key_file")
		case !c.l.Loopback():
			c.add("sealing_key", "must be set when public_url is not localhost", "openssl rand -base64 32 makes one; give it as UNDERSTUDY_SEALING_KEY or sealing_key_file")
		}
		return
	}
	if _, err := c.l.Key(); err != nil {
		c.add("sealing_key", err.Error(), "openssl rand -base64 32 makes one")
	}
}

func (c *checker) database() {
	switch {
	case c.l.Database == "":
		c.add("database", "must name a file or a Postgres database", "")
	case c.l.Postgres():
		if _, _, err := c.l.PostgresConfig().Protection(); err != nil {
			c.badURL(strings.TrimPrefix(err.Error(), "opening database: the URL "))
		}
	case strings.Contains(c.l.Database, "://"):
		c.add("database", "is neither a file nor a postgres:// URL", postgresURL)
	}
}

// badURL adds a problem of a Postgres URL, with what fits: the options of the pool are ours, and no URL shows them.
func (c *checker) badURL(what string) {
	hint := postgresURL
	if strings.Contains(what, "pool_") {
		hint = "pool_max_conns=20 is how many connections this server may hold, at least 1; other pool options are counts or durations such as 30m"
	}
	c.add("database", what, hint)
}

// Key is the sealing key's bytes. It returns an error if SealingKey is not the base64 of SealingKeySize bytes.
func (c *Config) Key() ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(string(c.SealingKey))
	if err != nil {
		return nil, fmt.Errorf("is not base64")
	}
	if len(key) != SealingKeySize {
		return nil, fmt.Errorf("has %d bytes, not %d", len(key), SealingKeySize)
	}
	return key, nil
}

func (c *checker) words() {
	c.oneOf("signing.algorithm", c.l.Signing.Algorithm, tokens.Algorithms()...)
	c.oneOf("sign_in.local", c.l.SignIn.Local, string(server.LocalEnabled), string(server.LocalBreakGlass), string(server.LocalDisabled))
	c.oneOf("sign_in.second_factor", c.l.SignIn.SecondFactor, SecondFactorRequired, SecondFactorOptional)
	c.oneOf("log.level", c.l.Log.Level, "debug", "info", "warn", "error")
	c.oneOf("log.format", c.l.Log.Format, "text", "json")
	if u, err := url.Parse(c.l.SupportURL); c.l.SupportURL != "" && (err != nil || !slices.Contains([]string{"http", "https", "mailto"}, u.Scheme)) {
		c.add("support_url", fmt.Sprintf("%q must be an http, https or mailto URL", c.l.SupportURL), "")
	}
}

func (c *checker) oneOf(path, value string, words ...string) {
	if !slices.Contains(words, value) {
		c.add(path, fmt.Sprintf("%q must be one of %s", value, strings.Join(words, ", ")), "")
	}
}

func (c *checker) lifetimes() {
	for _, f := range c.l.Fields() {
		switch d, ok := f.Value().(time.Duration); {
		case !ok:
		case f.Path == "sign_in.max_auth_age": // zero is any time
			if d < 0 {
				c.add(f.Path, fmt.Sprintf("%s must not be shorter than zero", d), "")
			}
		case d <= 0:
			c.add(f.Path, fmt.Sprintf("%s must be longer than zero", d), "")
		}
	}
}
