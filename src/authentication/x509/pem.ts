/** Blocks of PEM bundles (RFC 7468); whatever stands between two of them is a remark. */

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const REVOCATION_LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g

/** The certificates of a bundle, each still PEM. */
export function certificateBlocks(bundle: string): readonly string[] {
  return bundle.match(CERTIFICATE) ?? []
}

/** The DER of a bundle's revocation lists. */
export function revocationLists(bundle: string): readonly Uint8Array[] {
  return Array.from(bundle.matchAll(REVOCATION_LIST), ([, base64 = '']) =>
    Buffer.from(base64, 'base64'),
  )
}
