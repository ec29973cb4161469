// Package conformance tests a running OAuth 2.0 server, ours or anybody's, from outside: does its token exchange (RFC 8693), and what stands around it,
// let somebody become somebody else who must not, or act unseen?
//
// A [Target] says where the server is and with which clients and accounts it may be tested. [Run] tries every [Case] against it and gives a [Report];
// [Test] does so within a Go test. Nothing is printed, kept in globals or ended, so a program may run several at once, of different targets.
//
// A case has an id in words that never changes, such as exchange/subject-token-required, and is sent in the User-Agent of each request of
// it, so that its requests are found in the log of the server. It cites the clause that it tests. Where that clause leaves open what we ask for, because an
// impersonation needs it to be safe, the case says profile: missing it is a finding about security, and no violation of the standard.
//
// The package imports nothing of the rest of this module. It spells each name of the wire itself and verifies tokens by a verifier of its own, so that a mistake
// of ours cannot hide on both sides.
package conformance
