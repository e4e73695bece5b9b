/** Waits until a server responds with 200. */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'

import type { CertificateFiles } from '../certs-dev/files.ts'
import { acceptsConnections } from '../dev/accepts-connections.ts'

export interface ReadyProbe {
  /** `https://127.0.0.1:PORT`. */
  url: string
  path: string
  caFile: string
  token?: string
  certificate?: CertificateFiles
  /** Milliseconds between two attempts; 2 by default. */
  interval?: number
}

const TIMEOUT_MS = 60_000
const INTERVAL_MS = 2

/** Resolves with the first 200. Throws after a minute, with the last status or error. */
export async function waitUntilReady(probe: ReadyProbe): Promise<void> {
  const began = performance.now()
  const { hostname, port } = new URL(probe.url)
  const get = statusGetter(probe)
  let last = 'connection refused'
  while (performance.now() - began < TIMEOUT_MS) {
    // A TCP connection costs next to nothing, so frequent attempts do not slow down the start.
    if (await acceptsConnections(Number(port), hostname)) {
      last = await get()
      if (last === '200') return
    }
    await sleep(probe.interval ?? INTERVAL_MS)
  }
  throw new Error(`${probe.url}${probe.path} was not ready within a minute: ${last}`)
}

/** A function that sends the request of a probe and returns the status code or the error message. */
function statusGetter({
  url,
  path,
  caFile,
  token,
  certificate,
}: ReadyProbe): () => Promise<string> {
  const ca = readFileSync(caFile)
  const client =
    certificate === undefined
      ? {}
      : { cert: readFileSync(certificate.certFile), key: readFileSync(certificate.keyFile) }
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return () =>
    new Promise((resolve) => {
      const outgoing = request(new URL(path, url), { ca, ...client, headers, agent: false })
      outgoing.once('error', (error) => resolve(error.message))
      outgoing.once('response', (response) => {
        response.resume()
        response.once('close', () => resolve(String(response.statusCode)))
      })
      outgoing.end()
    })
}
