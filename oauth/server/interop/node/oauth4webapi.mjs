import * as oauth from 'oauth4webapi'
import { accessToken, exchange, impersonate, privateKey, report, returnType, ticketType, told, visit } from './house.mjs'

const http = { [oauth.allowInsecureRequests]: true } // loopback
const issuer = new URL(told.issuer)
const as = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, http))
const app = { client_id: told.client }
const auth = told.secret ? oauth.ClientSecretBasic(told.secret) : oauth.PrivateKeyJwt(await privateKey())
const api = { client_id: 'api' }
const apiAuth = oauth.ClientSecretBasic(told.apiSecret)
const proof = told.dpop ? { ...http, DPoP: oauth.DPoP(app, await oauth.generateKeyPair('ES256')) } : http

// again sends a request once more where the server wants another nonce (RFC 9449 §8).
async function again(send, read) {
  try {
    return await read(await send())
  } catch (error) {
    if (!told.dpop || !oauth.isDPoPNonceError(error)) throw error
    return read(await send())
  }
}

const verifier = oauth.generateRandomCodeVerifier()
const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
const request = {
  client_id: told.client, response_type: 'code', redirect_uri: told.callback, scope: told.scope, state, nonce,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
}
const url = new URL(as.authorization_endpoint)
if (told.par) {
  const pushed = await again(() => oauth.pushedAuthorizationRequest(as, app, auth, request, proof),
    (response) => oauth.processPushedAuthorizationResponse(as, app, response))
  url.search = new URLSearchParams({ client_id: told.client, request_uri: pushed.request_uri })
} else {
  url.search = new URLSearchParams(request)
}
const back = oauth.validateAuthResponse(as, app, await visit(url), state)
const actor = await again(() => oauth.authorizationCodeGrantRequest(as, app, auth, back, told.callback, verifier, proof),
  (response) => oauth.processAuthorizationCodeResponse(as, app, response, { expectedNonce: nonce, requireIdToken: true }))
const claims = oauth.getValidatedIdTokenClaims(actor)
const userinfo = (token, sub) => again(() => oauth.userInfoRequest(as, app, token, proof), (response) => oauth.processUserInfoResponse(as, app, sub, response))
const me = await userinfo(actor.access_token, claims.sub)

const swap = (parameters) => again(() => oauth.genericTokenEndpointRequest(as, app, auth, exchange, { requested_token_type: accessToken, ...parameters }, proof),
  (response) => oauth.processGenericTokenEndpointResponse(as, app, response))
const introspect = async (token) => oauth.processIntrospectionResponse(as, api, await oauth.introspectionRequest(as, api, apiAuth, token, http))
const second = oauth.generateRandomCodeVerifier()
const ticket = await impersonate(await oauth.calculatePKCECodeChallenge(second), oauth.generateRandomState())
const started = await swap({
  subject_token: ticket, subject_token_type: ticketType, actor_token: actor.access_token, actor_token_type: accessToken, code_verifier: second,
})
const during = await introspect(started.access_token)
const them = await userinfo(started.access_token, 'john')

const stopped = await swap({ subject_token: started.understudy_return_token, subject_token_type: returnType })
const after = await introspect(started.access_token)
const mine = await introspect(stopped.access_token)
const refreshed = told.refresh ? await again(() => oauth.refreshTokenGrantRequest(as, app, auth, actor.refresh_token, proof),
  (response) => oauth.processRefreshTokenResponse(as, app, response)) : undefined
await oauth.processRevocationResponse(await oauth.revocationRequest(as, app, auth, stopped.access_token, http))
const revoked = await introspect(stopped.access_token)

report({ actor, claims, me, started, during, them, stopped, after, mine, refreshed, revoked, metadata: as })
