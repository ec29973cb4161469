// Package config is what an operator can set, and from where. Start with [Config], from whose tags the flags, the
// environment names and the help are made, and [Load], which puts the layers together: flags over environment over the
// file over defaults. It opens no database and starts nothing.
package config

import (
	"time"

	"github.com/understudy-id/understudy/oauth"
	"github.com/understudy-id/understudy/oauth/policy"
	"github.com/understudy-id/understudy/oauth/server"
	"github.com/understudy-id/understudy/oauth/tokens"
)

// DefaultFile is read if it exists and no other file is named.
const DefaultFile = "understudy.yaml"

// Config is everything that can be set. The path of a field is its yaml names joined by dots; its environment name is
// UNDERSTUDY_ and the path in upper snake case, its flag is the path with dashes. Fields with file:"only" are in the
// file only; fields with secret:"true" have no flag, since a process list shows flags. Load moves a password that is in the
// URL of Database into DatabasePassword, so that Database may be shown.
type Config struct {
	PublicURL            string            `yaml:"public_url" doc:"the URL that browsers see, and the issuer of every token; https unless it is localhost"`
	Listen               string            `yaml:"listen" doc:"host:port for browsers and clients"`
	PrivateListen        string            `yaml:"private_listen" doc:"host:port for /healthz and /readyz; empty for none"`
	Database             string            `yaml:"database" doc:"file of the SQLite database, or postgres://user@host/name?sslmode=verify-full; pool_max_conns=20 there bounds connections"`
	DatabasePassword     oauth.Secret      `yaml:"database_password" secret:"true" doc:"password of the user of a Postgres database whose URL comes from the same layer or a lower one; or in the URL, if that is not in a flag; or PGPASSFILE"`
	DatabasePasswordFile string            `yaml:"database_password_file" doc:"a file that holds database_password"`
	TLS                  TLS               `yaml:"tls"`
	TrustedProxies       []string          `yaml:"trusted_proxies" doc:"networks (CIDR) whose X-Forwarded-* headers are believed"`
	SealingKey           oauth.Secret      `yaml:"sealing_key" secret:"true" doc:"base64 of the 32 bytes that seal private keys in the database; on localhost a file beside the database"`
	SealingKeyFile       string            `yaml:"sealing_key_file" doc:"a file that holds sealing_key"`
	Signing              Signing           `yaml:"signing"`
	SignIn               SignIn            `yaml:"sign_in"`
	Lifetimes            Lifetimes         `yaml:"lifetimes"`
	Limits               Limits            `yaml:"limits"`
	Resources            []policy.Resource `yaml:"resources" file:"only" doc:"APIs that tokens may be for"`
	Scopes               []policy.Scope    `yaml:"scopes" file:"only" doc:"scopes and how dangerous each is: read, write or never"`
	Roles                []policy.Role     `yaml:"roles" file:"only" doc:"roles: who is privileged, who may impersonate whom"`
	Clients              Clients           `yaml:"clients"`
	Backchannel          Backchannel       `yaml:"backchannel"`
	TrustedIssuers       []TrustedIssuer   `yaml:"trusted_issuers" file:"only" doc:"other issuers whose access tokens may say who acts, beside a ticket of the impersonate page; none unless listed"`
	Upstreams            []Upstream        `yaml:"upstreams" file:"only" doc:"OpenID providers through which people sign in too; the secret of one named corp may be in UNDERSTUDY_UPSTREAM_CORP_CLIENT_SECRET, or in the file that UNDERSTUDY_UPSTREAM_CORP_CLIENT_SECRET_FILE names"`
	Log                  Log               `yaml:"log"`
	SupportURL           string            `yaml:"support_url" doc:"where a page sends those who need help"`
}

// TLS is for a server that ends TLS itself.
type TLS struct {
	CertFile string `yaml:"cert_file" doc:"PEM file with the certificate chain"`
	KeyFile  string `yaml:"key_file" doc:"PEM file with the private key"`
}

// Signing is how tokens are signed.
type Signing struct {
	Algorithm string `yaml:"algorithm" doc:"ES256, EdDSA or RS256: what tokens are signed with, but for ID tokens of clients that want another"`
}

