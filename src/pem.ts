/** PEM (RFC 7468): one bundle may hold several blocks; text between two blocks is ignored. */

export interface PemBlock {
  /** Such as `CERTIFICATE` or `X509 CRL`. */
  readonly label: string
  /** The block itself, from BEGIN to END. */
  readonly pem: string
  /** The content, decoded from base64; not checked to be DER. */
  readonly der: Uint8Array
}

const BLOCK = /-----BEGIN ([^-\n]+)-----([\s\S]*?)-----END \1-----/g

/** Every block of a bundle, whatever its label; a block without its END line is left out. */
export function pemBlocks(bundle: string): readonly PemBlock[] {
  return Array.from(bundle.matchAll(BLOCK), ([pem, label = '', base64 = '']) => ({
    label,
    pem,
    der: Buffer.from(base64, 'base64'),
  }))
}

/** The certificates of a bundle, each still PEM. */
export function certificateBlocks(bundle: string): readonly string[] {
  return blocksOf(bundle, 'CERTIFICATE').map(({ pem }) => pem)
}

/** The DER of a bundle's revocation lists. */
export function revocationLists(bundle: string): readonly Uint8Array[] {
  return blocksOf(bundle, 'X509 CRL').map(({ der }) => der)
}

function blocksOf(bundle: string, wanted: string): readonly PemBlock[] {
  return pemBlocks(bundle).filter(({ label }) => label === wanted)
}
