/** Reads responses with Gatehouse's reader, in any pieces, for comparison. */
import { UpstreamError } from '../../../src/upstream/errors.ts'
import { ResponseReader } from '../../../src/upstream/http1/response-reader.ts'

export interface ReadResponse {
  readonly status: number
  /** The values of each field, by lower-case name. */
  readonly headers: Readonly<Record<string, readonly string[]>>
  /** In latin1. */
  readonly body: string
}

/** What a reader made of some bytes; `refused` says why it takes them for no complete response. */
export type Verdict = ReadResponse | { readonly refused: string }

export interface Reading {
  readonly verdict: Verdict
  /** Bytes behind the response. */
  readonly rest: number
  /** Statuses of interim responses. */
  readonly interim: readonly number[]
}

/** What an earlier response has left in the buffer: a whole response, for a search that goes too far. */
const EARLIER = Buffer.from(
  '\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother'.repeat(2_000),
  'latin1',
)

/**
 * Reads the bytes in pieces that end at `splits`, then the end of the connection.
 *
 * @param method of the request
 */
export function readOwn(
  bytes: Buffer,
  { splits = [], method = 'GET' }: { splits?: readonly number[]; method?: string } = {},
): Reading {
  const interim: number[] = []
  const body: Buffer[] = []
  let status = 0
  let headers: ReadResponse['headers'] = {}
  const reader = new ResponseReader({
    onHead(head) {
      if (head.status < 200) interim.push(head.status)
      else {
        status = head.status
        headers = listed(head.headers)
      }
    },
    onBody: (landing, from, to) => void body.push(Buffer.from(landing.subarray(from, to))),
  })
  reader.begin(method)
  const landing = Buffer.alloc(16_384)
  let read = 0
  try {
    for (const piece of pieces(bytes, splits)) {
      EARLIER.copy(landing)
      piece.copy(landing)
      if (!reader.isIdle) read += reader.read(landing, piece.length)
    }
  } catch (error) {
    if (!(error instanceof UpstreamError)) throw error
    return { verdict: { refused: (error.cause as Error).message }, rest: 0, interim }
  }
  const verdict = reader.isIdle
    ? { status, headers, body: Buffer.concat(body).toString('latin1') }
    : { refused: 'the connection ended' }
  return { verdict, rest: bytes.length - read, interim }
}

function* pieces(bytes: Buffer, splits: readonly number[]): Generator<Buffer> {
  let from = 0
  for (const split of [...splits.toSorted((a, b) => a - b), bytes.length]) {
    for (; from < split; from += Math.min(16_384, split - from)) {
      yield bytes.subarray(from, Math.min(split, from + 16_384))
    }
  }
}

function listed(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, [value ?? []].flat()]),
  )
}
