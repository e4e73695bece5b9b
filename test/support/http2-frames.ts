/** Builds and parses HTTP/2 frames (RFC 9113), with literal header fields only (RFC 7541 section 6.2.2). */
import { connectRaw, type RawConnection, type RawOptions, type RawTarget } from './raw.ts'

/** The client's connection preface. */
export const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'

/** Frame types (RFC 9113 section 6). */
export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const

/** Frame flags; ACK and END_STREAM have the same bit, of different frame types. */
export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8 } as const

/** Error codes (RFC 9113 section 7). */
export const ERROR = { NO_ERROR: 0, PROTOCOL_ERROR: 1, CANCEL: 8, ENHANCE_YOUR_CALM: 11 } as const

/** A frame. Its type may be one that is not in `TYPE`, which a peer must ignore. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

export type Fields = readonly (readonly [name: string, value: string])[]

/** A frame of any type; a payload in text is latin1. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer | string = '',
): Buffer {
  const bytes = Buffer.from(payload as string, 'latin1')
  const head = Buffer.alloc(9)
  head.writeUIntBE(bytes.length, 0, 3)
  head.writeUInt8(type, 3)
  head.writeUInt8(flags, 4)
  head.writeUInt32BE(stream, 5)
  return Buffer.concat([head, bytes])
}

/** Encodes each field as name and value in plain bytes, without indexing, whatever the bytes are. */
export function headerBlock(fields: Fields): Buffer {
  return Buffer.concat(
    fields.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]),
  )
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  return Buffer.concat([prefixedInteger(bytes.length), bytes])
}

/** An integer with a prefix of 7 bits (RFC 7541 section 5.1). */
function prefixedInteger(value: number): Buffer {
  if (value < 127) return Buffer.from([value])
  const bytes = [127]
  let rest = value - 127
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128)
  bytes.push(rest)
  return Buffer.from(bytes)
}

/** A SETTINGS frame, with values by identifier. */
export function settings(values: Readonly<Record<number, number>> = {}): Buffer {
  const entries = Object.entries(values)
  const payload = Buffer.alloc(entries.length * 6)
  entries.forEach(([id, value], i) => {
    payload.writeUInt16BE(Number(id), i * 6)
    payload.writeUInt32BE(value, i * 6 + 2)
  })
  return frame(TYPE.SETTINGS, 0, 0, payload)
}

/** Identifiers of settings (RFC 9113 section 6.5.2, RFC 8441). */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  ENABLE_CONNECT_PROTOCOL: 8,
} as const

/** A HEADERS frame, by default with END_HEADERS and END_STREAM. */
export function headers(
  stream: number,
  fields: Fields,
  flags: number = FLAG.END_HEADERS | FLAG.END_STREAM,
): Buffer {
  return frame(TYPE.HEADERS, flags, stream, headerBlock(fields))
}

/** Largest payload of a frame, unless the peer allows more. */
const MAX_PAYLOAD = 16_384

/** A whole request without a body, in as many frames as it needs. */
export function headerFrames(stream: number, fields: Fields): Buffer[] {
  const block = headerBlock(fields)
  const frames: Buffer[] = []
  for (let at = 0; at < block.length; at += MAX_PAYLOAD) {
    const isLast = at + MAX_PAYLOAD >= block.length
    const flags = (at === 0 ? FLAG.END_STREAM : 0) | (isLast ? FLAG.END_HEADERS : 0)
    const type = at === 0 ? TYPE.HEADERS : TYPE.CONTINUATION
    frames.push(frame(type, flags, stream, block.subarray(at, at + MAX_PAYLOAD)))
  }
  return frames
}

/** A DATA frame. */
export function data(stream: number, bytes: string | Buffer, endStream = false): Buffer {
  return frame(TYPE.DATA, endStream ? FLAG.END_STREAM : 0, stream, bytes)
}

/** An RST_STREAM frame. */
export function reset(stream: number, code: number = ERROR.CANCEL): Buffer {
  return frame(TYPE.RST_STREAM, 0, stream, integer(code))
}

/** A WINDOW_UPDATE frame. */
export function windowUpdate(stream: number, increment: number): Buffer {
  return frame(TYPE.WINDOW_UPDATE, 0, stream, integer(increment))
}

/** A PING frame; `bytes` are its 8 opaque bytes. */
export function ping(bytes = 'pingping'): Buffer {
  return frame(TYPE.PING, 0, 0, bytes)
}

/** A GOAWAY frame without debug data. */
export function goaway(lastStream: number, code: number = ERROR.NO_ERROR): Buffer {
  return frame(TYPE.GOAWAY, 0, 0, Buffer.concat([integer(lastStream), integer(code)]))
}

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export interface Http2Response {
  /** Undefined if the stream was reset or the session ended before a response. */
  readonly status: number | undefined
  readonly body: string
  /** The error code of RST_STREAM; undefined if the stream ended otherwise. */
  readonly reset: number | undefined
  /** The error code of GOAWAY, if there was one. */
  readonly goaway: number | undefined
  /** False if there was no END_STREAM. */
  readonly whole: boolean
}

