/** Whoever tries credentials is slowed down and banned; nobody else notices. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { startApiServer, type ApiServer } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { readResponse } from '../support/raw.ts'

const PODS = '/api/v1/namespaces/d/pods'

let api: ApiServer
let attack: Attack

beforeAll(async () => {
  api = await startApiServer()
})

beforeEach(async () => {
  attack = await startAttack({
    api,
    configuration: {
      limits: {
        failedSignIns: {
          ...{ perUser: 1_000, perAddress: 1_000, banAfter: 5 },
          ...{ window: '10m', maxDelay: '1s', ban: '10m' },
        },
      },
    },
  })
})

afterEach(() => attack.close())
afterAll(() => api.close())

interface Tried {
  readonly authorization?: string
  readonly certificate?: KeyPair
  /** The address that the client connects from. */
  readonly from?: string
}

async function get({ authorization, certificate, from = '127.0.0.1' }: Tried) {
  const connection = await attack.connect({
    localAddress: from,
    ...(certificate === undefined ? {} : { certificate }),
  })
  const field = authorization === undefined ? '' : `Authorization: ${authorization}\r\n`
  connection.write(`GET ${PODS} HTTP/1.1\r\nHost: gatehouse\r\n${field}\r\n`)
  const { status, body } = await readResponse(connection)
  connection.destroy()
  const [, seconds] = /try again in (\d+) s;/.exec(body) ?? []
  return { status, seconds: Number(seconds ?? 0) }
}

/** A token that the issuer did not sign. */
async function forged(claims: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const token = await attack.gatehouse.token(claims)
  const [head = '', , signature = ''] = token.split('.')
  const other = { ...claims, sub: 'mallory', iss: attack.gatehouse.issuer.url, exp: 4_102_444_800 }
  const payload = Buffer.from(JSON.stringify({ ...other, ...claims })).toString('base64url')
  return `Bearer ${head}.${payload}.${signature}`
}

async function statuses(count: number, tried: () => Promise<Tried>): Promise<number[]> {
  const found: number[] = []
  for (let i = 0; i < count; i++) found.push((await get(await tried())).status)
  return found
}

const forging = async (from?: string): Promise<Tried> => ({
  authorization: await forged(),
  ...(from === undefined ? {} : { from }),
})

test('an address that tries tokens is banned, and learns until when', async () => {
  expect(await statuses(7, () => forging())).toEqual([401, 401, 401, 401, 429, 429, 429])
  const { seconds } = await get(await forging())
  expect(seconds).toBeGreaterThan(500)
  expect(seconds).toBeLessThanOrEqual(600)
  expect(api.received).toEqual([])
})

test('a certificate beside them does not hide tokens that are tried', async () => {
  const unknown = await createAuthority({ commonName: 'unknown' })
  for (const certificate of [
    await attack.gatehouse.certificate(),
    await unknown.issue({ commonName: 'ada', usages: ['client'] }),
  ]) {
    const found = await statuses(5, async () => ({ authorization: await forged(), certificate }))
    expect(found.at(-1)).toBe(429)
  }
})

test('a valid credential passes a banned address, new ones and known ones', async () => {
  const known = `Bearer ${await attack.gatehouse.token()}`
  expect((await get({ authorization: known })).status).toBe(200)
  await statuses(6, () => forging())
  expect((await get({ authorization: known })).status).toBe(200)
  const fresh = `Bearer ${await attack.gatehouse.token({ sub: 'grace' })}`
  expect((await get({ authorization: fresh })).status).toBe(200)
  const certificate = await attack.gatehouse.certificate()
  expect((await get({ certificate })).status).toBe(200)
  expect((await get(await forging())).status).toBe(429)
})

test('a user whom others claim to be is not banned, and neither are other addresses', async () => {
  await statuses(6, () => forging())
  expect((await get(await forging('127.0.0.2'))).status).toBe(401)
  const authorization = `Bearer ${await attack.gatehouse.token({ sub: 'mallory' })}`
  expect((await get({ authorization, from: '127.0.0.2' })).status).toBe(200)
})

test('one ban is one audit event, one line of the log and one in the metric', async () => {
  await statuses(9, () => forging())
  const isBan = ({ responseStatus }: { responseStatus?: { message?: string } }): boolean =>
    responseStatus?.message?.includes('is banned') === true
  const [event] = await attack.gatehouse.eventsWhere(isBan)
  expect(event).toMatchObject({
    sourceIPs: ['127.0.0.1'],
    user: {},
    responseStatus: { code: 429, message: '127.0.0.1 is banned for 600 s: 5 failed sign-ins' },
  })
  await attack.settled()
  expect((await attack.gatehouse.events()).filter(isBan)).toHaveLength(1)
  const lines = attack.gatehouse.log.filter((line) => line.includes('an address is banned'))
  expect(lines).toHaveLength(1)
  const metrics = await (await fetch(`${attack.gatehouse.probesUrl}/metrics`)).text()
  expect(metrics).toContain('\ngatehouse_bans_total 1\n')
})

describe('nobody is banned', () => {
  test('for no credential', async () => {
    expect(await statuses(8, async () => ({}))).toEqual(Array(8).fill(401))
  })

  test('for a token that has expired, or says so', async () => {
    const expired = `Bearer ${await attack.gatehouse.token({ exp: 1_000_000_000 })}`
    expect(await statuses(8, async () => ({ authorization: expired }))).toEqual(Array(8).fill(401))
    const claims = { exp: 1_000_000_000 }
    expect(await statuses(8, async () => ({ authorization: await forged(claims) }))).toEqual(
      Array(8).fill(401),
    )
  })

  test('for a valid token beside a valid certificate', async () => {
    const authorization = `Bearer ${await attack.gatehouse.token()}`
    const certificate = await attack.gatehouse.certificate()
    expect(await statuses(8, async () => ({ authorization, certificate }))).toEqual(
      Array(8).fill(401),
    )
  })

  test('for a valid credential that rules or the guard refuse', async () => {
    const reserved = `Bearer ${await attack.gatehouse.token({ groups: ['\u0000'] })}`
    expect(await statuses(8, async () => ({ authorization: reserved }))).toEqual(Array(8).fill(403))
  })
})

test('certificates of another CA and texts that are not tokens count as well', async () => {
  const other = await createAuthority({ commonName: 'others' })
  const certificate = await other.issue({ commonName: 'ada', usages: ['client'] })
  expect(await statuses(3, async () => ({ certificate }))).toEqual([401, 401, 401])
  expect(await statuses(3, async () => ({ authorization: 'Bearer x' }))).toEqual([401, 429, 429])
})
