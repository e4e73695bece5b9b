/** TLS handshakes cost Gatehouse more than the client: each address has a limit of its own. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'

import { afterEach, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { readResponse } from '../support/raw.ts'

const ATTACKER = { localAddress: '127.0.0.2' }
const BURST = 20

let attack: Attack

afterEach(() => attack.close())

async function refusedHandshakes(): Promise<number> {
  const { values } = await attack.gatehouse.gatehouse.metrics.connectionsRefused.get()
  return values.find(({ labels }) => labels.reason === 'handshake_rate')?.value ?? 0
}

async function completesHandshake(localAddress?: string): Promise<boolean> {
  try {
    const connection = await attack.connect(localAddress === undefined ? {} : { localAddress })
    connection.destroy()
    return true
  } catch {
    return false
  }
}

test('connections over the burst of an address are closed before TLS, others are accepted', async () => {
  const handshakes = { handshakesPerSecond: 0.001, burst: BURST }
  attack = await startAttack({ configuration: { limits: { handshakes } } })
  const completed: boolean[] = []
  for (let i = 0; i < BURST + 30; i++)
    completed.push(await completesHandshake(ATTACKER.localAddress))
  expect(completed).toEqual(completed.map((_, i) => i < BURST))
  expect(await refusedHandshakes()).toBe(30)
  expect(await completesHandshake()).toBe(true)
})

test('connections that never begin TLS count too', async () => {
  const handshakes = { handshakesPerSecond: 0.001, burst: BURST }
  attack = await startAttack({ configuration: { limits: { handshakes } } })
  for (let i = 0; i < BURST; i++) {
    const socket = connectTcp({ port: attack.gatehouse.port, host: '127.0.0.1', ...ATTACKER })
    await once(socket, 'connect')
    socket.resetAndDestroy()
  }
  expect(await completesHandshake(ATTACKER.localAddress)).toBe(false)
})

test('the default limit accepts 300 kubectl connections from one address, 50 at a time', async () => {
  attack = await startAttack()
  const bearer = await attack.bearer()
  const statuses: (number | undefined)[] = []
  let left = 300
  const client = async (): Promise<void> => {
    while (left-- > 0) {
      const connection = await attack.connect(ATTACKER)
      connection.write(`GET /version HTTP/1.1\r\nHost: gatehouse\r\n${bearer}\r\n`)
      statuses.push((await readResponse(connection)).status)
      connection.destroy()
    }
  }
  await Promise.all(Array.from({ length: 50 }, client))
  expect(statuses).toEqual(Array.from({ length: 300 }, () => 200))
  expect(await refusedHandshakes()).toBe(0)
})

/** A minimal DER encoder. */
function element(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  const head = length < 128 ? [length] : [0x82, length >> 8, length & 255]
  return Buffer.concat([Buffer.from([tag, ...head]), content])
}

const sequence = (...parts: readonly Buffer[]) => element(0x30, ...parts)
const identifier = (hex: string) => element(6, Buffer.from(hex, 'hex'))
const bitString = (bytes: Buffer) => element(3, Buffer.from([0]), bytes)
const SHA256_RSA = sequence(identifier('2a864886f70d01010b'), element(5))
const RSA = sequence(identifier('2a864886f70d010101'), element(5))
const IS_CA = element(
  0xa3,
  sequence(sequence(identifier('551d13'), element(4, sequence(element(1, Buffer.from([255])))))),
)

/**
 * A chain of random RSA keys: only the key of the leaf is known, but OpenSSL verifies every
 * signature.
 */
function heavyChain(issuers: number, bits: number): { cert: string; key: string } {
  const own = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'der' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  const name = (i: number) =>
    sequence(element(0x31, sequence(identifier('550403'), element(0x0c, Buffer.from(`c${i}`)))))
  const time = (text: string) => element(0x17, Buffer.from(text))
  const random = () => {
    const bytes = randomBytes(bits / 8)
    bytes[0] = 0x7f
    bytes[bytes.length - 1]! |= 1
    return bytes
  }
  const key = (i: number) =>
    i === 0
      ? own.publicKey
      : sequence(
          RSA,
          bitString(sequence(element(2, random()), element(2, Buffer.from('010001', 'hex')))),
        )
  const certificates = Array.from({ length: issuers + 1 }, (_, i) => {
    const toBeSigned = sequence(
      element(0xa0, element(2, Buffer.from([2]))),
      element(2, Buffer.from([i + 1])),
      SHA256_RSA,
      name(i + 1),
      sequence(time('250101000000Z'), time('350101000000Z')),
      name(i),
      key(i),
      ...(i === 0 ? [] : [IS_CA]),
    )
    const der = sequence(toBeSigned, SHA256_RSA, bitString(random()))
    return `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n')}\n-----END CERTIFICATE-----\n`
  })
  return {
    cert: certificates.join(''),
    key: own.privateKey,
  }
}

test('a client with expensive certificates uses up its limit quickly', async () => {
  // Each counts as 201: the third is the last.
  const handshakes = { handshakesPerSecond: 0.001, burst: 450 }
  attack = await startAttack({ configuration: { limits: { handshakes } } })
  const { port, ca } = attack.gatehouse
  const heavy = heavyChain(9, 16_384)
  const statuses: (string | undefined)[] = []
  for (let i = 0; i < 5; i++) {
    const socket = connectTls({ port, host: '127.0.0.1', ca, ...heavy, ...ATTACKER })
    const failed = once(socket, 'error').then(() => undefined)
    const secured = once(socket, 'secureConnect').then(async () => {
      socket.write('GET /api HTTP/1.1\r\nHost: gatehouse\r\n\r\n')
      const [data] = (await once(socket, 'data')) as [Buffer]
      return data.toString('latin1').slice(9, 12)
    })
    secured.catch(() => undefined)
    statuses.push(await Promise.race([secured, failed]))
    socket.destroy()
  }
  expect(statuses).toEqual(['401', '401', '401', undefined, undefined])
  expect(await refusedHandshakes()).toBe(2)
  expect(await completesHandshake()).toBe(true)
})
