// Package rp is what a relying app links: the cookies, the banner, the guard and the way back of an impersonation. Start
// with [New] and put [App.Handler] around everything that the app serves; in a handler, [Subject] tells who the request
// looks like and [Actor] who is really typing. Wrap what nobody may do in somebody else's name in [Forbid].
//
// It decides nothing about who may impersonate whom, keeps no database, and App never parses an impersonation token: that is
// the resource server's (RFC 9068 §6). What App knows it has from the token answer's understudy_session. Where the app is an API that gets the
// tokens, start with [NewBearer] instead: see "APIs" below.
//
// The package may not know the server's packages, since it is compiled into other people's programs. Besides the standard library it needs package
// oauth, the sealing of cookies, the spool of what is to be put on record, package ssf for the words of a stream, and package tokens, which is the one strict reader of
// JWTs that there is here, and brings go-jose: 70 KB of a program of 9 MB.
//
// # Two forms
//
// With [Config].Origin impersonation lives on an origin of its own: it starts, lives and ends there, and no cookie of the
// actor is ever set or sent there. Nothing that runs in the user's pages can reach the actor's; what runs on in a tab of
// theirs can reach the next user's. This is the form to choose.
//
// Without it, impersonation lies over the app's own origin. The actor's sign-in is then held: taken out of the browser's
// reach and sealed until Stop. It is look only, unless Config.AllowSameOriginWrite is set. What remains is that script in
// the user's page can press Stop, and then read the actor's pages; and with full access, that what the actor's own tabs send may count
// as the user's: see "Tabs left open". Tell the issuer that the app is look only, so that its page offers nothing else (clients.modes in its configuration).
//
// In both forms, what could change something is refused under impersonation if another origin's page sends it, a sibling host's too: it would be
// on record as the actor's doing.
//
// # The banner
//
// No style of a page reaches it, and no Content-Security-Policy of the app takes its looks or its button away, but sandbox, under which no
// form is sent. Nothing keeps a page from the rest: its own script can remove, empty or lock (inert) the banner; a modal dialog, a popover, an
// element in full screen or one of the same z-index, 2147483647, lies over it; and what is done to the whole body, such as opacity, is
// done to it. Removed, it comes back where banner.js runs.
//
// It tells people, then, and protects nobody: nothing relies on it. Where it cannot be seen the guard refuses all the same, each request is on
// record, the next page has it again, an origin of its own stands in the address bar, and the address /.understudy/stop is a page on
// which no script of the app runs.
//
// # What passes
//
// The guard judges a request by the ways in which routers read a path (case, slashes, dots, parameters, encoded up to three times, with a format at its end as /x.json has, or
// behind a script as in /index.php/x), and takes out of it the headers by which it would pass for another one: X-HTTP-Method-Override and its like, X-Original-URL, X-Rewrite-URL. A
// field or parameter _method is refused, and where one only looks so is every Upgrade that [App.Allow] does not name. Where Allow names a path, or [App.Block] another method of it, no
// method hides in a body either: a form or JSON has to be of up to 1 MiB, and written so that all frameworks read it alike. Elsewhere a _method passes in JSON, behind the first 64 KiB
// of a form, and in a form that net/http cannot read; the trail has the method that was sent. The guard does not know a path in a query (/?q=account/delete), nor
// prefixes of the app's own (/en/account): name those too, or use [Forbid], which stands behind the app's own router.
//
// The banner goes into pages as they pass, streamed or not; files to be saved, parts, and what is compressed already pass as they are. Where htmx or Turbo would put
// a page in another's place, the browser is led to load it, since a script's parser opens no shadow root. Frames and fragments get no banner, and one that is asked for when the
// session is over has the whole page load again.
//
// What a handler writes although one only looks, no guard sees: ask [Impersonating] before that. [Mask] is for what support need not read whole.
//
// # Tabs left open
//
// A page outlives the session that it was made in, and what it sends is then sent as whoever is there by then: on one origin a page of the
// actor's own as the user, after a start in another tab; anywhere a page of one user's as the next. So pages say for whom they were made, and who names
// another session than the current one is refused with the reason "ended", and on record while anybody is impersonated. [FormField] says it in a form. banner.js says
// it in the header X-Understudy-Session, with the session's id or "none", of what the page's scripts send to their own origin by fetch or XMLHttpRequest and may
// change something. For navigator.sendBeacon, which takes no header, it sends a fetch with keepalive. It knows once /.understudy/session has answered, and asks until that
// does. Load it on every page whose scripts send, and as the first of them: some libraries, Turbo one of them, keep to the fetch that they find.
//
// Into forms it puts the field understudy_session by itself in pages made under impersonation. The forms of all others go out as the app wrote them, so those
// are tied by FormField alone.
//
// Nothing ties a page that has neither; a form without FormField that is a POST only by its button; what scripts send by WebSocket or fetchLater, from a worker, or
// from a frame without banner.js; and what only looks: script of the actor's page may be answered with what the user sees, and that is on record as any look. On one
// origin, look only still refuses whatever could change something. With an origin of its own a page of the actor's sends as the actor, with or
// without banner.js, and on that origin Handler serves no page while nobody is impersonated; what is left is the tab of the user before.
//
// Chromium keeps a page whole for its Back button, up to three minutes, though the page says no-store. After Stop, and after any answer that says that the session is
// over, it asks anew; where no answer has said so yet, banner.js does.
//
// # On record
//
// Every request under impersonation goes on record at the issuer ([Recorder]): method, path and status, and what the app says of it
// by [Note]; no query and no body. The path is as it was sent; where it has more than 512 characters, what may change something is refused (414), and of
// what only looks the middles of long names are left out and the SHA-256 of the whole is added (see [Action]). What may change something is on record before it
// runs, and what is refused before it is answered: without that it is not done. What only looks is kept in a spool before its answer goes out ([Config].Spool), and told in batches within a second.
// A process numbers what it tells of a session, under a name of its own, so that several need not talk to each other and none has to
// remember a number through a crash; at the issuer, a number that never came shows as missing.
//
// # With another provider's tokens
//
// An app may stay with the provider that it has, if understudy trusts that one's tokens to say who acts: [Config].ActorToken gives
// them, and ForeignActor says so. This is the second form, with the hooks Hold and Held. The app knows the user by
// Person.Elsewhere, their sub at that provider, and the actor by the sub that it knows anyway. No token comes back at a stop.
//
// # APIs
//
// [Bearer] stands in front of an API: [Bearer.Handler], or [Bearer.Authenticate] where there is no HTTP. The same [Subject], [Actor] and [Forbid] work behind it,
// look only holds there too, and [RequireScope] and [RequireAuthentication] ask for what a token must say. An ordinary token is verified offline and counts
// until its exp; one of an impersonation counts while its session goes on. Package rptest gives an API's own tests tokens of both kinds.
//
// [Bound] ends what outlives a request, such as a WebSocket, with the impersonation; [App.NewContext] and [Bearer.NewContext] carry both people to a job.
//
// # How an end is heard
//
// What may change something is refused unless the issuer itself says, as it is put on record, that the session goes on. For what only looks each process
// asks once about a session (RFC 7662), and from then on listens: with its first request under impersonation it opens a stream of the issuer's events
// (OpenID Shared Signals, polled by RFC 8936), if that has them at /.well-known/ssf-configuration, and gives it back after ten minutes without one. A
// kill is then heard in every process within a second or so, and no request that looks waits for the issuer. Where nothing good is heard for three
// seconds, or anything that is wrong, an answer counts for five seconds, and then each session is asked for again; so an app without a stream is as safe,
// and slower. A client may have 64 streams, and one that a broken connection left counts for up to a minute; further processes ask. [Config].NoStream has
// none opened. A session in which nothing is asked or recorded for ten minutes ends too (lifetimes.impersonation_idle at the issuer).
//
// Whoever was typing meanwhile sees their text again on the page that says so, to copy it: up to 256 KiB of a form that came from the same
// origin, but for files and for what looks like a secret by its name or its shape. A field for a password is known by its name alone.
//
// An app that is not to hold a stream can be told instead, if it is registered for that: by OpenID Connect back-channel logout, or by pushed events
// (RFC 8935). One process gets each of these requests, and refuses the session from then on; the others ask within five seconds. What
// matters is who signed it: nobody else can end anything so. They end impersonations alone; a sign-in at the app counts for SignInLifetime.
//
// # Single-page apps
//
// A page that is made in the browser asks for a start by POST /.understudy/start with a JSON body of subject, reason, ticket_number and return_to, each
// a string and optional, and goes to what the answer's redirect says. A refusal is application/problem+json with a reason for programs, and title and
// detail for people. What fails later, at the issuer or at the app's veto, leads back to return_to with understudy_failed in its query: given that query,
// GET /.understudy/session says the same in its member failure, for ten minutes, to the browser in which the start began, and of nothing that this App did
// not write itself. The reasons:
//
//	impersonating          stop first
//	cancelled              by the actor, on the issuer's page
//	veto                   Config.CanImpersonate refused; its words are in detail
//	refused, login, actor  the issuer refused, or does not know the actor, or the app does not
//	write                  full access was chosen, where only look only can be
//	issuer, answer         the issuer did not answer, or not as it should
//	state                  it took longer than ten minutes, or was another browser
//	query, return, origin  what was asked for is wrong, leads elsewhere, or comes from elsewhere
//	hold                   Config.Hold did not set the actor's sign-in aside
//	app, large, name       for the people who run the app: wrong secret, or more about a person than a cookie holds
//	signin                 not of a start: the app's own API needs somebody who is signed in
//
// A request of the app's own that is refused has the code impersonation_blocked and one of the reasons read_only, forbidden, too_long (with 414) and ended; or the code
// not_impersonating; or unavailable, 503, with Retry-After.
//
// banner.js shows the banner on pages that the server does not write, at their top or in an element understudy-banner of theirs, shows it again
// where a page has dropped it, and names the session in what the page sends: see "Tabs left open". It is a custom element, in React, in Vue (whose compiler is told so
// by isCustomElement) and without either; a policy must allow it script-src, style-src and connect-src 'self'. Where a request is refused with the
// reason "ended", load the page anew: it says what happened. examples/react is such an app.
//
// # Routes
//
// [App.Handler] answers these, on each of the app's origins or by leading to the right one:
//
//	GET  /.understudy/start      begins: link an Impersonate button here. subject is the user's sub, reason and ticket_number
//	                             fill in the form, return_to is the path that Stop leads back to. All are optional.
//	                             With on_failure=return a start that fails leads back there too.
//	POST /.understudy/start      for pages made in the browser: see "Single-page apps"
//	GET  /.understudy/stop       a page with the button, for pages that cannot have the banner
//	POST /.understudy/stop       stops. A program (Accept: application/json) gets {"stopped": …, "redirect": …}: 200, or
//	                             202 where the issuer has yet to confirm it; 400 not_impersonating where there is nothing to stop
//	GET  /.understudy/session    {"impersonating": true, "session": id, "subject": Person, "actor": Person, "mode": "read" or "write",
//	                             "expires_at": RFC 3339, "stop": path}; or {"impersonating": false}, with "ended": true where one
//	                             was here, and with "failure" where a start failed: {"reason", "title", "detail"}
//	GET  /.understudy/sign-in    signs somebody in, with return_to; [App.RequireSignIn] leads here by itself
//	POST /.understudy/sign-out   ends the app's own sign-in
//	GET  /.understudy/callback   is where the issuer answers: register it for each of the app's origins
//	POST /.understudy/backchannel-logout
//	                             takes the issuer's logout tokens: the app's backchannel_logout_uri. Not with a [Config].Liveness of one's own.
//	POST /.understudy/events     takes the issuer's security events (RFC 8935): the app's ssf_push_uri. Not with a Liveness of one's own either.
//	GET  /.understudy/banner.js  for pages made in the browser, and for tabs left open: a script element with defer, before all others
package rp
