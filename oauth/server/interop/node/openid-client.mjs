import * as client from 'openid-client'
import { accessToken, exchange, impersonate, privateKey, report, returnType, ticketType, told, visit } from './house.mjs'

const insecure = { execute: [client.allowInsecureRequests] } // loopback
const auth = told.secret ? client.ClientSecretBasic(told.secret) : client.PrivateKeyJwt(await privateKey())
const app = await client.discovery(new URL(told.issuer), told.client, undefined, auth, insecure)
const api = await client.discovery(new URL(told.issuer), 'api', undefined, client.ClientSecretBasic(told.apiSecret), insecure)
const proof = told.dpop ? { DPoP: client.getDPoPHandle(app, await client.randomDPoPKeyPair('ES256')) } : {}

const verifier = client.randomPKCECodeVerifier()
const [state, nonce] = [client.randomState(), client.randomNonce()]
const request = {
  redirect_uri: told.callback, scope: told.scope, state, nonce,
  code_challenge: await client.calculatePKCECodeChallenge(verifier), code_challenge_method: 'S256',
}
const url = told.par ? await client.buildAuthorizationUrlWithPAR(app, request, proof) : client.buildAuthorizationUrl(app, request)
const actor = await client.authorizationCodeGrant(app, await visit(url),
  { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true }, {}, proof)
const me = await client.fetchUserInfo(app, actor.access_token, actor.claims().sub, proof)

const second = client.randomPKCECodeVerifier()
const ticket = await impersonate(await client.calculatePKCECodeChallenge(second), client.randomState())
const started = await client.genericGrantRequest(app, exchange, {
  subject_token: ticket, subject_token_type: ticketType, actor_token: actor.access_token, actor_token_type: accessToken,
  requested_token_type: accessToken, code_verifier: second,
}, proof)
const during = await client.tokenIntrospection(api, started.access_token)
const them = await client.fetchUserInfo(app, started.access_token, 'john', proof)

const stopped = await client.genericGrantRequest(app, exchange,
  { subject_token: started.understudy_return_token, subject_token_type: returnType, requested_token_type: accessToken }, proof)
const after = await client.tokenIntrospection(api, started.access_token)
const mine = await client.tokenIntrospection(api, stopped.access_token)
const refreshed = told.refresh ? await client.refreshTokenGrant(app, actor.refresh_token, {}, proof) : undefined
await client.tokenRevocation(app, stopped.access_token)
const revoked = await client.tokenIntrospection(api, stopped.access_token)

report({ actor, claims: actor.claims(), me, started, during, them, stopped, after, mine, refreshed, revoked, metadata: app.serverMetadata() })
