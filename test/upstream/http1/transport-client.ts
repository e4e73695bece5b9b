/** A pool against a fake API server, and requests whose responses are collected. */
import type { ConnectionLimits } from '../../../src/cluster/endpoint.ts'
import { endpointOf } from '../../../src/cluster/endpoint.ts'
import { createPoolTransport } from '../../../src/upstream/http1/pool.ts'
import { createSlabs, type Slabs } from '../../../src/upstream/http1/slabs.ts'
import { createTurnEnd } from '../../../src/upstream/http1/turn-end.ts'
import type { UpstreamResponseHeaders } from '../../../src/upstream/response-headers.ts'
import type {
  ResponseReceiver,
  Transport,
  UpstreamControl,
  UpstreamRequest,
} from '../../../src/upstream/transport.ts'
import type { ApiServer } from '../../support/api-server.ts'

export const LIMITS: ConnectionLimits = {
  maxConnections: 1,
  connectTimeout: 5_000,
  idleTimeout: 60_000,
  responseHeaderTimeout: 60_000,
  stallTimeout: 60_000,
  bodyTimeout: 60_000,
}

export interface PoolClient {
  readonly transport: Transport
  readonly slabs: Slabs
  /** Begins a request and collects its response. */
  send(path: string, options?: SendOptions): Collected
}

export interface SendOptions extends Partial<Omit<UpstreamRequest, 'path' | 'headers'>> {
  /** Called with each piece of the body instead of giving it back at once. */
  readonly onPiece?: (bytes: Buffer, giveBack: (() => void) | undefined) => void
  readonly onStart?: (control: UpstreamControl) => void
}

/** Creates a pool whose connections go to `api`. */
export function createPoolClient(
  api: Pick<ApiServer, 'url' | 'authority' | 'gatehouse'>,
  limits: Partial<ConnectionLimits> = {},
): PoolClient {
  const all = { ...LIMITS, ...limits }
  const slabs = createSlabs()
  const tls = {
    ca: api.authority.certificatePem,
    cert: api.gatehouse.certificatePem,
    key: api.gatehouse.keyPem,
  }
  const endpoint = endpointOf(new URL(api.url), tls, undefined)
  const transport = createPoolTransport(
    { endpoint, limits: all, maxConnections: all.maxConnections },
    { slabs, atTurnEnd: createTurnEnd() },
  )
  return {
    transport,
    slabs,
    send(path, { onPiece, onStart, ...request } = {}) {
      const collected = new Collected(onPiece, onStart)
      transport.send(
        {
          user: 'ada',
          method: 'GET',
          headers: ['host', endpoint.host],
          contentLength: undefined,
          body: undefined,
          isLongRunning: false,
          ...request,
          path,
        },
        collected,
      )
      return collected
    },
  }
}

export class Collected implements ResponseReceiver {
  control: UpstreamControl | undefined
  status = 0
  headers: UpstreamResponseHeaders = {}
  error: Error | undefined
  bytes = 0
  /** Resolves with the body, or with what came of it and `error`. */
  readonly done: Promise<string>
  readonly #onPiece: SendOptions['onPiece']
  readonly #onStart: SendOptions['onStart']
  readonly #body: Buffer[] = []
  #ends = 0
  #resolve!: (body: string) => void

  constructor(onPiece: SendOptions['onPiece'], onStart: SendOptions['onStart']) {
    this.#onPiece = onPiece
    this.#onStart = onStart
    this.done = new Promise((resolve) => (this.#resolve = resolve))
  }

  onWait(control: UpstreamControl): void {
    this.control = control
  }

  onStart(control: UpstreamControl): void {
    this.control = control
    this.#onStart?.(control)
  }

  onHead(status: number, headers: UpstreamResponseHeaders): void {
    this.status = status
    this.headers = headers
  }

  onData(chunk: Buffer, giveBack?: () => void): void {
    this.bytes += chunk.length
    if (this.#onPiece !== undefined) {
      this.#onPiece(chunk, giveBack)
      return
    }
    this.#body.push(Buffer.from(chunk))
    giveBack?.()
  }

  onEnd(last?: Buffer): void {
    if (last !== undefined) this.#body.push(last)
    this.#end()
  }

  onError(error: Error): void {
    this.error = error
    this.#end()
  }

  #end(): void {
    this.#ends += 1
    if (this.#ends > 1) throw new Error('the response ended twice')
    this.#resolve(Buffer.concat(this.#body).toString('latin1'))
  }
}
