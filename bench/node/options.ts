/** The flags of the Node peers, which are the same as those of the Go peers. */
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

export interface PeerOptions {
  port: number
  /** Serving certificate, PEM. */
  cert: Buffer
  key: Buffer
  upstream: URL
  upstreamCA: Buffer
  clientCert: Buffer
  clientKey: Buffer
}

/** Reads the flags from the command line. Throws when one is missing. */
export function peerOptions(): PeerOptions {
  const names = ['listen', 'cert', 'key', 'upstream', 'upstream-ca', 'client-cert', 'client-key']
  const { values } = parseArgs({
    options: Object.fromEntries(names.map((name) => [name, { type: 'string' as const }])),
  })
  const option = (name: string): string => {
    const value = values[name]
    if (value === undefined) throw new Error(`--${name} is missing`)
    return value
  }
  return {
    port: Number(new URL(`tcp://${option('listen')}`).port),
    cert: readFileSync(option('cert')),
    key: readFileSync(option('key')),
    upstream: new URL(option('upstream')),
    upstreamCA: readFileSync(option('upstream-ca')),
    clientCert: readFileSync(option('client-cert')),
    clientKey: readFileSync(option('client-key')),
  }
}
