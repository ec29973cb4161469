// Package ssf is the wire of Shared Signals (OpenID Shared Signals Framework 1.0): what a transmitter of ours and its receivers say to
// each other, as values and JSON. Start with [Metadata], [Stream] and [PollRequest]; [SET] is what is told, and [IDs] names it. The
// package signs nothing, keeps nothing, answers nobody and knows neither fosite nor a store: the server does that with it.
//
// # For who writes a receiver
//
// A stream belongs to one client and one process of it. It tells the ends of the impersonations that were started at that client, and of
// no others: who serves a resource for other clients goes on asking by introspection (RFC 7662).
//
//	GET  /.well-known/ssf-configuration   Metadata (SSF §7)
//	POST <token_endpoint>                 grant_type=client_credentials&scope=ssf: the token for all below; its aud is the issuer
//	POST <configuration_endpoint>         {} opens a stream by poll: 201 and Stream (SSF §8.1.1); 409 at MaxStreams
//	POST <delivery.endpoint_url>          PollRequest gives PollAnswer (RFC 8936); 404 once the stream is gone: open another
//	DELETE <configuration_endpoint>?stream_id=…   when the process ends; else the lease does it (inactivity_timeout seconds)
//
// The endpoint_url of the 201 has a secret in it, which no other answer tells: it is for the process that opened the stream.
//
// The first poll of a stream says understudy_snapshot, with no ack: everything that was offered before is forgotten, and the answer has in
// understudy_ended all sessions of the client that ended and are not past their expiry. What ends after that comes as a SET, in the order in which it ended, until it is acknowledged; twice, perhaps, and perhaps beside
// understudy_ended. Where a later answer has understudy_ended again, the receiver was too slow or the stream was switched off meanwhile: the
// SETs before it are lost, and it has them all. After an answer that did not arrive, open another stream: the poll may still be on its way.
//
// Each poll waits for the first event, the first change of understudy_state, or as long as understudy_wait says. Every answer tells in
// understudy_state which kill switches are on that concern the client, and whether the transmitter vouches: where it does not, it could not
// end a session either, and nothing that it did not say counts; it then acknowledges nothing and gives no snapshot, so ask for that again.
// Any answer but 200 says that there is no stream now: 401 and 403 that the token is over or the client may have none (a client that is
// killed), 404 that the stream is gone, 429 and 503 to come again.
//
// A SET is a JWT with typ secevent+jwt, signed by a key of jwks_uri, by RS256 where the issuer has such a key. Its iss is the issuer, its
// aud the client_id; it has neither sub nor exp. Its iat is when the session ended and not when it was sent: a SET that is offered
// again, by another server too, says the same under the same jti. A receiver ignores members and claims that it does not know.
package ssf
