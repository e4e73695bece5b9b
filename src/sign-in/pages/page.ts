/** What a page consists of, and how it is written. */
import type { AuditRecord } from '../../audit/record.ts'
import type { Exchange } from '../../http/exchange.ts'
import { inspectHeaders, type InspectedHeaders } from '../../http/inspect.ts'
import type { Frame, Handled, Handler, Observed } from '../../pipeline/frame.ts'
import { StatusError } from '../../status.ts'
import { requireBodyless, respond } from '../own-response.ts'
import { html, type Html } from './html.ts'
import { layout } from './layout.ts'
import { PAGES_PATH } from './paths.ts'

export interface PageRequest {
  readonly exchange: Exchange
  readonly record: AuditRecord
  readonly observed: Observed
  readonly headers: InspectedHeaders
  /** With its `?`; empty without one. */
  readonly query: string
}

export interface PageResult {
  readonly code: number
  /** Name, value, name, value; `Content-Type` is among them. */
  readonly headers: readonly string[]
  readonly body: string
}

/** Serves a request for a page. Throws StatusError to refuse it: browsers get a page that says why. */
export type PageHandler = (request: PageRequest) => Promise<PageResult> | PageResult

export interface PageHandlerOptions {
  readonly displayName: string
  readonly ownHeaders: Frame['ownHeaders']
  /** Undefined: the handler refuses what it does not serve. */
  readonly method: 'GET' | 'POST' | undefined
}

/** Makes a handler of the frame. */
export function pageHandler(
  { displayName, ownHeaders, method }: PageHandlerOptions,
  handle: PageHandler,
): Handler {
  return async (exchange: Exchange, record: AuditRecord, observed: Observed): Promise<Handled> => {
    observed.verb = exchange.request.method.toLowerCase()
    const [, query = ''] = /^[^?]*(\?.*)?$/.exec(exchange.request.rawTarget) ?? []
    try {
      if (method !== undefined) requireMethod(exchange, method)
      const headers = inspectHeaders(exchange.request.rawHeaders)
      const result = await handle({ exchange, record, observed, headers, query })
      return await respond(exchange, record, ownHeaders, result)
    } catch (error) {
      if (!(error instanceof StatusError) || !readsHtml(exchange)) throw error
      throw error.with({ representation: errorPage(displayName, error, record.auditID) })
    }
  }
}

/** A page. It is never stored, shown in a frame, or given anything from elsewhere. */
export function htmlPage(code: number, body: Html, more: readonly string[] = []): PageResult {
  const headers = ['Content-Type', 'text/html; charset=utf-8', ...PAGE_HEADERS, ...more]
  return { code, headers, body: body.text }
}

/** A page of Gatehouse, or of the issuer. */
export function redirect(location: string, more: readonly string[] = []): PageResult {
  return { code: 303, headers: ['Location', location, ...PAGE_HEADERS, ...more], body: '' }
}

/** No script at all, no inline style, no frame; forms only to Gatehouse itself. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "img-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join('; ')

const PAGE_HEADERS = [
  ...['Cache-Control', 'no-store'],
  ...['Content-Security-Policy', CONTENT_SECURITY_POLICY],
  ...['X-Frame-Options', 'DENY'],
  ...['Cross-Origin-Opener-Policy', 'same-origin'],
  ...['Cross-Origin-Resource-Policy', 'same-origin'],
  // The issuer must not see the address of the callback. Within the pages, forms need their origin.
  ...['Referrer-Policy', 'same-origin'],
]

/** @throws StatusError 405, or 400 for a GET with a body */
function requireMethod(exchange: Exchange, method: 'GET' | 'POST'): void {
  const { request } = exchange
  const isAllowed = request.method === method || (method === 'GET' && request.method === 'HEAD')
  if (!isAllowed) {
    const Allow = method === 'GET' ? 'GET, HEAD' : method
    throw new StatusError(
      'MethodNotAllowed',
      `${request.method} is not allowed here: use ${method}`,
      {
        headers: { Allow },
        closeConnection: request.hasBody,
      },
    )
  }
  if (method === 'GET') requireBodyless(exchange)
}

function readsHtml(exchange: Exchange): boolean {
  return exchange.header('accept')?.includes('text/html') === true
}

const TITLES: Readonly<Record<number, string>> = {
  401: 'Not accepted',
  403: 'Not allowed',
  404: 'Not found',
  429: 'Too many requests',
  502: 'The issuer did not respond as expected',
  503: 'Not available',
}

function errorPage(displayName: string, error: StatusError, auditID: string): PageResult {
  const title = TITLES[error.code] ?? 'This did not work'
  const body = layout(
    { displayName, title },
    html`<h1>${title}</h1>
      <p class="problem">${sentence(error.message)}</p>
      <p><a class="button" href="${PAGES_PATH}">Back to the start page</a></p>
      <p class="hint">For your Gatehouse administrator: audit ID <code>${auditID}</code></p>`,
  )
  return htmlPage(error.code, body)
}

/** A message begins in lower case and has no period, since kubectl prints it behind others. */
function sentence(message: string): string {
  return `${message.charAt(0).toUpperCase()}${message.slice(1)}.`
}
