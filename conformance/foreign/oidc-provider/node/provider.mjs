// npm's oidc-provider with an exchange: the library has none, and its documentation (Custom Grant Types) shows how to register one. The handler below is such a one,
// of a few lines: who acts proves it by an access token of theirs, and the subject_token is the id of a user. All around it is the library's: who the client is, which
// parameters may come twice, PKCE, tokens, introspection, revocation, DPoP. It prints its issuer and runs until its standard input ends.
import { createServer } from 'node:http'
import { errors, Provider } from 'oidc-provider'
import { applyDpopBinding } from 'oidc-provider/lib/helpers/grant_common.js'
import { checkDpopRequired, resolveRequestedResources, validateClientScope, validateDpop } from 'oidc-provider/lib/helpers/grants.js'

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'

const { clients, people, resources, userID } = JSON.parse(process.argv[2])
const acts = new WeakMap() // by access token: who acts

const getResourceServerInfo = (ctx, resource) => {
  if (!resources[resource]) throw new errors.InvalidTarget()
  return { scope: resources[resource], accessTokenTTL: 300 }
}

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    cookies: { keys: ['a key for cookies'] },
    clients,
    claims: { openid: ['sub'], profile: ['name'] },
    scopes: ['openid', 'profile', 'offline_access'],
    extraTokenClaims: (ctx, token) => acts.get(token),
    features: {
      devInteractions: { enabled: false }, introspection: { enabled: true, allowedPolicy: (ctx, client, token) => client.clientId === token.clientId },
      revocation: { enabled: true }, pushedAuthorizationRequests: { enabled: true }, dPoP: { enabled: true },
      resourceIndicators: { enabled: true, getResourceServerInfo, useGrantedResource: () => true },
    },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, id) => people[id] && { accountId: id, claims: () => ({ sub: id, name: id }) },
    async loadExistingGrant (ctx) { // consent is given before
      const { client, session } = ctx.oidc
      const before = session.grantIdFor(client.clientId)
      const living = before && await provider.Grant.find(before) // a code that comes twice ends it
      if (living) return living
      const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
      grant.addOIDCScope('openid profile offline_access')
      for (const [resource, scope] of Object.entries(resources)) grant.addResourceScope(resource, scope)
      await grant.save()
      return grant
    },
  })

  provider.registerGrantType(exchange, async (ctx) => {
    const { client, params } = ctx.oidc
    if (client.clientAuthMethod === 'none') throw new errors.UnauthorizedClient()
    for (const name of ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type']) {
      if (!params[name]) throw new errors.InvalidRequest(`missing required parameter ${name}`)
    }
    if (params.subject_token_type !== userID) throw new errors.InvalidRequest('unknown subject_token_type')
    if (params.actor_token_type !== accessToken) throw new errors.InvalidRequest('unknown actor_token_type')
    if (![undefined, accessToken].includes(params.requested_token_type)) throw new errors.InvalidRequest('unknown requested_token_type')
    if (params.audience !== undefined) throw new errors.InvalidTarget()
    const actor = await provider.AccessToken.find(params.actor_token)
    if (!actor?.isValid || actor.clientId !== client.clientId || actor.extra?.act) throw new errors.InvalidRequest('actor_token does not hold')
    const subject = Object.hasOwn(people, params.subject_token) && people[params.subject_token]
    if (!subject || subject.protected || params.subject_token === actor.accountId || !people[actor.accountId]?.impersonates) throw new errors.InvalidRequest('this must not be')

    const proof = await validateDpop(provider, ctx)
    checkDpopRequired(provider, ctx, proof)
    if (actor.jkt && actor.jkt !== proof?.thumbprint) throw new errors.InvalidRequest('actor_token is bound to another key')
    const [resource, more] = await resolveRequestedResources(provider, ctx)
    if (!resource || more) throw new errors.InvalidTarget()
    const scopes = [...validateClientScope(provider, ctx)]
    const token = new provider.AccessToken({ accountId: params.subject_token, client, gty: 'token_exchange' })
    token.resourceServer = resource
    token.scope = scopes.filter((scope) => resource.scope.split(' ').includes(scope)).join(' ') || undefined
    acts.set(token, { act: { sub: actor.accountId, iss: issuer } })
    await applyDpopBinding(provider, ctx, proof, token)
    ctx.oidc.entity('AccessToken', token)
    ctx.body = { access_token: await token.save(), issued_token_type: accessToken, token_type: token.tokenType, expires_in: token.expiration, scope: token.scope }
  }, ['audience', 'resource', 'scope', 'requested_token_type', 'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type'], ['audience', 'resource'])

  const handle = provider.callback()
  server.on('request', async (req, res) => {
    if (!req.url.startsWith('/interaction/')) return handle(req, res)
    try {
      await provider.interactionDetails(req, res)
      if (req.method === 'GET') {
        res.setHeader('Content-Type', 'text/html').setHeader('Cache-Control', 'no-store').setHeader('Referrer-Policy', 'no-referrer').setHeader('X-Frame-Options', 'DENY')
        return res.end(`<form method="post" action="${req.url}"><input name="username"><input name="password" type="password"></form>`)
      }
      let body = ''
      for await (const part of req) body += part
      const form = new URLSearchParams(body)
      const [id, person] = Object.entries(people).find(([, p]) => p.login === form.get('username')) ?? []
      if (!person || form.get('password') !== person.password) return res.writeHead(403).end()
      await provider.interactionFinished(req, res, { login: { accountId: id } })
    } catch (error) {
      res.writeHead(error.statusCode ?? 500).end()
    }
  })
  provider.on('server_error', (ctx, error) => console.error(error))
  process.stdout.write(JSON.stringify({ issuer }) + '\n')
})
process.stdin.resume().on('end', () => process.exit(0))
