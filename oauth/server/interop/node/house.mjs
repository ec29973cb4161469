// What a flow is told on the command line, and the browser that it asks for on its standard output: one JSON value a line each way.
import { createInterface } from 'node:readline'
import { importPKCS8 } from 'jose'

export const told = JSON.parse(process.argv[2])
export const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
export const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
export const ticketType = 'urn:understudy:params:oauth:token-type:ticket'
export const returnType = 'urn:understudy:params:oauth:token-type:return_token'

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

// browse asks for what only a person in a browser can do, and gives the URL that the issuer sent them back to.
export async function browse(request) {
  process.stdout.write(JSON.stringify(request) + '\n')
  const { value } = await lines.next()
  return new URL(JSON.parse(value))
}

export const visit = (url) => browse({ visit: String(url) })

// impersonate gives the ticket that the impersonate page hands over for john.
export async function impersonate(challenge, state) {
  const back = await browse({ impersonate: { code_challenge: challenge, state } })
  if (back.searchParams.get('state') !== state || back.searchParams.get('iss') !== told.issuer) throw new Error(`sent back to ${back}`)
  return back.searchParams.get('ticket')
}

// report is the last that a flow says: what the other side compares.
export function report(result) {
  process.stdout.write(JSON.stringify({ report: result }) + '\n')
  process.exit(0)
}

export const privateKey = () => importPKCS8(told.key, 'ES256')
