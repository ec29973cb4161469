// Package rptest lets an app that stands on package rp test itself without a server: no store, no port, no process. [Impersonate] and
// [SignedIn] make a request whose handler sees what it would see behind App.Handler. [NewIssuer] is understudy in memory, for tests of the
// whole way: [Issuer.Config] configures an app against it, and a [Browser] walks from the app to the issuer and back. An API needs no
// browser: [Issuer.BearerConfig] configures it, and [Issuer.Token] and [Issuer.ImpersonationToken] are what its clients call it with.
//
// It is for tests only. Everybody may impersonate everybody there, nobody types a password, and a secret is known to all: it keeps to the
// words of the real issuer, not to its rules.
package rptest
