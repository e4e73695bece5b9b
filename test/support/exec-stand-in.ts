/**
 * The server's side of an exec in both protocols of kubectl, which loses nothing of its own: it sends its
 * last words as soon as input arrives, and closes with the rest of the input unread, as when a command
 * ends early. Between kubectl and the kubelet, kube-apiserver loses such words now and then.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { constants, createDeflate } from 'node:zlib'

import type { ApiServer } from './api-server.ts'

/** What a command leaves behind. */
export interface LastWords {
  readonly stderr: string
  readonly exitCode: number
}

/** Makes a fake API server respond to all that kubectl requests for an exec in any pod. */
export function standInForExec(api: ApiServer, lastWords: LastWords): void {
  api.handler = ({ url = '' }, response) => {
    response.writeHead(200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(DISCOVERY.get(url.split('?')[0] ?? '') ?? POD))
  }
  api.upgradeHandler = (request, socket) => speakAndLeave(request, socket, lastWords)
}

const DISCOVERY: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ['/api', { kind: 'APIVersions', versions: ['v1'] }],
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: [] }],
  [
    '/api/v1',
    {
      kind: 'APIResourceList',
      groupVersion: 'v1',
      resources: [
        { name: 'pods', singularName: 'pod', namespaced: true, kind: 'Pod', verbs: ['get'] },
      ],
    },
  ],
])

const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: { containers: [{ name: 'web' }] },
  status: { phase: 'Running' },
}

function speakAndLeave(
  request: IncomingMessage,
  socket: Duplex,
  { stderr, exitCode }: LastWords,
): void {
  const status = JSON.stringify({
    status: 'Failure',
    reason: 'NonZeroExitCode',
    message: `command terminated with non-zero exit code: ${exitCode}`,
    details: { causes: [{ reason: 'ExitCode', message: String(exitCode) }] },
  })
  const serve = request.headers.upgrade === 'websocket' ? overWebSocket : overSPDY
  serve(request, socket, (frames) => {
    socket.pause()
    socket.write(frames({ stderr, status }), () => socket.destroy())
  })
}

interface Words {
  readonly stderr: string
  readonly status: string
}

/** Called with the frames of the last words, at the first input. */
type Leave = (frames: (words: Words) => Buffer) => void

/** RFC 6455, section 4.2.2. */
const WEBSOCKET_GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** KEP-4006: v5.channel.k8s.io, a channel number before each message. */
function overWebSocket({ headers }: IncomingMessage, socket: Duplex, leave: Leave): void {
  const accept = createHash('sha1')
    .update(`${headers['sec-websocket-key'] ?? ''}${WEBSOCKET_GUID}`)
    .digest('base64')
  switchProtocols(socket, [
    'Upgrade: websocket',
    `Sec-WebSocket-Accept: ${accept}`,
    'Sec-WebSocket-Protocol: v5.channel.k8s.io',
  ])
  socket.once('data', () =>
    leave(({ stderr, status }) =>
      Buffer.concat([
        messageOn(2, stderr),
        messageOn(3, status),
        // A close frame with the code 1000.
        Buffer.from([0x88, 2, 0x03, 0xe8]),
      ]),
    ),
  )
}

function messageOn(channel: number, text: string): Buffer {
  const payload = Buffer.from(`${String.fromCharCode(channel)}${text}`)
  const head = Buffer.from([0x82, 126, 0, 0])
  head.writeUInt16BE(payload.length, 2)
  return Buffer.concat([head, payload])
}

/** In the order in which kubectl opens them (client-go, tools/remotecommand/v2.go, createStreams). */
const STREAMS = { error: 1, stdin: 3, stdout: 5, stderr: 7 } as const
const SYN_STREAM = 1
const FIN = 1

/** SPDY/3.1 with v4.channel.k8s.io: a stream for each of stdin, stdout, stderr and the status. */
function overSPDY(_: IncomingMessage, socket: Duplex, leave: Leave): void {
  switchProtocols(socket, ['Upgrade: SPDY/3.1', 'X-Stream-Protocol-Version: v4.channel.k8s.io'])
  // One stream of compressed headers for all replies. All are empty.
  const compressor = createDeflate({ flush: constants.Z_SYNC_FLUSH })
  const replies: number[] = []
  compressor.on('data', (block: Buffer) => {
    const id = Buffer.alloc(4)
    id.writeUInt32BE(replies.shift() ?? 0)
    socket.write(spdyFrame(0x8003_0002, 0, Buffer.concat([id, block])))
  })
  let received = Buffer.alloc(0)
  let hasLeft = false
  socket.on('data', (chunk: Buffer) => {
    received = Buffer.concat([received, chunk])
    while (!hasLeft && received.length >= 8) {
      const length = received.readUIntBE(5, 3)
      if (received.length < 8 + length) return
      const first = received.readUInt32BE(0)
      if (first === 0x8003_0000 + SYN_STREAM) {
        replies.push(received.readUInt32BE(8))
        compressor.write(Buffer.alloc(4))
      } else if (first === STREAMS.stdin && length > 0) {
        hasLeft = true
        leave(({ stderr, status }) =>
          Buffer.concat([
            spdyFrame(STREAMS.stdout, FIN, Buffer.alloc(0)),
            spdyFrame(STREAMS.stderr, FIN, Buffer.from(stderr)),
            spdyFrame(STREAMS.error, FIN, Buffer.from(status)),
          ]),
        )
      }
      received = received.subarray(8 + length)
    }
  })
}

/** @param first the type of a control frame, or the stream of a data frame */
function spdyFrame(first: number, flags: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(8)
  head.writeUInt32BE(first)
  head.writeUInt8(flags, 4)
  head.writeUIntBE(payload.length, 5, 3)
  return Buffer.concat([head, payload])
}

function switchProtocols(socket: Duplex, headers: readonly string[]): void {
  const lines = ['HTTP/1.1 101 Switching Protocols', 'Connection: Upgrade', ...headers]
  socket.write(`${lines.join('\r\n')}\r\n\r\n`)
}
