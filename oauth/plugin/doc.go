// Package plugin is impersonation inside somebody's own fosite provider, which keeps its clients, users, sign-ins and tokens. Start with [New] and a
// [Config] of small functions about them, make the provider with [Plugin.Compose] where there was compose.Compose, mount [Plugin.Handler] and
// [Plugin.Actions] beside the provider's own pages, and keep [Plugin.Run] going. The example of the package is a whole provider.
//
// What is kept here are tickets, sessions, return tokens and the trail, in a [Store] of this project or another. The rules are those of package
// impersonation: every start is decided by policy.Rules and committed with its entry before the provider's strategy makes the token. The package has no
// users, signs nothing and serves no endpoint of OAuth: authentication of clients, TLS, and DPoP proofs (tokenexchange.WithKey)
// are the provider's. Every client knows people by the ID that the provider's Directory gives, which is the sub of its tokens: there are no names by client,
// and directory.User.Identities names nobody here.
//
// # What the provider owes
//
// It grants the scope impersonate, at its authorization endpoint, to tokens that shall be able to start: without it no token is an actor_token. Its own
// pages and admin APIs refuse a token in which somebody acts ([Actor]). Its sign-out calls [Plugin.End], its user administration [Plugin.Changed], and its
// revocation endpoint answers by [WriteRevocationResponse]. Its storage keeps the claims of a session, and gives them back.
//
// # Who was disabled meanwhile
//
// The write of a start is guarded by what the store has: the ticket, the kill switches of the installation, the client and both people. Users and logins are
// the provider's, so whoever is disabled, demoted or signed out between the question and the write, some milliseconds, has a session that is on record and a
// token. It is ended by the next call of [Plugin.Changed] or [Plugin.End], and by the first introspection of it, which asks the provider and the rules again.
// The kill of an organisation is seen the same way. A resource server that does not introspect sees neither: give such a client short sessions.
//
// A provider that does not answer starts nothing and vouches for nothing, but a stop and a revocation end the session all the same; a stop then gives no token
// back.
package plugin
