/** Asks a server until it answers 200. */
import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import type { CertificateFiles } from '../certs-dev/files.ts'

export interface Question {
  /** `https://127.0.0.1:PORT`. */
  url: string
  path: string
  caFile: string
  token?: string
  certificate?: CertificateFiles
}

const givenUpAfter = 60_000

/** Returns with the first 200. Throws with the last answer after a minute. */
export async function waitUntilReady(question: Question): Promise<void> {
  const began = performance.now()
  const { hostname, port } = new URL(question.url)
  const ask = asker(question)
  let last = 'nothing listens'
  while (performance.now() - began < givenUpAfter) {
    // A bare connection costs next to nothing, so it may be tried often without slowing the start.
    if (await listens(hostname, Number(port))) {
      last = await ask()
      if (last === '200') return
    }
    await sleep(2)
  }
  throw new Error(`${question.url}${question.path} was not ready within a minute: ${last}`)
}

function listens(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port })
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}

function asker({ url, path, caFile, token, certificate }: Question): () => Promise<string> {
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