// SignIn is how people sign in.
type SignIn struct {
	Local        string        `yaml:"local" doc:"enabled, break_glass or disabled: whether people may sign in by a password of ours; by break_glass only behind a step of its own, with an alarm at each use"`
	SecondFactor string        `yaml:"second_factor" doc:"required or optional: whether a password alone may start an impersonation"`
	MaxAuthAge   time.Duration `yaml:"max_auth_age" doc:"how long ago who starts an impersonation may have signed in; 0 for any time"`
}

// The values of SignIn.SecondFactor.
const (
	SecondFactorRequired = "required"
	SecondFactorOptional = "optional"
)

// Lifetimes are how long things last: server.Lifetimes, field by field, with the names that they have here.
type Lifetimes struct {
	AccessToken       time.Duration `yaml:"access_token" doc:"access token of a person"`
	Login             time.Duration `yaml:"login" doc:"sign-in at the issuer"`
	LoginIdle         time.Duration `yaml:"login_idle" doc:"sign-in that nobody uses"`
	Code              time.Duration `yaml:"code" doc:"authorization code"`
	PushedRequest     time.Duration `yaml:"pushed_request" doc:"pushed authorization request, with the sign-in that follows"`
	Ticket            time.Duration `yaml:"ticket" doc:"ticket of the impersonate page"`
	ImpersonationIdle time.Duration `yaml:"impersonation_idle" doc:"session of impersonation that nobody uses"`
	ReturnExtra       time.Duration `yaml:"return_extra" doc:"how much longer than its session a return token lasts"`
	DoubleClick       time.Duration `yaml:"double_click" doc:"how long a second stop counts as a double click"`
	SecondFactor      time.Duration `yaml:"second_factor" doc:"between the password and the code of the second factor"`
	LockOut           time.Duration `yaml:"lock_out" doc:"how long nobody may sign in after too many failures"`
}

// Limits are how fast and how many, each server by itself: server.Limits, field by field, with the names that they have here.
type Limits struct {
	ClientFailures  int `yaml:"client_failures" doc:"failed client authentications from one address in a minute, a third of them under one client_id; -1 for any number"`
	ClientRequests  int `yaml:"client_requests" doc:"tokens, codes and pushed requests that one client asks for in a minute; -1 for any number"`
	ActorSearches   int `yaml:"searches_per_actor" doc:"looks of one actor at the page that finds users, in a minute; -1 for any number"`
	ActorStarts     int `yaml:"actor_starts" doc:"impersonations that one actor starts in a minute; -1 for any number"`
	ActorSessions   int `yaml:"sessions_per_actor" doc:"impersonations of one person at once; -1 for any number"`
	ServiceSessions int `yaml:"sessions_per_service" doc:"impersonations at once of one client that acts for itself; -1 for any number"`
}

// Clients is what is set by client_id.
type Clients struct {
	Modes map[string][]oauth.Mode `yaml:"modes" file:"only" doc:"modes that a client may have, by client_id; absent: both"`
}

// Backchannel is how clients are told that a session is over.
type Backchannel struct {
	AllowPrivate []string `yaml:"allow_private" doc:"networks (CIDR), not public, in which clients may have their back-channel logout URI, or that of their events"`
}

// Log is how the server writes its log, on stderr.
type Log struct {
	Level  string `yaml:"level" doc:"debug, info, warn or error"`
	Format string `yaml:"format" doc:"text or json"`
}

// Default is the configuration that stands when nothing is set: one safe node on localhost.
func Default() Config {
	r := policy.Default()
	return Config{
		PublicURL: "http://localhost:8080", Listen: "127.0.0.1:8080", PrivateListen: "127.0.0.1:8081", Database: "understudy.db",
		Signing:   Signing{Algorithm: tokens.ES256},
		SignIn:    SignIn{Local: string(server.LocalEnabled), SecondFactor: SecondFactorRequired},
		Lifetimes: Lifetimes(server.DefaultLifetimes()),
		Limits:    Limits(server.DefaultLimits()),
		Resources: r.Resources, Scopes: r.Scopes, Roles: r.Roles, Clients: Clients{Modes: r.Modes},
		Log: Log{Level: "info", Format: "text"},
	}
}

// Registry is the part that decisions look at.
func (c Config) Registry() policy.Registry {
	return policy.Registry{Resources: c.Resources, Scopes: c.Scopes, Roles: c.Roles, Modes: c.Clients.Modes}
}
