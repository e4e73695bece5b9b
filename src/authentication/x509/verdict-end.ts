/**
 * Until when the verdict on a client's certificates holds. TLS judges them once, and a connection may last
 * longer than a CA or a revocation list that the verdict relies on.
 */
import { X509Certificate } from 'node:crypto'

import { certificateBlocks } from '../../pem.ts'
import { linksAbove, MAX_CHAIN } from './chain-links.ts'
import type { ClientTrust } from './client-ca.ts'
import { parseRevocationLists, subjectOf } from './revocation.ts'

/**
 * Takes the certificates that a client sent, its own first, which TLS has just accepted. Returns
 * milliseconds since the epoch; `-Infinity` if no path is found.
 */
export type VerdictEnd = (chain: readonly X509Certificate[]) => number

/**
 * Makes the function for a client CA bundle and its lists. A path to a CA of the bundle ends with the first
 * of its certificates, and of the newest lists of its issuers, that expires. Of several paths the one that
 * lasts longest counts, since a new handshake would find it.
 */
export function createVerdictEnd({ ca, crl }: ClientTrust): VerdictEnd {
  let files: { bundle: readonly X509Certificate[]; endOfList: EndOfList } | undefined
  return (chain) => {
    // Read with the first certificate: no start has to wait for it.
    files ??= {
      bundle: certificateBlocks(ca).map((pem) => new X509Certificate(pem)),
      endOfList: crl === undefined ? () => Infinity : createEndOfList(crl),
    }
    return longestEnd(chain.slice(0, MAX_CHAIN), files.bundle, files.endOfList)
  }
}

function longestEnd(
  [certificate, ...sent]: readonly X509Certificate[],
  bundle: readonly X509Certificate[],
  endOfList: EndOfList,
): number {
  if (certificate === undefined) return -Infinity
  const ends = new Map(bundle.map((anchor) => [anchor.fingerprint256, expiryOf(anchor)]))
  const endOf = ({ fingerprint256 }: X509Certificate) => ends.get(fingerprint256) ?? -Infinity
  const links = linksAbove(certificate, [...bundle, ...sent])
  // Each pass carries the ends one certificate further down. Clients may send cycles.
  for (let isChanged = true; isChanged;) {
    isChanged = false
    for (const { certificate: below, issuer } of links) {
      const end = Math.min(expiryOf(below), endOfList(issuer), endOf(issuer))
      if (!(end > endOf(below))) continue
      ends.set(below.fingerprint256, end)
      isChanged = true
    }
  }
  return endOf(certificate)
}

function expiryOf(certificate: X509Certificate): number {
  return certificate.validToDate.getTime()
}

/** When the newest list of a CA expires, in milliseconds since the epoch; `-Infinity` without a list. */
type EndOfList = (issuer: X509Certificate) => number

function createEndOfList(crl: string): EndOfList {
  try {
    const lists = parseRevocationLists(crl)
    return (issuer) => {
      const name = subjectOf(issuer)
      const ends = lists.filter((list) => list.issuer === name)
      return Math.max(...ends.map(({ nextUpdate = Infinity }) => nextUpdate))
    }
  } catch {
    return () => -Infinity
  }
}
