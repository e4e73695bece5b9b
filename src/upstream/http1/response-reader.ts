/**
 * Reads HTTP/1.1 responses from pieces of bytes (RFC 9112), byte by byte where framing is concerned:
 * no search can run past the end of a piece, into what an earlier user's response has left there.
 */
import { MAX_RESPONSE_HEAD } from '../transport.ts'
import { invalidResponse } from './invalid-response.ts'
import { checkTrailers, parseResponseHead, type ResponseHead } from './response-head.ts'

/** Receives the parts of one response. */
export interface ResponseSink {
  /** Called for interim (1xx) responses too. */
  onHead(head: ResponseHead): void
  /** Bytes of the body. They are overwritten afterwards and have to be copied. */
  onBody(bytes: Buffer, from: number, to: number): void
}

/** Digits of a chunk's size: chunks are shorter than 4 GiB. */
const MAX_SIZE_DIGITS = 8

const VERSION = 'HTTP/1.1 '
const CR = 0x0d
const LF = 0x0a
const TAB = 0x09

type State = 'idle' | 'head' | 'body' | 'chunk size' | 'chunk' | 'chunk end' | 'trailers'

/** Where in the empty line at its end a head or the trailers are: after CR, CRLF, CRLF CR, CRLF CRLF. */
const IN_LINE = 0
const AFTER_CR = 1
const AFTER_CRLF = 2
const AFTER_CRLF_CR = 3
const SECTION_END = 4

/** Reads the responses of one connection. */
export class ResponseReader {
  readonly #sink: ResponseSink
  #state: State = 'idle'
  #isHead = false
  /** Of a head or trailers: the text of earlier pieces, and where in its end it is. */
  #section = ''
  #sectionBytes = 0
  #lineEnd = IN_LINE
  /** Bytes left of the body or chunk. */
  #left = 0
  /** Of a chunk's size, or of the line end behind a chunk. */
  #digits = 0
  #sawCR = false

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** Whether no response is expected, or the expected one was read completely. */
  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  /** Expects the response to a request with this method. */
  begin(method: string): void {
    this.#state = 'head'
    this.#isHead = method === 'HEAD'
    this.#beginSection(IN_LINE)
  }

  /**
   * Reads the first `length` bytes, at most to the end of the response.
   *
   * @returns the number of bytes read
   * @throws UpstreamError 502 for anything but a valid response
   */
  read(bytes: Buffer, length: number): number {
    let at = 0
    while (at < length && this.#state !== 'idle') at = this.#readPart(bytes, at, length)
    return at
  }

  /** @returns where the next part begins */
  #readPart(bytes: Buffer, at: number, length: number): number {
    switch (this.#state) {
      case 'idle':
        return at
      case 'head':
      case 'trailers':
        return this.#readSection(bytes, at, length)
      case 'body':
      case 'chunk':
        return this.#readBody(bytes, at, length)
      case 'chunk size':
        this.#readSize(bytes[at] ?? 0)
        return at + 1
      case 'chunk end':
        this.#readChunkEnd(bytes[at] ?? 0)
        return at + 1
    }
  }

  #beginSection(lineEnd: number): void {
    this.#section = ''
    this.#sectionBytes = 0
    this.#lineEnd = lineEnd
  }

  /** A head, or the trailers: lines that end in CRLF, the last one empty. */
  #readSection(bytes: Buffer, from: number, length: number): number {
    const limit = Math.min(length, from + MAX_RESPONSE_HEAD - this.#sectionBytes)
    let lineEnd = this.#lineEnd
    let at = from
    while (at < limit && lineEnd !== SECTION_END) {
      lineEnd = afterByte(lineEnd, bytes[at] ?? 0)
      at += 1
    }
    this.#lineEnd = lineEnd
    this.#section += bytes.toString('latin1', from, at)
    if (this.#state === 'head' && this.#sectionBytes < VERSION.length) checkVersion(this.#section)
    this.#sectionBytes += at - from
    if (lineEnd === SECTION_END) this.#sectionEnded(this.#section)
    else if (at < length) throw invalidResponse('too many bytes of header')
    return at
  }

  #sectionEnded(section: string): void {
    this.#beginSection(IN_LINE)
    if (this.#state === 'head') this.#headEnded(section)
    else {
      checkTrailers(section)
      this.#state = 'idle'
    }
  }

  #headEnded(section: string): void {
    const head = parseResponseHead(section, this.#isHead)
    if (head.status === 101) throw invalidResponse('a change of protocol that was not requested')
    if (head.status >= 200) this.#beginBody(head.framing)
    this.#sink.onHead(head)
  }

  #beginBody(framing: number | 'chunked'): void {
    if (framing === 'chunked') this.#beginSize()
    else if (framing === 0) this.#state = 'idle'
    else {
      this.#left = framing
      this.#state = 'body'
    }
  }

  #readBody(bytes: Buffer, from: number, length: number): number {
    const to = Math.min(length, from + this.#left)
    this.#left -= to - from
    if (this.#left === 0) {
      this.#sawCR = false
      this.#state = this.#state === 'body' ? 'idle' : 'chunk end'
    }
    this.#sink.onBody(bytes, from, to)
    return to
  }

  #beginSize(): void {
    this.#left = 0
    this.#digits = 0
    this.#sawCR = false
    this.#state = 'chunk size'
  }

  /** Hexadecimal digits and CRLF. Kubernetes' API servers send no chunk extensions. */
  #readSize(byte: number): void {
    if (this.#sawCR) {
      if (byte !== LF) throw invalidResponse('invalid end of a chunk size')
      this.#sizeEnded()
      return
    }
    if (byte === CR && this.#digits > 0) {
      this.#sawCR = true
      return
    }
    const digit = hexDigit(byte)
    this.#digits += 1
    if (digit === -1 || this.#digits > MAX_SIZE_DIGITS) throw invalidResponse('invalid chunk size')
    this.#left = this.#left * 16 + digit
  }

  #sizeEnded(): void {
    if (this.#left > 0) this.#state = 'chunk'
    else {
      this.#beginSection(AFTER_CRLF)
      this.#state = 'trailers'
    }
  }

  #readChunkEnd(byte: number): void {
    if (byte !== (this.#sawCR ? LF : CR))
      throw invalidResponse('a chunk that is longer than its size')
    if (this.#sawCR) this.#beginSize()
    else this.#sawCR = true
  }
}

/** Another protocol may wait for an answer after its first line: it is found out by the first bytes. */
function checkVersion(head: string): void {
  if (!head.startsWith(VERSION) && !VERSION.startsWith(head)) throw invalidResponse('not HTTP/1.1')
}

/** @throws UpstreamError 502 for a control character, and for CR or LF without the other */
function afterByte(lineEnd: number, byte: number): number {
  if (byte === LF) {
    if (lineEnd === AFTER_CR) return AFTER_CRLF
    if (lineEnd === AFTER_CRLF_CR) return SECTION_END
  } else if (lineEnd !== AFTER_CR && lineEnd !== AFTER_CRLF_CR) {
    if (byte === CR) return lineEnd === AFTER_CRLF ? AFTER_CRLF_CR : AFTER_CR
    if ((byte >= 0x20 && byte !== 0x7f) || byte === TAB) return IN_LINE
  }
  throw invalidResponse('a control character in the header')
}

/** -1 when the byte is not a digit. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
