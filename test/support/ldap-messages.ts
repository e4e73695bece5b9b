/** Messages of a directory, byte for byte, and a server that sends them: what no real directory sends. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'

import { onTestFinished } from 'vitest'

import { createAuthority } from '../../certs-dev/pki.ts'

import { LdapClient } from '../../src/ldap/client.ts'

type Part = Buffer | string

/** An element of BER. */
export function element(tag: number, ...parts: readonly Part[]): Buffer {
  const content = Buffer.concat(parts.map((part) => Buffer.from(part as string)))
  const length =
    content.length < 0x80 ? [content.length] : [0x82, content.length >> 8, content.length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...length]), content])
}

export const text = (value: Part): Buffer => element(0x04, value)
export const number = (value: number, tag = 0x02): Buffer => element(tag, Buffer.from([value]))

/** LDAPMessage of RFC 4511 section 4.1.1. */
export const message = (id: number, operation: Buffer, ...controls: readonly Buffer[]): Buffer =>
  element(
    0x30,
    number(id),
    operation,
    ...(controls.length === 0 ? [] : [element(0xa0, ...controls)]),
  )

export const BOUND = 0x61
export const SEARCHED = 0x65
export const EXTENDED = 0x78

export const result = (operation: number, code = 0): Buffer =>
  element(operation, number(code, 0x0a), text(''), text(''))

export const entry = (dn: Part, attributes: Readonly<Record<string, readonly Part[]>> = {}) =>
  element(
    0x64,
    text(dn),
    element(
      0x30,
      ...Object.entries(attributes).map(([name, values]) =>
        element(0x30, text(name), element(0x31, ...values.map(text))),
      ),
    ),
  )

export const page = (cookie: Part): Buffer =>
  element(0x30, text('1.2.840.113556.1.4.319'), text(element(0x30, number(0), text(cookie))))

/**
 * Makes the response to the request of a number on its connection, from 1, which is also its ID; undefined for
 * none, and `end` for the end of the connection.
 */
type Respond = (id: number) => Buffer | 'end' | undefined

function serve(socket: Socket, respond: Respond): void {
  let requests = 0
  socket.on('error', () => socket.destroy())
  // The client has one request at a time, and each is one packet.
  socket.on('data', () => {
    const response = respond(++requests)
    if (response === 'end') socket.destroy()
    else if (response !== undefined) socket.write(response)
  })
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

export interface ScriptedDirectory {
  /** `ldaps://`. */
  readonly url: string
  readonly ca: string
  /** Connections that are open. */
  readonly open: () => number
  /** All connections so far. */
  readonly accepted: () => number
}

/** Starts a server. */
export async function startScripted(respond: Respond): Promise<ScriptedDirectory> {
  const authority = await createAuthority({ commonName: 'directories' })
  const { certificatePem: cert, keyPem: key } = await authority.issue({
    ...{ commonName: 'directory', ipAddresses: ['127.0.0.1'], usages: ['server'] },
  })
  let [open, accepted] = [0, 0]
  const server = createTlsServer({ cert, key }, (socket) => {
    open++
    accepted++
    socket.once('close', () => open--)
    serve(socket, respond)
  })
  const url = `ldaps://127.0.0.1:${await listen(server)}`
  return { url, ca: authority.certificatePem, open: () => open, accepted: () => accepted }
}

/** Starts a server in plain text, and returns a client that is connected to it. */
export async function connectScripted(respond: Respond, timeout = 5_000): Promise<LdapClient> {
  const port = await listen(createServer((socket) => serve(socket, respond)))
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const client = new LdapClient(socket, timeout)
  onTestFinished(() => client.close())
  return client
}
