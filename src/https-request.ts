/** Requests of Gatehouse's own by `node:https`, whose responses are read whole and within limits. */
import type { IncomingMessage } from 'node:http'
import { request, type RequestOptions } from 'node:https'

/**
 * Sends a request. Resolves with the response's header; the body is still to be read. Rejects when there
 * is none, and when `options.signal` aborts.
 */
export function sendHttps(options: RequestOptions, body?: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = request(options)
    outgoing.once('response', resolve)
    outgoing.once('upgrade', (_response, socket) => {
      socket.destroy()
      reject(new Error('the server changed the protocol, which was not requested'))
    })
    // Later ones are those of the body, too.
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

/** A body has more bytes than allowed. */
export class BodyTooLong extends Error {}

/**
 * Reads a whole body. Destroys the connection of one that is longer.
 *
 * @throws BodyTooLong
 */
export async function readBody(response: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    // Leaving the loop destroys the response, and with it the connection.
    if (length > maxBytes) throw new BodyTooLong(`the response exceeds ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}
