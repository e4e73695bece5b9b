/**
 * Stands in for the user's browser: opens the URL of its last argument, signs in on the pages of the
 * development identity provider as `BROWSER_ACCOUNT`, and goes wherever it is sent. Appends a line to
 * `BROWSER_LOG` for every window.
 */
import { appendFileSync, readFileSync } from 'node:fs'

import { Agent, request } from 'undici'

const MAX_STEPS = 20

export interface BrowserOptions {
  readonly ca: string
  /** The name of an account; empty: the user cancels the sign-in. */
  readonly account: string
  /** Stops before it goes to loopback, and returns that address. */
  readonly isRemote?: boolean
  /** For the page that asks for a device code. */
  readonly userCode?: string
}

/** Returns the address and the text of the page at which the browser ends. */
export async function browse(
  start: string,
  { ca, account, isRemote = false, userCode = '' }: BrowserOptions,
): Promise<{ readonly url: string; readonly status: number; readonly text: string }> {
  const dispatcher = new Agent({ connect: { ca } })
  const cookies = new Map<string, string>()
  let [url, form]: [string, string | undefined] = [start, undefined]
  try {
    for (let step = 0; step < MAX_STEPS; step++) {
      if (isRemote && url.startsWith('http://')) return { url, status: 0, text: '' }
      const { statusCode, headers, text } = await fetchPage(url, { form, cookies, dispatcher })
      const { location } = headers
      const next = typeof location === 'string' ? location : nextForm(text, account, userCode)
      if (next === undefined) return { url, status: statusCode, text }
      if (typeof next === 'string') [url, form] = [new URL(next, url).href, undefined]
      else [url, form] = [new URL(next.action, url).href, next.fields]
    }
    throw new Error(`more than ${MAX_STEPS} pages from ${start}`)
  } finally {
    await dispatcher.destroy()
  }
}

/** Fetches a page, or submits a form to it, and keeps its cookies. */
async function fetchPage(
  url: string,
  {
    form,
    cookies,
    dispatcher,
  }: {
    readonly form: string | undefined
    readonly cookies: Map<string, string>
    readonly dispatcher: Agent
  },
) {
  const { statusCode, headers, body } = await request(url, {
    dispatcher,
    method: form === undefined ? 'GET' : 'POST',
    headers: {
      cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
      ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
    },
    ...(form === undefined ? {} : { body: form }),
  })
  const text = await body.text()
  for (const cookie of [headers['set-cookie'] ?? []].flat()) {
    const [pair = ''] = cookie.split(';')
    const at = pair.indexOf('=')
    cookies.set(pair.slice(0, at), pair.slice(at + 1))
  }
  return { statusCode, headers, text }
}

/** What the user does on a page of the provider; undefined on any other page. */
export function nextForm(
  html: string,
  account: string,
  userCode: string,
): string | { readonly action: string; readonly fields: string } | undefined {
  const action = /<form[^>]*action="([^"]+)"/.exec(html)?.[1]?.replaceAll('&amp;', '&')
  const abort = /href="([^"]+\/abort)"/.exec(html)?.[1]
  if (action === undefined) return undefined
  if (account === '' && abort !== undefined) return abort
  const hidden = [...html.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)]
  const fields = new URLSearchParams(hidden.map(([, name = '', value = '']) => [name, value]))
  if (html.includes('name="login"')) {
    fields.set('login', account)
    fields.set('password', process.env['BROWSER_PASSWORD'] ?? 'any')
  }
  if (html.includes('name="user_code"')) fields.set('user_code', userCode)
  return { action, fields: fields.toString() }
}

if (import.meta.main) {
  const { BROWSER_LOG: log = '', BROWSER_ACCOUNT: account = '', BROWSER_CA: ca = '' } = process.env
  const url = process.argv.at(-1) ?? ''
  appendFileSync(log, `${url}\n`)
  await browse(url, { ca: readFileSync(ca, 'utf8'), account })
}
