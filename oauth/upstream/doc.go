// Package upstream reads what other issuers say: their documents and keys, and, as a client of theirs (OpenID Connect Core), who has
// signed in there and who has signed out. Start with [NewTrust] for an issuer whose tokens may tell who acts, with [NewIssuer] for its keys alone, or with
// [New] for a provider to sign in through, then [Provider.AuthURL] and [Provider.Redeem].
//
// Nothing that an issuer answers is trusted for its form: answers are bounded in size and time, no redirect is followed, no address
// that is not for the public is reached unless the configuration allows it, and an answer of another form is [ErrDocument].
// An issuer that does not answer is [ErrUnavailable], and stops nothing but itself. Errors name the field and the rule, and never
// show what was sent.
//
// The package keeps nothing but caches of stated age. It knows neither users nor sessions: whom an [Identity] stands for here, and
// that a state, a nonce or a logout token counts once, is its caller's to say.
package upstream
