/** Stands in for a browser on the pages: cookies by host, one request at a time, no redirect by itself. */
import type { LookupFunction } from 'node:net'

import { Agent, FormData, request } from 'undici'

import { nextForm } from './browser.ts'

export interface PageResponse {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The `Set-Cookie` fields. */
  readonly setCookies: readonly string[]
}

export interface PageClient {
  /** By host name, then by name. */
  readonly cookies: Map<string, Map<string, string>>
  ask(url: string, options?: AskOptions): Promise<PageResponse>
  /** Goes where responses lead, through the forms of the provider, until a page that is none of these. */
  follow(url: string, account: string): Promise<PageResponse>
  close(): Promise<void>
}

export interface AskOptions {
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PUT'
  readonly headers?: Readonly<Record<string, string>>
  readonly form?: string
  /** The fields of a form with files. */
  readonly multipart?: Readonly<Record<string, string | Blob>>
}

const MAX_STEPS = 20

function formData(fields: Readonly<Record<string, string | Blob>>): FormData {
  const form = new FormData()
  for (const [name, value] of Object.entries(fields)) {
    if (typeof value === 'string') form.append(name, value)
    else form.append(name, value, 'gatehouse.csr')
  }
  return form
}

export function createPageClient({
  ca,
  http2 = false,
}: {
  readonly ca: readonly string[]
  readonly http2?: boolean
}): PageClient {
  const lookup: LookupFunction = (_name, _options, callback) => {
    callback(null, [{ address: '127.0.0.1', family: 4 }])
  }
  const agent = new Agent({ allowH2: http2, connect: { ca: [...ca], lookup } })
  const cookies: PageClient['cookies'] = new Map()

  function keep(host: string, fields: readonly string[]): void {
    const jar = cookies.get(host) ?? new Map<string, string>()
    cookies.set(host, jar)
    for (const field of fields) {
      const [pair = ''] = field.split(';')
      const at = pair.indexOf('=')
      const isGone = /;\s*max-age=0(?:;|$)/i.test(field) || /expires=Thu, 01 Jan 1970/i.test(field)
      if (isGone) jar.delete(pair.slice(0, at))
      else jar.set(pair.slice(0, at), pair.slice(at + 1))
    }
  }

  async function ask(
    url: string,
    { method = 'GET', headers = {}, form, multipart }: AskOptions = {},
  ): Promise<PageResponse> {
    const { hostname } = new URL(url)
    const cookie = [...(cookies.get(hostname) ?? [])].map(([name, value]) => `${name}=${value}`)
    const response = await request(url, {
      dispatcher: agent,
      method: form === undefined && multipart === undefined ? method : 'POST',
      headers: {
        accept: 'text/html,application/xhtml+xml',
        ...(cookie.length === 0 ? {} : { cookie: cookie.join('; ') }),
        ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
        ...headers,
      },
      ...(form === undefined ? {} : { body: form }),
      ...(multipart === undefined ? {} : { body: formData(multipart) }),
    })
    const setCookies = [response.headers['set-cookie'] ?? []].flat()
    keep(hostname, setCookies)
    const text = await response.body.text()
    return { url, status: response.statusCode, headers: response.headers, text, setCookies }
  }

  return {
    cookies,
    ask,
    async follow(url, account) {
      let response = await ask(url)
      for (let step = 0; step < MAX_STEPS; step++) {
        const { location } = response.headers
        if (typeof location === 'string') {
          response = await ask(new URL(location, response.url).href)
          continue
        }
        const next = response.text.includes('class="brand"')
          ? undefined
          : nextForm(response.text, account, '')
        if (next === undefined) return response
        if (typeof next === 'string') response = await ask(new URL(next, response.url).href)
        else {
          response = await ask(new URL(next.action, response.url).href, { form: next.fields })
        }
      }
      throw new Error(`more than ${MAX_STEPS} pages from ${url}`)
    },
    close: () => agent.destroy(),
  }
}
