package config

import (
	"fmt"
	"net"

	"github.com/understudy-id/understudy/oauth"
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
