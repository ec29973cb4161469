// Package oauth is the vocabulary of the wire: who acts, who is acted for, and the names that RFC 8693
// gives to the tokens between them. Start with [Delegation], which says what one impersonation token
// says; [Party] and [Actor] are its parts. The package holds no rules, no keys and no net/http.
//
// # Words
//
// RFC 8693 §1.1 calls "A visibly acts for B" delegation, and keeps impersonation for the case in which
// A cannot be told from B. We always send act, so in the RFC's words we delegate. The product and the
// rest of this code say impersonation all the same, because that is what its users call it.
//
// The subject is who a request looks like, the actor is who is really typing. A ticket is the one-time
// hand-over made by the impersonate page, a session is one stretch of impersonation, and a return token
// is the one-time secret that stop redeems. Stop is by the actor, End is by anything else.
//
// # The flow
//
//	actor's browser        relying app                   understudy                    store
//	     │  GET /impersonate?client_id&redirect_uri&state&code_challenge…               │
//	     │──────────────────────────────────────────────────>│ who is the actor        │
//	     │  find a user, say why; POST                       │ policy.Decider          │
//	     │──────────────────────────────────────────────────>│ ticket (60 s, hashed) ─>│
//	     │<── 303 redirect_uri?ticket&state&iss ─────────────│                         │
//	     │────────────────────>│ POST /oauth2/token          │                         │
//	     │                     │  subject_token = ticket     │ read, decide, then one  │
//	     │                     │  actor_token = actor's      │ write: consume ticket,  │
//	     │                     │  code_verifier              │ session, return token,  │
//	     │                     │────────────────────────────>│ audit entry ───────────>│
//	     │                     │<─ sub=subject, act.sub=actor│ then sign               │
//	     │                     │  and a return token         │                         │
//	     │  stop               │ POST /oauth2/token          │                         │
//	     │────────────────────>│  subject_token = return ───>│ one write: end, audit ─>│
//	     │                     │<─ sub=actor, no act ────────│                         │
//
// Where an issuer's rule trusts it, actor_token may be that issuer's access token, of the type jwt: the ticket's actor must be the user
// whom the directory has under its (iss, sub). act then names them so, sub_id names the subject as that issuer does, there is
// no return token, and the session ends by revocation (RFC 7009) or with its time.
//
// # The house
//
// Every arrow points down; deps_test.go states who may import whom, with the reasons.
//
//	cmd/understudy         wiring: the server and the operator's command line
//	oauth/rp               what a relying app links: cookies, banner, guard, stop, record; both forms of standing in a browser; Bearer for APIs
//	oauth/rp/rptest        understudy in memory, for an app's own tests
//	oauth/server           our own server: the place where our fosite is wired
//	oauth/page             the hosted pages: sign-in, find, ask, audit, errors
//	oauth/tokenexchange    RFC 8693 as a handler for any fosite provider
//	oauth/plugin           impersonation inside somebody's own fosite provider, with its users, sign-ins and tokens
//	oauth/scim             SCIM 2.0, by which somebody else's identity provider keeps its users and groups here
//	oauth/ssf              the wire of Shared Signals, by which apps hear at once what ended
//	oauth/store            the union of what the others need; sqlite and postgres behind it, storetest its contract
//	oauth/store/transfer   an installation grows up: from SQLite to Postgres, all of it, resumable, compared
//	oauth/impersonation    ticket, session, return token: IssueTicket, Start, Stop, End
//	oauth/policy           who may impersonate whom: Decider, the nevers, roles
//	oauth/directory        users, groups, organisations
//	oauth/tokens           signing keys, JWKS, RFC 9068 sign and strict verify; reads assertions and DPoP proofs
//	oauth/upstream         other issuers: their documents and keys, and sign-in through them as a client of theirs
//	oauth/audit            the entry of the audit trail and its canonical bytes
//	oauth/admin            what an operator may do, each act with its entry
//	oauth/internal/form    reads strangers' parameters strictly, before fosite does
//	oauth/internal/seal    seals secrets; internal/password and internal/totp check people's
//	oauth/internal/outbound calls URLs that others gave, and nothing that only we could reach
//	oauth/internal/vouch   says that a session is alive only where it could also be ended; internal/pace says how often
//	oauth/internal/actions the wire by which apps tell what an actor does; internal/spool keeps it until it is told
//	oauth/internal/chaos   kills real servers and checks what must hold afterwards; internal/load measures them
//	oauth/browsertest      drives a headless Chromium, for tests; store/postgrestest starts a private Postgres
//	oauth/server/interop   other people's clients and providers with ours; oauth/tokens/wycheproof, vectors: modules of their own
//	oauth/rp/peers         package rp beside other libraries, measured; oauth/rp/examples/react, a single-page app: modules too
//	migrations             the schema, embedded
//
// # Where we differ from RFC 8693
//
//   - §2.1: actor_token is optional there. A start without it is refused here, since nobody would prove who acts; but for the
//     service that authenticates as the very client which may_act names (§4.4).
//   - §2.1: several resource or audience values are allowed there. Here one token has one audience
//     (RFC 9700 §2.3); more than one answers invalid_target.
//   - §2.1: subject_token may be a ticket, a return token or a bare user id, types of our own (§3 allows that).
//   - §2.1: an actor_token of another issuer is taken only beside a ticket, as actor_token_type jwt, where that issuer is trusted by a
//     rule; the token that is issued then names the subject at that issuer too, by sub_id (RFC 9493).
//   - §2.2.1: a refresh token may be issued there; never here: an impersonation does not slide, and what a stop gives back is for
//     what was left. Refresh tokens come of sign-ins alone, at clients that are registered for them.
//   - §4.1: act may nest there. Here its depth is 1 and a token that carries it is terminal: it is
//     never accepted as subject_token or actor_token.
//   - §4.4: may_act comes from a grant on record and is looked up again at the exchange: it is necessary and never enough. A
//     token with act has none.
package oauth
