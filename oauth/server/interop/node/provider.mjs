// oidc-provider as an issuer that people sign in at: its configuration is what its documentation shows, with one person, sam, us and
// another app as clients, a login form of a few lines, and consent given beforehand. It prints its issuer and runs until its standard input ends.
import { createServer } from 'node:http'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'

const told = JSON.parse(process.argv[2])
const sam = { sub: 'sam-there', email: 'sam@acme.test', email_verified: true, name: 'Sam There', groups: ['support'] }
const keys = await Promise.all(['RS256', 'ES256'].map(async (alg) => {
  const { privateKey } = await generateKeyPair(alg, { extractable: true })
  return { ...await exportJWK(privateKey), alg, use: 'sig', kid: alg }
}))

const getResourceServerInfo = () => ({ scope: 'impersonate', accessTokenFormat: 'jwt', accessTokenTTL: 300 })

const server = createServer()
server.listen(0, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`
  const provider = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ['a key for cookies'] },
    clients: [{
      client_id: told.client, client_secret: told.secret, redirect_uris: [told.redirect], post_logout_redirect_uris: [told.signedOut],
      backchannel_logout_uri: told.backchannel, backchannel_logout_session_required: true,
    }, { client_id: told.app, client_secret: told.secret, redirect_uris: [told.appRedirect] }],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'groups'] },
    acrValues: ['mfa'],
    fetch: (url, { dispatcher, ...options }) => fetch(url, options), // its own dispatcher refuses loopback, where we are
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, resourceIndicators: { enabled: true, getResourceServerInfo } },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (ctx, id) => id === sam.sub ? { accountId: id, claims: () => sam } : undefined,
    async loadExistingGrant (ctx) {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId })
      grant.addOIDCScope('openid email profile')
      if (ctx.oidc.params.resource) grant.addResourceScope(ctx.oidc.params.resource, 'impersonate')
      await grant.save()
      return grant
    },
  })
  provider.on('backchannel.error', (ctx, error) => console.error(error))
  const handle = provider.callback()
  server.on('request', async (req, res) => {
    if (!req.url.startsWith('/interaction/')) return handle(req, res)
    try {
      const { params } = await provider.interactionDetails(req, res)
      if (req.method === 'GET') {
        res.setHeader('Content-Type', 'text/html')
        return res.end(`<form method="post" action="${req.url}"><input name="username"><input name="password" type="password"><input name="code"></form>`)
      }
      let body = ''
      for await (const part of req) body += part
      const form = new URLSearchParams(body)
      if (form.get('username') !== 'sam' || form.get('password') !== told.password) return res.writeHead(403).end()
      const mfa = (params.acr_values ?? '').split(' ').includes('mfa')
      if (mfa && form.get('code') !== '123456') return res.writeHead(403).end()
      await provider.interactionFinished(req, res, { login: { accountId: sam.sub, ...mfa ? { acr: 'mfa' } : {} } })
    } catch (error) {
      console.error(error)
      res.writeHead(500).end()
    }
  })
  process.stdout.write(JSON.stringify({ issuer }) + '\n')
})
process.stdin.resume().on('end', () => process.exit(0))
