/** What undici and `node:http` make of the same bytes of a response. */
import { request } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'

import { Client } from 'undici'

import type { Verdict } from './read-response.ts'

export interface Oracles {
  undici(method: string, bytes: Buffer): Promise<Verdict>
  nodeHttp(method: string, bytes: Buffer): Promise<Verdict>
  close(): Promise<void>
}

/** Starts a server that sends what an oracle is to read, and then ends the connection. */
export async function startOracles(): Promise<Oracles> {
  let next: Uint8Array = Buffer.alloc(0)
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(next))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    async undici(method, bytes) {
      next = bytes
      return readByUndici(method, port)
    },
    async nodeHttp(method, bytes) {
      next = bytes
      return readByNode(method, port)
    },
    close: () => new Promise((resolve) => server.close(() => resolve())),
  }
}

async function readByUndici(method: string, port: number): Promise<Verdict> {
  const client = new Client(`http://127.0.0.1:${port}`, { pipelining: 1 })
  try {
    return await new Promise<Verdict>((resolve) => {
      let status = 0
      let headers: Record<string, readonly string[]> = {}
      const body: Buffer[] = []
      client.dispatch(
        { method, path: '/' },
        {
          onRequestStart: () => undefined,
          onResponseStart(_controller, code, fields) {
            if (code < 200) return
            status = code
            headers = Object.fromEntries(
              Object.entries(fields).map(([name, value]) => [
                name,
                [value ?? []].flat().map(trimmed),
              ]),
            )
          },
          onResponseData: (_controller, chunk) => void body.push(chunk),
          onResponseEnd: () =>
            resolve({ status, headers, body: Buffer.concat(body).toString('latin1') }),
          onResponseError: (_controller, error) => resolve({ refused: error.message }),
        },
      )
    })
  } finally {
    await client.destroy()
  }
}

/** undici keeps white space behind a value, which is not part of it (RFC 9110 section 5.5). */
function trimmed(value: string): string {
  return value.replace(/[ \t]+$/, '')
}

function readByNode(method: string, port: number): Promise<Verdict> {
  return new Promise((resolve) => {
    const sent = request({ host: '127.0.0.1', port, method, agent: false }, (message) => {
      const body: Buffer[] = []
      message.on('data', (chunk: Buffer) => body.push(chunk))
      message.on('error', (error) => resolve({ refused: error.message }))
      message.on('end', () => {
        if (!message.complete) return
        const headers: Record<string, string[]> = Object.create(null) as Record<string, string[]>
        for (let i = 0; i < message.rawHeaders.length; i += 2) {
          const name = (message.rawHeaders[i] ?? '').toLowerCase()
          ;(headers[name] ??= []).push(message.rawHeaders[i + 1] ?? '')
        }
        resolve({
          status: message.statusCode ?? 0,
          headers: Object.fromEntries(Object.entries(headers)),
          body: Buffer.concat(body).toString('latin1'),
        })
      })
      message.on('close', () => resolve({ refused: 'closed' }))
    })
    sent.on('upgrade', (_message, socket) => {
      socket.destroy()
      resolve({ refused: 'upgrade' })
    })
    sent.on('error', (error) => resolve({ refused: error.message }))
    sent.end()
  })
}
