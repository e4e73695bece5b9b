/** `/livez`, `/readyz` and `/metrics`: plain HTTP on a separate listener, never on that of the users. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

import type { Metrics } from '../metrics.ts'
import { oneLine } from '../one-line.ts'
import { limitConnections } from './connection-reserve.ts'

/** A named readiness check. */
export interface Check {
  readonly name: string
  /** Returns the problem, or undefined if the check passes. */
  readonly run: () => string | undefined
  /** A problem that does not fail the check; shown by `?verbose`. */
  readonly note?: () => string | undefined
}

export interface ProbesOptions {
  readonly address: string
  readonly port: number
  readonly checks: () => readonly Check[]
}

export interface ProbesEffects {
  readonly metrics: Pick<Metrics, 'registry' | 'ready' | 'checkOk'>
}

export interface Probes {
  readonly address: { readonly host: string; readonly port: number }
  close(): Promise<void>
}

const MAX_CONNECTIONS = 100

/** Probes send their request at once; the kubelet opens a connection for each. */
const LIMITS = {
  maxHeaderSize: 8_192,
  headersTimeout: 2_000,
  requestTimeout: 2_000,
  keepAliveTimeout: 2_000,
  connectionsCheckingInterval: 500,
} as const

/** Starts the listener; rejects when the address is not available. */
export async function startProbes(
  options: ProbesOptions,
  { metrics }: ProbesEffects,
): Promise<Probes> {
  const server = createServer(LIMITS, (request, response) => {
    respond(options.checks, metrics, request, response).catch(() => response.destroy())
  })
  // Also applies to a client that does not read its response.
  server.timeout = 5_000
  limitConnections(server, MAX_CONNECTIONS)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port, options.address, resolve)
  })
  const bound = server.address() as AddressInfo
  return {
    address: { host: bound.address, port: bound.port },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function respond(
  checks: ProbesOptions['checks'],
  metrics: ProbesEffects['metrics'],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://probes')
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  if (!isRead) {
    send(response, 405, 'only GET and HEAD are allowed\n')
    return
  }
  switch (url.pathname) {
    case '/livez':
      // Alive while the event loop runs: a restart would not fix anything that a check finds.
      send(response, 200, 'ok\n')
      return
    case '/readyz': {
      const { code, text } = readiness(checks(), url.searchParams.has('verbose'))
      send(response, code, text)
      return
    }
    case '/metrics':
      recordReadiness(checks(), metrics)
      send(response, 200, await metrics.registry.metrics(), metrics.registry.contentType)
      return
    default:
      send(response, 404, 'not found; the paths are /livez /readyz?verbose /metrics\n')
  }
}

/** Sets the readiness metrics, so that alerts see the failures that probes see, and the notes. */
function recordReadiness(
  checks: readonly Check[],
  { ready, checkOk }: Pick<Metrics, 'ready' | 'checkOk'>,
): void {
  // Removes issuers that are no longer configured.
  checkOk.reset()
  let failed = false
  for (const { name, run, note } of checks) {
    const problem = run()
    failed ||= problem !== undefined
    checkOk.set({ check: name }, (problem ?? note?.()) === undefined ? 1 : 0)
  }
  ready.set(failed ? 0 : 1)
}

/** In kube-apiserver's format: one line per check, `[+]name ok` or `[-]name failed: problem`. */
export function readiness(
  checks: readonly Check[],
  verbose: boolean,
): { readonly code: number; readonly text: string } {
  const lines: string[] = []
  let failed = false
  for (const { name, run, note } of checks) {
    const [problem, remark] = [run(), note?.()].map(shown)
    if (problem !== undefined) failed = true
    const ok = remark === undefined ? `[+]${name} ok` : `[+]${name} ok (${remark})`
    lines.push(problem === undefined ? ok : `[-]${name} failed: ${problem}`)
  }
  lines.push(failed ? 'readyz check failed' : 'readyz check passed')
  return { code: failed ? 503 : 200, text: failed || verbose ? `${lines.join('\n')}\n` : 'ok\n' }
}

/** A problem may contain text of another server; a second line could imitate another check. */
function shown(text: string | undefined): string | undefined {
  return text === undefined ? undefined : oneLine(text)
}

function send(response: ServerResponse, code: number, text: string, type?: string): void {
  response.writeHead(code, {
    'Content-Type': type ?? 'text/plain; charset=utf-8',
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(text)
}
