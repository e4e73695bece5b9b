/** Which client CAs give their certificates names of their own, and under which of them a certificate is. */
import { X509Certificate } from 'node:crypto'

import { certificateBlocks } from '../../pem.ts'
import { unauthorized } from '../bearer.ts'
import { rejected } from '../identity-guard.ts'
import {
  createCertificateNames,
  prefixesOf,
  takenName,
  type CertificateNames,
  type NameOptions,
  type NamePrefixes,
} from './certificate-names.ts'
import { linksAbove, MAX_CHAIN } from './chain-links.ts'

/** The CAs of one file, and how the users of their certificates are named. */
export interface AuthorityBundle {
  /** PEM. */
  readonly ca: string
  readonly names: NameOptions | FrontProxyCA
}

/** A CA of front proxies: the user is named in the headers of each request. */
export type FrontProxyCA = 'frontProxy'

/**
 * Finds how the user of a certificate is named. It takes the certificates that a client sent, its own
 * first, which TLS has accepted.
 *
 * @throws StatusError 401 when no CA is found, or CAs of more than one file
 */
export type FindNames = (chain: readonly X509Certificate[]) => CertificateNames | FrontProxyCA

interface Authority {
  readonly fingerprints: ReadonlySet<string>
  readonly names: CertificateNames | FrontProxyCA
}

/**
 * Creates the search. The CAs that count are the first trust anchors on the paths up from the certificate:
 * with an intermediate CA in one file and its root in another one, the file of the intermediate. Which of
 * several paths TLS has verified is not known, and a client can send more certificates, so all paths must
 * lead to the same file.
 */
export function createFindNames(bundles: readonly AuthorityBundle[]): FindNames {
  const anchors = bundles.flatMap(({ ca }) => parse(ca))
  const authorities = bundles.map(({ ca, names }): Authority => {
    const others = bundles.map((other) => other.names).filter((other) => other !== names)
    return {
      fingerprints: new Set(parse(ca).map(({ fingerprint256 }) => fingerprint256)),
      names: names === 'frontProxy' ? names : withoutNamesOf(others, createCertificateNames(names)),
    }
  })
  return (chain) => {
    const [certificate, ...sent] = chain.slice(0, MAX_CHAIN)
    const found =
      certificate === undefined ? [] : nearest(certificate, [...anchors, ...sent], authorities)
    const [authority, ...others] = found
    if (authority === undefined) {
      throw unauthorized('client certificate: its CA is no longer configured')
    }
    if (others.length > 0) {
      throw unauthorized(
        'client certificate: it is below CAs of several files, which name users in different ways',
      )
    }
    return authority.names
  }
}

function parse(ca: string): X509Certificate[] {
  return certificateBlocks(ca).map((pem) => new X509Certificate(pem))
}

/** The authorities of the first anchors above a certificate, on every path; of an anchor, its own. */
function nearest(
  certificate: X509Certificate,
  candidates: readonly X509Certificate[],
  authorities: readonly Authority[],
): readonly Authority[] {
  const of = ({ fingerprint256 }: X509Certificate): readonly Authority[] =>
    authorities.filter(({ fingerprints }) => fingerprints.has(fingerprint256))
  const links = linksAbove(certificate, candidates)
  const found = new Set<Authority>(of(certificate))
  const seen = new Set<string>()
  const below = found.size > 0 ? [] : [certificate]
  // Clients may send cycles.
  for (const current of below) {
    for (const { certificate: one, issuer } of links) {
      if (one.fingerprint256 !== current.fingerprint256) continue
      const own = of(issuer)
      for (const authority of own) found.add(authority)
      if (own.length === 0 && !seen.has(issuer.fingerprint256)) below.push(issuer)
      seen.add(issuer.fingerprint256)
    }
  }
  return [...found]
}

/** The prefixes of the names of CAs; users of front proxies may have any name without one. */
export function prefixesOfAll(names: readonly AuthorityBundle['names'][]): readonly NamePrefixes[] {
  return names.map((one) => (one === 'frontProxy' ? { username: '', groups: '' } : prefixesOf(one)))
}

/** Refuses names of other CAs: those of a CA without a prefix may begin with the prefix of another one. */
function withoutNamesOf(
  others: readonly AuthorityBundle['names'][],
  names: CertificateNames,
): CertificateNames {
  const prefixes = prefixesOfAll(others)
  return (certificate, subject) => {
    const user = names(certificate, subject)
    const problem = takenName(user, prefixes)
    if (problem !== undefined) throw rejected(problem)
    return user
  }
}
