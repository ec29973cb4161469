package config

import (
	"fmt"
	"net/url"
	"strings"
)

// Issuer is one that the configuration names.
type Issuer struct {
	URL   string
	Where string // its path in the configuration
}

// Issuers are all of them, our own first.
func (c *Config) Issuers() []Issuer {
	out := []Issuer{{c.PublicURL, "public_url"}}
	for i, u := range c.Upstreams {
		out = append(out, Issuer{u.Issuer, fmt.Sprintf("upstreams[%d]", i)})
	}
	for i, t := range c.TrustedIssuers {
		out = append(out, Issuer{t.Issuer, fmt.Sprintf("trusted_issuers[%d]", i)})
	}
	return out
}

// Alike reports whether two issuers differ, but by nothing than a slash at the end or the case of scheme and host. They are two all the same:
// an iss is compared byte by byte (OpenID Connect Core §3.1.3.7), so that one of them is a mistake as a rule.
func Alike(a, b string) bool { return a != b && folded(a) == folded(b) }

func folded(issuer string) string {
	u, err := url.Parse(issuer) // which folds the scheme
	if err != nil {
		return issuer
	}
	u.Host = strings.ToLower(u.Host)
	return strings.TrimSuffix(u.String(), "/")
}

// AlikeIssuers names, a sentence each, the pairs of issuers in the configuration that one could take for one another.
func (c *Config) AlikeIssuers() (out []string) {
	all := c.Issuers()
	for n, b := range all {
		for _, a := range all[:n] {
			if Alike(a.URL, b.URL) {
				out = append(out, fmt.Sprintf("%s of %s and %s of %s are two issuers, byte by byte: tokens have one of them", a.URL, a.Where, b.URL, b.Where))
			}
		}
	}
	return out
}
