/**
 * What `kubelogin get-token` does, for the options of docs/users.md: the authorization code flow with
 * PKCE (RFC 6749, RFC 7636), and an ExecCredential on stdout. It is its own browser: it follows the
 * redirects of the identity provider, and fills in its form with `KUBELOGIN_FORM`.
 */
import { createHash, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { decodeJwt } from 'jose'
import { Agent, request, type Dispatcher } from 'undici'

const REDIRECT_URI = 'http://localhost:8000'
const MAX_PAGES = 10

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'oidc-issuer-url': { type: 'string' },
    'oidc-client-id': { type: 'string' },
    'oidc-extra-scope': { type: 'string', multiple: true },
    'certificate-authority': { type: 'string' },
  },
})
const issuer = values['oidc-issuer-url'] ?? ''
const clientId = values['oidc-client-id'] ?? ''
const caFile = values['certificate-authority']
if (positionals.join() !== 'get-token') throw new Error('the command must be get-token')

const ca = caFile === undefined ? {} : { ca: await readFile(caFile) }
const dispatcher = new Agent({ connect: ca })
const cookies = new Map<string, string>()
const form = JSON.parse(process.env['KUBELOGIN_FORM'] ?? '{}') as Record<string, string>

const discovery = (await json(await send(`${issuer}/.well-known/openid-configuration`))) as {
  authorization_endpoint: string
  token_endpoint: string
}
const [state, nonce, verifier] = [secret(), secret(), secret()]
const authorization = new URL(discovery.authorization_endpoint)
authorization.search = new URLSearchParams({
  response_type: 'code',
  client_id: clientId,
  redirect_uri: REDIRECT_URI,
  scope: [...(values['oidc-extra-scope'] ?? []), 'openid'].join(' '),
  state,
  nonce,
  code_challenge: createHash('sha256').update(verifier).digest('base64url'),
  code_challenge_method: 'S256',
}).toString()
const callback = await signIn(authorization.href)
if (callback.get('state') !== state) throw new Error('the state is another one')
const tokens = (await json(
  await send(discovery.token_endpoint, {
    grant_type: 'authorization_code',
    client_id: clientId,
    redirect_uri: REDIRECT_URI,
    code: callback.get('code') ?? '',
    code_verifier: verifier,
  }),
)) as { id_token: string }
const claims = decodeJwt(tokens.id_token)
if (claims['nonce'] !== nonce) throw new Error('the nonce is another one')
const expirationTimestamp = new Date((claims.exp ?? 0) * 1000).toISOString()
const credential = {
  apiVersion: 'client.authentication.k8s.io/v1',
  kind: 'ExecCredential',
  status: { token: tokens.id_token, expirationTimestamp },
}
process.stdout.write(JSON.stringify(credential))
await dispatcher.close()

/** Goes from page to page until the identity provider redirects back; returns what it adds then. */
async function signIn(start: string): Promise<URLSearchParams> {
  let url = start
  let fields: Record<string, string> | undefined
  for (let i = 0; i < MAX_PAGES; i++) {
    const response = await send(url, fields)
    const page = await response.body.text()
    const { location } = response.headers
    const action = /<form[^>]*\saction="([^"]+)"/.exec(page)?.[1]?.replaceAll('&amp;', '&')
    const next = typeof location === 'string' ? location : action
    if (next === undefined) throw new Error(`${url}: ${response.statusCode} ${page}`)
    fields = next === location ? undefined : form
    url = new URL(next, url).href
    if (url.startsWith(REDIRECT_URI)) return resultOf(new URL(url).searchParams)
  }
  throw new Error(`no redirect to ${REDIRECT_URI} within ${MAX_PAGES} pages`)
}

function resultOf(parameters: URLSearchParams): URLSearchParams {
  const error = parameters.get('error')
  if (error === null) return parameters
  throw new Error(`${error}: ${parameters.get('error_description') ?? ''}`)
}

/** Sends a GET, or a POST of form fields, with the cookies so far. */
async function send(
  url: string,
  fields?: Record<string, string>,
): Promise<Dispatcher.ResponseData> {
  const cookie = [...cookies].map((pair) => pair.join('=')).join('; ')
  const response = await request(url, {
    dispatcher,
    method: fields === undefined ? 'GET' : 'POST',
    headers: {
      ...(cookie === '' ? {} : { cookie }),
      ...(fields === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    body: fields === undefined ? null : new URLSearchParams(fields).toString(),
  })
  for (const line of [response.headers['set-cookie'] ?? []].flat()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    cookies.set(name, value)
  }
  return response
}

async function json(response: Dispatcher.ResponseData): Promise<unknown> {
  const text = await response.body.text()
  if (response.statusCode !== 200) throw new Error(`${response.statusCode} ${text}`)
  return JSON.parse(text)
}

function secret(): string {
  return randomBytes(32).toString('base64url')
}
