/** Finds what Gatehouse's reader makes of a response otherwise than undici and `node:http` do. */
import { isDeepStrictEqual } from 'node:util'

import type { Oracles } from './oracles.ts'
import { readOwn, type ReadResponse, type Verdict } from './read-response.ts'

/** Why Gatehouse refuses what both others accept: on purpose. */
const STRICTER = [
  // The end of the connection would delimit the body, or the version is HTTP/1.0.
  /neither a length nor a transfer coding/,
  /not HTTP\/1\.1|invalid status line/,
  // Extensions, white space or more digits.
  /invalid chunk size|invalid end of a chunk size/,
  // Lengths of 16 digits; a body where there can be none.
  /invalid length/,
  /a body in a response with status/,
  /a transfer coding other than chunked/,
  /a change of protocol/,
  /a tab in a framing field/,
  // Both drop the trailers unseen, or read them as lenient as the lines of a head.
  /header line without a colon|invalid header name|control character|framing in trailers/,
  // Bytes behind the end, of which the others have made another response.
  /the connection ended/,
]

/**
 * Returns a description of the first difference that must not be, undefined if there is none: whatever
 * Gatehouse accepts, the others accept as the same response.
 */
export async function findDifference(
  { method, bytes }: { readonly method: string; readonly bytes: Buffer },
  oracles: Oracles,
): Promise<string | undefined> {
  const { verdict: own, rest } = readOwn(bytes, { method })
  // What follows would be unsolicited, and ends the connection.
  const response = bytes.subarray(0, bytes.length - rest)
  const undici = await oracles.undici(method, response)
  const nodeHttp = await oracles.nodeHttp(method, response)
  if ('refused' in own) {
    if ('refused' in undici || 'refused' in nodeHttp) return undefined
    if (STRICTER.some((reason) => reason.test(own.refused))) return undefined
    return `only Gatehouse refuses it: ${own.refused}`
  }
  return (
    differs(own, nodeHttp, 'node:http') ??
    (isExpectedOfUndici(own, undici) ? undefined : differs(own, undici, 'undici'))
  )
}

function differs(own: ReadResponse, other: Verdict, name: string): string | undefined {
  if (isDeepStrictEqual(own, other)) return undefined
  return `Gatehouse: ${show(own)}\n${name}: ${show(other)}`
}

/** undici decodes values as UTF-8, and miscounts a length with white space behind it and that of a 304. */
function isExpectedOfUndici({ status, headers }: ReadResponse, undici: Verdict): boolean {
  return (
    status === 304 ||
    /[\x80-\xff]/.test(JSON.stringify(headers)) ||
    ('refused' in undici && undici.refused.includes('does not match content-length header'))
  )
}

function show(verdict: Verdict): string {
  return JSON.stringify(verdict).slice(0, 1_000)
}
