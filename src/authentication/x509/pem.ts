/** Finds blocks in PEM bundles (RFC 7468); text between blocks is ignored. */

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g
const REVOCATION_LIST = /-----BEGIN X509 CRL-----([^-]+)-----END X509 CRL-----/g

/** Returns a bundle's certificates, each as PEM. */
export function certificateBlocks(bundle: string): readonly string[] {
  return bundle.match(CERTIFICATE) ?? []
}

/** Returns a bundle's revocation lists, each as DER. */
export function revocationLists(bundle: string): readonly Uint8Array[] {
  return Array.from(bundle.matchAll(REVOCATION_LIST), ([, base64 = '']) =>
    Buffer.from(base64, 'base64'),
  )
}