export interface Http2Connection {
  readonly raw: RawConnection
  /** The frames so far. SETTINGS and PING are acknowledged unless `silent` is set. */
  readonly frames: readonly Frame[]
  send(...frames: readonly Buffer[]): void
  /** Waits until the frames so far match; fails when the connection ends before. */
  until(matches: (frames: readonly Frame[]) => boolean): Promise<void>
  /** Waits for the end of a stream and returns its response. */
  response(stream: number): Promise<Http2Response>
  /** Waits for the end of the connection; returns the error code of the last GOAWAY. */
  end(): Promise<number | undefined>
}

export interface Http2Options extends RawOptions {
  /** Does not acknowledge SETTINGS and PING. */
  readonly silent?: boolean
  readonly settings?: Readonly<Record<number, number>>
}

/**
 * Opens a session and sends preface and SETTINGS. These disable the peer's dynamic header table, so
 * that its responses can be decoded without one.
 */
export async function connectHttp2(
  target: RawTarget,
  { silent = false, settings: own = {}, ...options }: Http2Options = {},
): Promise<Http2Connection> {
  const raw = await connectRaw(target, { ...options, alpn: 'h2' })
  const frames: Frame[] = []
  raw.write(
    Buffer.concat([Buffer.from(PREFACE), settings({ [SETTING.HEADER_TABLE_SIZE]: 0, ...own })]),
  )

  const take = async (): Promise<boolean> => {
    const next = await raw.read<Frame | undefined>((received, ended) => {
      const taken = takeFrame(received)
      if (taken !== undefined) return taken
      return ended ? { value: undefined, bytes: received.length } : undefined
    })
    if (next === undefined) return false
    frames.push(next)
    if (silent || (next.flags & FLAG.ACK) !== 0) return true
    if (next.type === TYPE.SETTINGS) raw.write(frame(TYPE.SETTINGS, FLAG.ACK, 0))
    if (next.type === TYPE.PING) raw.write(frame(TYPE.PING, FLAG.ACK, 0, next.payload))
    return true
  }

  const connection: Http2Connection = {
    raw,
    frames,
    send: (...more) => raw.write(Buffer.concat(more)),
    async until(matches) {
      while (!matches(frames)) {
        if (!(await take())) throw new Error(`the session ended; frames: ${describe(frames)}`)
      }
    },
    async response(stream) {
      for (;;) {
        const response = answerOf(frames, stream)
        if (response.whole || response.reset !== undefined) return response
        if (!(await take())) return answerOf(frames, stream)
      }
    },
    async end() {
      while (await take());
      return goawayOf(frames)
    },
  }
  return connection
}

function takeFrame(received: Buffer): { value: Frame; bytes: number } | undefined {
  if (received.length < 9) return undefined
  const length = received.readUIntBE(0, 3)
  if (received.length < 9 + length) return undefined
  return {
    value: {
      type: received.readUInt8(3),
      flags: received.readUInt8(4),
      stream: received.readUInt32BE(5) & 0x7fffffff,
      payload: received.subarray(9, 9 + length),
    },
    bytes: 9 + length,
  }
}

function answerOf(frames: readonly Frame[], stream: number): Http2Response {
  const own = frames.filter((one) => one.stream === stream)
  const rst = own.find(({ type }) => type === TYPE.RST_STREAM)
  return {
    status: own
      .filter(({ type }) => type === TYPE.HEADERS)
      .map(({ payload }) => statusOf(payload))
      .find((status) => status === undefined || status >= 200),
    body: Buffer.concat(
      own.filter(({ type }) => type === TYPE.DATA).map(({ payload }) => payload),
    ).toString('latin1'),
    reset: rst?.payload.readUInt32BE(0),
    goaway: goawayOf(frames),
    whole: own.some(
      ({ type, flags }) =>
        (type === TYPE.DATA || type === TYPE.HEADERS) && (flags & FLAG.END_STREAM) !== 0,
    ),
  }
}

function goawayOf(frames: readonly Frame[]): number | undefined {
  return frames.findLast(({ type }) => type === TYPE.GOAWAY)?.payload.readUInt32BE(4)
}

/** Static table entries 8 to 14 (RFC 7541 appendix A). */
const STATIC_STATUS = [200, 204, 206, 304, 400, 404, 500]

/** `:status` comes first; its three digits are Huffman codes (RFC 7541 appendix B) or plain. */
function statusOf(block: Buffer): number | undefined {
  let at = 0
  while (((block[at] ?? 0) & 0xe0) === 0x20) at++
  const first = block[at] ?? 0
  if ((first & 0x80) !== 0) return STATIC_STATUS[(first & 0x7f) - 8]
  const length = block[at + 1] ?? 0
  const value = block.subarray(at + 2, at + 2 + (length & 0x7f))
  return Number((length & 0x80) === 0 ? value.toString('latin1') : huffmanDigits(value))
}

/** `0` to `2` are 5 bits from 00000; `3` to `9` are 6 bits from 011001. */
function huffmanDigits(bytes: Buffer): string {
  let bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('')
  let digits = ''
  while (digits.length < 3 && bits.length >= 5) {
    const short = parseInt(bits.slice(0, 5), 2)
    if (short <= 2) {
      digits += String(short)
      bits = bits.slice(5)
    } else {
      digits += String(parseInt(bits.slice(0, 6), 2) - 0b011001 + 3)
      bits = bits.slice(6)
    }
  }
  return digits
}

function describe(frames: readonly Frame[]): string {
  return frames.map(({ type, flags, stream }) => `${type}/${flags}@${stream}`).join(' ')
}
