/** Regressions: single packets that ended the process or left a request running forever. */
import { afterAll, beforeAll, expect, test } from 'vitest'

import { startAttack, type Attack } from '../support/attack.ts'
import { data, FLAG, headers, reset } from '../support/http2-frames.ts'

let attack: Attack

beforeAll(async () => {
  attack = await startAttack()
})

afterAll(() => attack.close())

const UPGRADE = 'GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'

test.for([
  ['a request without Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['an HTTP/1.0 request', 'GET / HTTP/1.0\r\n\r\n'],
  [
    'an unsupported transfer coding',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
  ],
])('an upgrade after %s closes only its own connection', async ([, first]) => {
  const connection = await attack.connect()
  connection.write(`${first ?? ''}${UPGRADE}`)
  await connection.read((_, ended) => (ended ? { value: undefined, bytes: 0 } : undefined))
  const alive = await fetch(`${attack.gatehouse.probesUrl}/livez`)
  expect(alive.status).toBe(200)
})

test('uploads that are reset with NO_ERROR in their first packet leave no request running', async () => {
  const connection = await attack.connectHttp2()
  const fields = (
    await attack.fields('/apis/authorization.k8s.io/v1/selfsubjectaccessreviews')
  ).map(([name, value]) => [name, name === ':method' ? 'POST' : value] as const)
  const streams = Array.from({ length: 20 }, (_, i) => 2 * i + 1)
  connection.send(
    ...streams.flatMap((id) => [
      headers(id, fields, FLAG.END_HEADERS),
      data(id, 'x'),
      reset(id, 0),
    ]),
  )
  const events = await attack.gatehouse.eventsWhere(
    ({ objectRef, stage }) =>
      objectRef?.['resource'] === 'selfsubjectaccessreviews' && stage === 'ResponseComplete',
    streams.length,
  )
  expect(events.map(({ responseStatus }) => responseStatus?.code)).toEqual(streams.map(() => 499))
  connection.raw.destroy()
  const metrics = await attack.gatehouse.gatehouse.metrics.registry.metrics()
  const inFlight = metrics.match(/^gatehouse_requests_in_flight\{.*$/gm) ?? []
  expect(inFlight).not.toEqual([])
  expect(inFlight.filter((line) => !line.endsWith(' 0'))).toEqual([])
})
