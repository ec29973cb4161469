package config

import (
	"fmt"
	"net"
	"os"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/store/postgres"
)

// SameOriginRisk is the one risk that is taken outside of this configuration: by an app that lays impersonation over its own
// origin. It is a sentence, as those of Risks are.
const SameOriginRisk = "where an app gives impersonation no origin of its own (rp.Config.Origin), " +
	"script in the user's page can press Stop, and then read the administrator's pages"

// Risks names, a sentence each, what the operator has switched on that makes an impersonation easier to abuse. None
// of it keeps the server from starting.
func (c *Config) Risks() []string {
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if c.SignIn.SecondFactor == SecondFactorOptional {
		add("sign_in.second_factor is optional: a password alone may start an impersonation")
	}
	if host, _, err := net.SplitHostPort(c.PrivateListen); err == nil && !oauth.Loopback(host) {
		add("private_listen %s is not this machine only: strangers can ask whether the server is well", c.PrivateListen)
	}
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && !oauth.Loopback(host) && c.TLS.CertFile == "" {
		add("listen %s is open and without TLS: whoever reaches it past the trusted proxy talks in clear", c.Listen)
	}
	if c.Postgres() {
		out = append(out, c.wayToDatabase()...)
	}
	out = append(out, readableSecret("database_password_file", c.DatabasePasswordFile)...)
	out = append(out, readableSecret("sealing_key_file", c.SealingKeyFile)...)
	for i, t := range c.TrustedIssuers {
		if t.Introspection != nil {
			out = append(out, readableSecret(fmt.Sprintf("trusted_issuers[%d].introspection.client_secret_file", i), t.Introspection.ClientSecretFile)...)
		}
	}
	for i, u := range c.Upstreams {
		out = append(out, c.upstreamRisks(fmt.Sprintf("upstreams[%d]", i), u)...)
	}
	for _, r := range c.Roles {
		if r.Impersonate == nil {
			continue
		}
		if r.Impersonate.Privileged {
			add("role %s reaches privileged users: its holders may impersonate whoever has no privileged role that they lack", r.Name)
		}
	}
	return out
}

// readableSecret is the risk of a secret's file that not only its owner may open. It is not refused: containers mount such files.
func readableSecret(path, file string) []string {
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm()&0o077 == 0 { // one that cannot be read is refused by Load
		return nil
	}
	return []string{fmt.Sprintf("%s %s is open to others than its owner (mode %04o): whoever is on this machine may have the secret", path, file, info.Mode().Perm())}
}

// wayToDatabase is the risk of the network between, where there is one.
func (c *Config) wayToDatabase() []string {
	protection, host, err := c.PostgresConfig().Protection()
	what := ""
	switch {
	case err != nil:
		return nil // Check says it
	case protection == postgres.Clear:
		what = "no TLS is demanded, so whoever stands between can read and change everything, the trail too"
	case protection == postgres.Encrypted:
		what = "the server's certificate is not checked, so whoever stands between can be the database"
	case protection == postgres.Certified:
		what = "the server's name is not checked, so whoever has any certificate of that authority can be the database"
	default:
		return nil
	}
	return []string{fmt.Sprintf("database at %s: %s; sslmode=verify-full in its URL closes that", host, what)}
}
