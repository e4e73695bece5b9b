/**
 * A TLS connection that writes the bytes it is given and nothing else, and reads what comes back:
 * for requests that no client library would send. HTTP/2 frames are in http2-frames.ts.
 */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect, type TLSSocket } from 'node:tls'

import type { KeyPair } from '../../certs-dev/pki.ts'

/** Longest wait for anything; only a broken test ever waits so long. */
const PATIENCE_MS = 30_000

export interface RawTarget {
  readonly port: number
  /** PEM of the CA that signed the server's certificate. */
  readonly ca: string
}

export interface RawOptions {
  /** Client certificate. */
  readonly certificate?: KeyPair | undefined
  /** `http/1.1` unless said otherwise. */
  readonly alpn?: string
  /** TLS session to resume. */
  readonly session?: Buffer
  /** Where to come from: another address of the loopback network is another client. */
  readonly localAddress?: string
}

/** Bytes as text are latin1: one character a byte. */
export type Bytes = string | Buffer

export interface RawConnection {
  readonly socket: TLSSocket
  /** Everything received and not yet taken. */
  readonly received: Buffer
  /** Whether the peer has closed or half-closed. */
  readonly ended: boolean
  write(bytes: Bytes): void
  /** Takes `take` of what was received as soon as it gives something else than undefined. */
  read<T>(take: (received: Buffer, ended: boolean) => Taken<T> | undefined): Promise<T>
  /** Resolves when the peer has closed; gives what was not taken. */
  rest(): Promise<Buffer>
  destroy(): void
  /** Breaks off with a TCP RST. */
  reset(): void
}

export interface Taken<T> {
  readonly value: T
  /** How many bytes it was made of. */
  readonly bytes: number
}

/** Opens one. Rejects when the handshake fails. */
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
  // The peer cutting a connection is one of the answers that tests look for.
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
        await orTooLate(changed, () => `nothing more came; received: ${excerpt(received)}`)
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

export interface RawAnswer {
  readonly status: number
  /** Status line and header lines. */
  readonly head: string
  readonly body: string
  /** False when the connection ended before the body was whole. */
  readonly whole: boolean
}

/** Value of an answer's header; undefined when it is not there. */
export function answerHeader({ head }: RawAnswer, name: string): string | undefined {
  const prefix = `${name.toLowerCase()}:`
  const line = head.split('\r\n').find((one) => one.toLowerCase().startsWith(prefix))
  return line?.slice(prefix.length).trim()
}

/** The next HTTP/1.1 answer (interim ones are skipped); framed by length, chunks or the end. */
export async function readAnswer(
  connection: RawConnection,
  { isHead = false }: { readonly isHead?: boolean } = {},
): Promise<RawAnswer> {
  return connection.read<RawAnswer>((received, ended) => {
    const text = received.toString('latin1')
    let start = 0
    for (;;) {
      const headEnd = text.indexOf('\r\n\r\n', start)
      if (headEnd === -1) return undefined
      const head = text.slice(start, headEnd)
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1])
      if (Number.isNaN(status)) throw new Error(`no HTTP answer: ${excerpt(received)}`)
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

/** Everything that a connection still gives until it ends, answer by answer. */
export async function readAnswers(connection: RawConnection): Promise<RawAnswer[]> {
  const answers: RawAnswer[] = []
  for (;;) {
    const more = await connection.read((received, ended) =>
      received.length > 0 || ended ? { value: received.length > 0, bytes: 0 } : undefined,
    )
    if (!more) return answers
    answers.push(await readAnswer(connection))
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

async function orTooLate(work: Promise<void>, message: () => string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(message())), PATIENCE_MS)
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
