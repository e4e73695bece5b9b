/**
 * What a client reads at the end of a stream that Gatehouse ends, so that its user learns why: in the
 * format of what it reads anyway, and only where it cannot be mistaken for something else.
 */
import type { RequestInfo } from '../request/types.ts'
import { statusBody, type StatusError } from '../status.ts'
import type { FrameEnds } from './frame-ends.ts'
import type { UpstreamResponseHeaders } from './response-headers.ts'
import { createSpdyFrames, createWebSocketMessages } from './tunnel-frames.ts'
import type { Handshake } from './upgrade-handshake.ts'

/** Undefined where this client should read nothing, because the stream just ends. */
export type EndNotice = (reason: StatusError) => Buffer | undefined

/** For a tunnel: also where the notice may stand. */
export interface TunnelNotice {
  readonly notice: (reason: StatusError) => Buffer
  readonly frames: FrameEnds
}

/**
 * For a stream that is a response. Undefined when its format has no room for a notice: a compressed
 * body or one of a known length, protobuf, CBOR, and whatever a proxied service sends.
 */
export function responseNotice(
  info: RequestInfo,
  status: number,
  headers: UpstreamResponseHeaders,
): EndNotice | undefined {
  if (status !== 200 || !hasRoom(headers) || !info.isResourceRequest) return undefined
  const type = String(headers['content-type'] ?? '').toLowerCase()
  if (info.verb === 'watch' && info.subresource === '') {
    return type.startsWith('application/json') ? watchEvent : undefined
  }
  return isPodLog(info) && type.startsWith('text/plain') ? logLine : undefined
}

function hasRoom(headers: UpstreamResponseHeaders): boolean {
  return headers['content-encoding'] === undefined && headers['content-length'] === undefined
}

function isPodLog({ apiGroup, resource, subresource }: RequestInfo): boolean {
  return apiGroup === '' && resource === 'pods' && subresource === 'log'
}

/**
 * An error event (apimachinery/pkg/watch). A client that can only connect again, to another replica,
 * sees the end that kube-apiserver gives a watch at its timeout.
 */
function watchEvent(reason: StatusError): Buffer | undefined {
  if (reason.code >= 500) return undefined
  return Buffer.from(`{"type":"ERROR","object":${statusBody(reason).trimEnd()}}\n`)
}

/** A log has no other channel. */
function logLine(reason: StatusError): Buffer {
  return Buffer.from(`gatehouse: the log was cut off: ${oneLine(reason.message)}\n`)
}

/** Stream protocols that send a metav1.Status over their error channel (KEP-4006, remotecommand v4). */
const STATUS_PROTOCOLS: readonly string[] = ['v4.channel.k8s.io', 'v5.channel.k8s.io']

/**
 * For an upgraded connection. Undefined for SPDY other than exec and attach: a port-forward has an error
 * stream for each connection, and none for all.
 *
 * @param chosen the subprotocol or stream protocol version in the 101
 */
export function tunnelNotice(
  info: RequestInfo,
  protocol: Handshake['protocol'],
  chosen: string | undefined,
): TunnelNotice | undefined {
  const isCommand = info.subresource === 'exec' || info.subresource === 'attach'
  const hasStatus = isCommand && chosen !== undefined && STATUS_PROTOCOLS.includes(chosen)
  if (protocol === 'websocket') {
    const notice = hasStatus ? webSocketStatus : webSocketClose
    return { notice, frames: createWebSocketMessages() }
  }
  return hasStatus ? { notice: spdyStatus, frames: createSpdyFrames() } : undefined
}

const FINAL_BINARY = 0x82
const FINAL_CLOSE = 0x88
/** apimachinery/pkg/util/remotecommand: the channel of the error stream. */
const ERROR_CHANNEL = 3
/** RFC 6455 section 7.4.1. */
const NORMAL_CLOSURE = 1000
const POLICY_VIOLATION = 1008
/** A control frame carries at most 125 bytes, of which the code takes two (RFC 6455 section 5.5). */
const MAX_CLOSE_REASON = 123

function webSocketStatus(reason: StatusError): Buffer {
  const status = Buffer.from(statusBody(reason).trimEnd())
  return Buffer.concat([
    webSocketFrame(FINAL_BINARY, Buffer.concat([Buffer.of(ERROR_CHANNEL), status])),
    closeFrame(NORMAL_CLOSURE, ''),
  ])
}

function webSocketClose(reason: StatusError): Buffer {
  return closeFrame(POLICY_VIOLATION, reason.message)
}

function closeFrame(code: number, reason: string): Buffer {
  const payload = Buffer.alloc(2 + MAX_CLOSE_REASON)
  payload.writeUInt16BE(code)
  // Writes whole characters only.
  const written = payload.write(reason, 2)
  return webSocketFrame(FINAL_CLOSE, payload.subarray(0, 2 + written))
}

/** A frame of a server, which is not masked; payloads here are far below 64 KiB. */
function webSocketFrame(first: number, payload: Buffer): Buffer {
  const { length } = payload
  const head =
    length < 126 ? Buffer.of(first, length) : Buffer.of(first, 126, length >> 8, length & 0xff)
  return Buffer.concat([head, payload])
}

/** The first stream of the client: client-go opens the error stream before all others. */
const ERROR_STREAM = 1
const SPDY_FLAG_FIN = 1
const SPDY_FRAME_HEAD = 8

/** A data frame of SPDY/3.1 (section 2.2.2) that ends its stream. */
function spdyStatus(reason: StatusError): Buffer {
  const status = Buffer.from(statusBody(reason).trimEnd())
  const head = Buffer.alloc(SPDY_FRAME_HEAD)
  head.writeUInt32BE(ERROR_STREAM)
  head.writeUInt8(SPDY_FLAG_FIN, 4)
  head.writeUIntBE(status.length, 5, 3)
  return Buffer.concat([head, status])
}

function oneLine(text: string): string {
  return text.replace(/[\r\n]+/g, ' ')
}
