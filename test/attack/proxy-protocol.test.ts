/** PROXY protocol headers from a load balancer, from others, and from hostile ones. */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'

import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'

/** The load balancer's address; clients of the tests connect from 127.0.0.1. */
const BALANCER = '127.0.0.9'

let attack: Attack

beforeAll(async () => {
  attack = await startAttack({
    configuration: {
      listener: {
        proxyProtocol: { trustedNetworks: ['127.0.0.8/30', 'fd00::/8'] },
        limits: { handshakeTimeout: '1s', maxConnectionsPerAddress: 3 },
      },
    },
  })
})

afterAll(() => attack.close())

async function open(localAddress = BALANCER): Promise<Socket> {
  const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', localAddress })
  socket.on('error', () => undefined)
  socket.setNoDelay()
  await once(socket, 'connect')
  return socket
}

async function tlsOver(socket: Socket): Promise<TLSSocket> {
  const tls = connectTls({ socket, ca: attack.gatehouse.ca, servername: 'localhost' })
  await once(tls, 'secureConnect')
  return tls
}

/** Requests a path; returns the first line of the response and the address in the audit event. */
async function request(socket: Socket, path: string) {
  const tls = await tlsOver(socket)
  tls.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n${await attack.bearer()}Connection: close\r\n\r\n`)
  let text = ''
  tls.on('data', (chunk: Buffer) => (text += chunk.toString()))
  await once(tls, 'close')
  const [event] = await attack.gatehouse.eventsWhere(({ requestURI }) => requestURI === path)
  return { line: text.split('\r\n')[0], address: event?.sourceIPs }
}

const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')

function version2(command: number, family: number, body: Buffer, length = body.length): Buffer {
  const head = Buffer.from([command, family, length >> 8, length & 0xff])
  return Buffer.concat([SIGNATURE, head, body])
}

const TCP4 = Buffer.from([192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0x01, 0xbb])
const TCP6 = Buffer.from(
  '20010db8000000000000000000000007' + '20010db8000000000000000000000001' + '1f9001bb',
  'hex',
)
const MAPPED = Buffer.from(
  '00000000000000000000ffffc0000207' + '20010db8000000000000000000000001' + '1f9001bb',
  'hex',
)
const TLV = Buffer.from([0x04, 0x00, 0x03, 1, 2, 3])

const VALID: readonly (readonly [what: string, header: Buffer, address: string])[] = [
  ['version 1, IPv4', Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n'), '192.0.2.7'],
  [
    'version 1, IPv6',
    Buffer.from('PROXY TCP6 2001:DB8:0::7 2001:db8::1 8080 443\r\n'),
    '2001:db8::7',
  ],
  ['version 1, unknown', Buffer.from('PROXY UNKNOWN\r\n'), BALANCER],
  [
    'version 1, unknown with addresses',
    Buffer.from(`PROXY UNKNOWN ${'f'.repeat(60)} 1 2\r\n`),
    BALANCER,
  ],
  ['version 2, IPv4', version2(0x21, 0x11, TCP4), '192.0.2.7'],
  [
    'version 2, IPv4 with extensions',
    version2(0x21, 0x11, Buffer.concat([TCP4, TLV])),
    '192.0.2.7',
  ],
  ['version 2, IPv6', version2(0x21, 0x21, TCP6), '2001:db8::7'],
  ['version 2, IPv4-mapped', version2(0x21, 0x21, MAPPED), '192.0.2.7'],
  ['version 2, local', version2(0x20, 0x00, Buffer.alloc(0)), BALANCER],
  ['version 2, unspecified', version2(0x21, 0x00, Buffer.alloc(20)), BALANCER],
]

describe.each(VALID)('from the load balancer, a header of %s', (name, header, address) => {
  const path = (way: string): string => `/x/${way}/${encodeURIComponent(name)}`

  test('decides the address of the client', async () => {
    const socket = await open()
    socket.write(header)
    expect(await request(socket, path('whole'))).toEqual({
      line: 'HTTP/1.1 200 OK',
      address: [address],
    })
  })

  test('is read as well when it arrives byte by byte', async () => {
    const socket = await open()
    for (const byte of header) {
      socket.write(Buffer.from([byte]))
      await sleep(1)
    }
    expect(await request(socket, path('bytes'))).toEqual({
      line: 'HTTP/1.1 200 OK',
      address: [address],
    })
  })
})

async function isClosed(socket: Socket): Promise<string> {
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
  // Not `once`, which would reject when the connection is reset.
  if (!socket.closed) await new Promise((resolve) => socket.on('close', resolve))
  return text
}

describe('is closed without a response, and nothing is recorded for a client that was made up:', () => {
  test.for<readonly [what: string, bytes: Buffer | string]>([
    ['no header', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['plain HTTP', 'GET / HTTP/1.1\r\n\r\n'],
    ['nothing', ''],
    ['a header that does not end', 'PROXY TCP4 192.0.2.7 10.0.0.1 8080 443'],
    ['a header of 108 bytes', `PROXY UNKNOWN ${'a'.repeat(92)}\r\n`],
    ['a line feed only', 'PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\n' + 'x'.repeat(100)],
    ['lower case', 'proxy tcp4 192.0.2.7 10.0.0.1 8080 443\r\n'],
    ['two blanks', 'PROXY TCP4  192.0.2.7 10.0.0.1 8080 443\r\n'],
    ['another family', 'PROXY TCP4 2001:db8::7 2001:db8::1 8080 443\r\n'],
    ['an address with a zone', 'PROXY TCP6 fe80::1%eth0 2001:db8::1 8080 443\r\n'],
    ['no address', 'PROXY TCP4 localhost 10.0.0.1 8080 443\r\n'],
    ['an octal address', 'PROXY TCP4 192.0.02.7 10.0.0.1 8080 443\r\n'],
    ['a port too large', 'PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n'],
    ['a port with a sign', 'PROXY TCP4 192.0.2.7 10.0.0.1 +80 443\r\n'],
    ['one field too few', 'PROXY TCP4 192.0.2.7 10.0.0.1 8080\r\n'],
    ['one field too many', 'PROXY TCP4 192.0.2.7 10.0.0.1 8080 443 1\r\n'],
    ['another version', version2(0x31, 0x11, TCP4)],
    ['another command', version2(0x22, 0x11, TCP4)],
    ['UDP', version2(0x21, 0x12, TCP4)],
    ['a Unix socket', version2(0x21, 0x31, Buffer.alloc(216))],
    ['too few bytes for IPv4', version2(0x21, 0x11, TCP4.subarray(0, 11))],
    ['too few bytes for IPv6', version2(0x21, 0x21, TCP4)],
    ['64 KiB of extensions', version2(0x21, 0x11, TCP4, 65_535)],
    ['a length that does not arrive', version2(0x21, 0x11, TCP4, 100)],
    ['a part of the signature', SIGNATURE.subarray(0, 7)],
    ['a broken signature', Buffer.concat([SIGNATURE.subarray(0, 7), Buffer.alloc(20)])],
  ])('%s', async ([, bytes]) => {
    const { value, events } = await attack.watching(async () => {
      const socket = await open()
      socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes)
      return isClosed(socket)
    })
    expect(value).toBe('')
    expect(events).toEqual([])
  })

  test('a header from a client that is not a load balancer', async () => {
    const socket = await open('127.0.0.1')
    socket.write('PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n')
    expect(await isClosed(socket)).not.toContain('HTTP')
  })

  test('a second header, which a client sends', async () => {
    const socket = await open()
    socket.write('PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\nPROXY TCP4 192.0.2.8 10.0.0.1 1 2\r\n')
    expect(await isClosed(socket)).not.toContain('HTTP')
  })
})

test('a slow header does not outlast the handshake timeout', async () => {
  const socket = await open()
  const closed = isClosed(socket)
  const header = Buffer.from('PROXY TCP4 192.0.2.7 10.0.0.1 8080 443\r\n')
  let sent = 0
  for (; sent < header.length && !socket.destroyed; sent++) {
    socket.write(header.subarray(sent, sent + 1))
    await sleep(100)
  }
  expect(await closed).toBe('')
  expect(sent).toBeLessThan(header.length)
})

test('the limits count the clients behind a load balancer, and not the load balancer', async () => {
  const held: TLSSocket[] = []
  for (let client = 1; client <= 5; client++) {
    const socket = await open()
    socket.write(`PROXY TCP4 192.0.2.10${client} 10.0.0.1 8080 443\r\n`)
    held.push(await tlsOver(socket))
  }
  for (let i = 0; i < 2; i++) {
    const socket = await open()
    socket.write('PROXY TCP4 192.0.2.101 10.0.0.1 8080 443\r\n')
    held.push(await tlsOver(socket))
  }
  const beyond = await open()
  beyond.write('PROXY TCP4 192.0.2.101 10.0.0.1 8080 443\r\n')
  await isClosed(beyond)
  expect(held.map(({ destroyed }) => destroyed)).toEqual(held.map(() => false))
  for (const tls of held) tls.destroy()
})

test('of many connections without a header only the newest are kept, and others are served', async () => {
  const held = await Promise.all(Array.from({ length: 1_100 }, () => open()))
  for (const one of held) one.resume()
  await expect.poll(() => held.filter(({ destroyed }) => destroyed).length).toBeGreaterThan(0)
  const socket = await open()
  socket.write('PROXY TCP4 192.0.2.200 10.0.0.1 8080 443\r\n')
  expect((await request(socket, '/x/others')).line).toBe('HTTP/1.1 200 OK')
  for (const one of held) one.destroy()
})
