/**
 * A TLS connection that writes exactly the given bytes and reads the responses, for requests that no
 * client library would send. HTTP/2 frames are in http2-frames.ts.
 */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

import type { KeyPair } from '../../certs-dev/pki.ts'

/** The longest wait for anything, which only a failing test reaches. */
const TIMEOUT_MS = 60_000

export interface RawTarget {
  readonly port: number
  /** The CA that signed the server's certificate, PEM. */
  readonly ca: string
}

export interface RawOptions {
  /** The client certificate. */
  readonly certificate?: KeyPair | undefined
  /** Default: `http/1.1`. */
  readonly alpn?: string
  /** The TLS session to resume. */
  readonly session?: Buffer
  /** The source address: another address of the loopback network is another client. */
  readonly localAddress?: string
}

/** Bytes, or text in latin1: one character per byte. */
export type Bytes = string | Buffer

export interface RawConnection {
  readonly socket: TLSSocket
  /** The received bytes that have not been taken. */
  readonly received: Buffer
  /** Whether the peer has closed or half-closed the connection. */
  readonly ended: boolean
  write(bytes: Bytes): void
  /** Calls `take` with the received bytes until it does not return undefined, and takes its bytes. */
  read<T>(take: (received: Buffer, ended: boolean) => Taken<T> | undefined): Promise<T>
  /** Waits until the peer has closed the connection; returns the bytes that were not taken. */
  rest(): Promise<Buffer>
  destroy(): void
  /** Aborts the connection with a TCP RST. */
  reset(): void
}

export interface Taken<T> {
  readonly value: T
  /** How many of the received bytes it consists of. */
  readonly bytes: number
}

/** Opens a connection. Rejects when the handshake fails. */
export async function connectRaw(
  target: RawTarget,
  { certificate, alpn = 'http/1.1', session, localAddress }: RawOptions = {},
): Promise<RawConnection> {
  const tcp = connectTcp({
    port: target.port,
    host: '127.0.0.1',
    ...(localAddress === undefined ? {} : { localAddress }),
  })
  const socket = connect({
    socket: tcp,
    ca: target.ca,
    ALPNProtocols: [alpn],
    ...(session === undefined ? {} : { session }),
    ...(certificate === undefined
      ? {}
      : { cert: certificate.certificatePem, key: certificate.keyPem }),
  })
  socket.setNoDelay(true)
  await once(socket, 'secureConnect')
  return wrap(socket, tcp)
}

function wrap(socket: TLSSocket, tcp: Socket): RawConnection {
  let received = Buffer.alloc(0)
  let ended = false
  let wake: () => void = () => undefined
  let changed = new Promise<void>((resolve) => (wake = resolve))
  const notify = (): void => {
    const woken = wake
    changed = new Promise<void>((resolve) => (wake = resolve))
    woken()
  }
  const over = (): void => {
    ended = true
    notify()
  }
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    notify()
  })
  socket.on('end', over)
  socket.on('close', over)
  // An aborted connection is one of the outcomes that tests expect.
  socket.on('error', over)

  const connection: RawConnection = {
    socket,
    get received() {
      return received
    },
    get ended() {
      return ended
    },
    write(bytes) {
      if (socket.writable) socket.write(bytes, 'latin1')
    },
    async read(take) {
      for (;;) {
        const taken = take(received, ended)
        if (taken !== undefined) {
          received = received.subarray(taken.bytes)
          return taken.value
        }
        if (ended) throw new Error(`the connection ended; received: ${excerpt(received)}`)
        await orTimeout(changed, () => `no more bytes came; received: ${excerpt(received)}`)
      }
    },
    rest: () =>
      connection.read((bytes, isOver) =>
        isOver ? { value: bytes, bytes: bytes.length } : undefined,
      ),
    destroy() {
      socket.destroy()
    },
    reset() {
      tcp.resetAndDestroy()
    },
  }
  return connection
}

export interface RawResponse {
  readonly status: number
  /** The status line and the header lines. */
  readonly head: string
  readonly body: string
  /** False if the connection ended before the body was complete. */
  readonly whole: boolean
}

/** The value of a header; undefined if the response does not have it. */
export function responseHeader({ head }: RawResponse, name: string): string | undefined {
  const prefix = `${name.toLowerCase()}:`
  const line = head.split('\r\n').find((one) => one.toLowerCase().startsWith(prefix))
  return line?.slice(prefix.length).trim()
}

/** Reads the next final HTTP/1.1 response, framed by its length, by chunks or by the end of the connection. */
export async function readResponse(
  connection: RawConnection,
  { isHead = false }: { readonly isHead?: boolean } = {},
): Promise<RawResponse> {
  return connection.read<RawResponse>((received, ended) => {
    const text = received.toString('latin1')
    let start = 0
    for (;;) {
      const headEnd = text.indexOf('\r\n\r\n', start)
      if (headEnd === -1) return undefined
      const head = text.slice(start, headEnd)
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
      if (Number.isNaN(status)) throw new Error(`not an HTTP response: ${excerpt(received)}`)
      start = headEnd + 4
      if (status < 200 && status !== 101) continue
      const body = hasNoBody(status, isHead)
        ? { value: '', bytes: 0, whole: true }
        : takeBody(head, text.slice(start), ended)
      if (!body.whole && !ended) return undefined
      const { value, bytes, whole } = body
      return { value: { status, head, body: value, whole }, bytes: start + bytes }
    }
  })
}

function hasNoBody(status: number, isHead: boolean): boolean {
  return isHead || status === 101 || status === 204 || status === 304
}

/** Reads all responses until the connection ends. */
export async function readResponses(connection: RawConnection): Promise<RawResponse[]> {
  const responses: RawResponse[] = []
  for (;;) {
    const more = await connection.read((received, ended) =>
      received.length > 0 || ended ? { value: received.length > 0, bytes: 0 } : undefined,
    )
    if (!more) return responses
    responses.push(await readResponse(connection))
  }
}

interface TakenBody extends Taken<string> {
  readonly whole: boolean
}

function takeBody(head: string, text: string, ended: boolean): TakenBody {
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1]
  if (length !== undefined) {
    const value = text.slice(0, Number(length))
    return { value, bytes: value.length, whole: value.length === Number(length) }
  }
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return takeChunks(text)
  return { value: text, bytes: text.length, whole: ended }
}

function takeChunks(text: string): TakenBody {
  let value = ''
  let at = 0
  for (;;) {
    const lineEnd = text.indexOf('\r\n', at)
    if (lineEnd === -1) return { value, bytes: text.length, whole: false }
    const size = parseInt(text.slice(at, lineEnd), 16)
    at = lineEnd + 2
    if (text.length < at + size + 2) return { value, bytes: text.length, whole: false }
    if (size === 0) return { value, bytes: at + 2, whole: true }
    value += text.slice(at, at + size)
    at += size + 2
  }
}

async function orTimeout(work: Promise<void>, message: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message())), TIMEOUT_MS)
  })
  try {
    await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

function excerpt(bytes: Buffer): string {
  return JSON.stringify(bytes.subarray(0, 400).toString('latin1'))
}
