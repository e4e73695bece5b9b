/** What the clients send: requests that never end, and requests whose responses nobody reads. */
import type { Target } from './clients.ts'

/** As much of a ClientHello as OpenSSL accepts, without its end. */
export function unfinishedHandshake(): Buffer {
  const record = (fragment: Buffer): Buffer =>
    Buffer.concat([
      Buffer.from([0x16, 3, 1, fragment.length >> 8, fragment.length & 0xff]),
      fragment,
    ])
  const first = Buffer.alloc(16_000)
  // A ClientHello of 130,815 bytes.
  Buffer.from([1, 1, 0xfe, 0xff]).copy(first)
  return Buffer.concat([
    record(first),
    ...Array.from({ length: 7 }, () => record(Buffer.alloc(16_000))),
  ])
}

/** Fields of nearly 192 KiB together. */
const LONG_FIELDS = Array.from({ length: 185 }, (_, i) => `x-${i}: ${'a'.repeat(1_000)}\r\n`).join(
  '',
)

/** A header of nearly 192 KiB, without its end. */
export function unfinishedHeader(): Buffer {
  return Buffer.from(`GET / HTTP/1.1\r\nHost: gatehouse\r\n${LONG_FIELDS}`)
}

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const FRAME = { headers: 1, settings: 4, continuation: 9 } as const
const FRAME_BYTES = 16_000

function frame(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, payload])
}

/** SETTINGS with an initial window of 0 would stop responses at once: this is the default of 64 KiB. */
const SETTINGS = frame(FRAME.settings, 0, 0, Buffer.alloc(0))

/** An HPACK integer with a prefix of 7 bits (RFC 7541 section 5.1). */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest >>= 7) bytes.push(128 | (rest & 127))
  return Buffer.from([...bytes, rest])
}

/** A field that is not added to the table, without Huffman coding. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([
    Buffer.from([0]),
    integer(name.length),
    Buffer.from(name),
    integer(value.length),
    Buffer.from(value),
  ])
}

export function http2Preface(): Buffer {
  return Buffer.concat([PREFACE, SETTINGS])
}

/** A header block as long as nghttp2 accepts, in nine frames without END_HEADERS. */
export function unfinishedHeaderBlock(): Buffer {
  const block = Buffer.concat(
    Array.from({ length: 140 }, (_, i) => field(`x-${i}`, 'a'.repeat(1_000))),
  ).subarray(0, 9 * FRAME_BYTES)
  const frames: Buffer[] = [PREFACE, SETTINGS]
  for (let at = 0; at < block.length; at += FRAME_BYTES) {
    const type = at === 0 ? FRAME.headers : FRAME.continuation
    frames.push(frame(type, 0, 1, block.subarray(at, at + FRAME_BYTES)))
  }
  return Buffer.concat(frames)
}

/** Requests of a user over one HTTP/2 connection. */
export function http2Requests({ token }: Target, path: string, count: number): Buffer {
  const block = Buffer.concat(
    Object.entries({
      ':method': 'GET',
      ':scheme': 'https',
      ':authority': 'gatehouse',
      ':path': path,
      authorization: `Bearer ${token}`,
    }).map(([name, value]) => field(name, value)),
  )
  const END = 0x5
  const requests = Array.from({ length: count }, (_, i) =>
    frame(FRAME.headers, END, 2 * i + 1, block),
  )
  return Buffer.concat([PREFACE, SETTINGS, ...requests])
}

/** A request of a user over HTTP/1.1. `isLong`: with a header of nearly 192 KiB. */
export function http1Request({ token }: Target, path: string, isLong = false): Buffer {
  const more = isLong ? LONG_FIELDS : ''
  return Buffer.from(
    `GET ${path} HTTP/1.1\r\nHost: gatehouse\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`,
  )
}
