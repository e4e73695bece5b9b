/** Requests that another site makes a browser send, which come with the user's client certificate. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import type { KeyPair } from '../../certs-dev/pki.ts'
import { startAttack, type Attack } from '../support/attack.ts'

let attack: Attack
let certificate: KeyPair

beforeAll(async () => {
  attack = await startAttack({
    configuration: {
      authentication: { x509: { allowedOrigins: ['https://console.example.com'] } },
    },
  })
  certificate = await attack.gatehouse.certificate()
})

afterAll(() => attack.close())

const POD = '/api/v1/namespaces/default/pods/web'
const UPGRADE =
  'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n'
const REQUESTS = [
  ['a read', `GET ${POD} HTTP/1.1\r\n`, ''],
  ['a write', 'POST /api/v1/namespaces/default/pods HTTP/1.1\r\nContent-Length: 2\r\n', '{}'],
  ['a WebSocket', `GET ${POD}/exec?command=id HTTP/1.1\r\n${UPGRADE}`, ''],
] as const

const FOREIGN = [
  'Origin: https://evil.example',
  'Origin: null',
  'Origin: ',
  'Origin: http://127.0.0.1',
  'Origin: https://127.0.0.1.evil.example',
  'Origin: https://evil.example#127.0.0.1',
  'Origin: https://evil.example@127.0.0.1',
  'Origin: https://127.0.0.1\r\nOrigin: https://evil.example',
  'Origin: https://console.example.com.evil.example',
  'Origin: https://console.example.com:444',
  'ORIGIN: https://evil.example',
  'Sec-Fetch-Site: cross-site',
  'Sec-Fetch-Site: same-site',
  'Sec-Fetch-Site: CROSS-SITE',
  'Sec-Fetch-Site: none\r\nSec-Fetch-Site: cross-site',
  'Origin: https://127.0.0.1\r\nSec-Fetch-Site: same-site',
]

describe.each(REQUESTS)('%s with a certificate', (_name, line, body) => {
  const bytes = (fields: string, more = ''): string =>
    `${line}Host: x\r\n${fields}${fields === '' ? '' : '\r\n'}${more}\r\n${body}`

  test.for(FOREIGN)('is refused from another site: %j', async (fields) => {
    const { value, received, events } = await attack.watching(() =>
      attack.send(bytes(fields), certificate),
    )
    expect(value.response.status).toBe(403)
    expect(value.response.body).toContain('authentication.x509.allowedOrigins')
    expect(received).toEqual([])
    expect(events).toMatchObject([
      { user: { username: 'ada' }, responseStatus: { code: 403, reason: 'Forbidden' } },
    ])
  })

  test.for([
    '',
    'Origin: https://127.0.0.1',
    'Origin: https://localhost:8443',
    'Origin: https://LOCALHOST:443',
    'Origin: https://console.example.com',
    'Origin: https://console.example.com\r\nSec-Fetch-Site: cross-site',
    'Origin: https://127.0.0.1\r\nSec-Fetch-Site: same-origin',
    'Sec-Fetch-Site: none',
  ])('reaches the API server from Gatehouse itself or an allowed site: %j', async (fields) => {
    const { received } = await attack.watching(() => attack.send(bytes(fields), certificate))
    expect(received).toHaveLength(1)
  })

  test('with a token instead reaches the API server, whatever the site', async () => {
    const authorization = await attack.bearer()
    const { received } = await attack.watching(() =>
      attack.send(
        bytes('Origin: https://evil.example\r\nSec-Fetch-Site: cross-site', authorization),
      ),
    )
    expect(received).toHaveLength(1)
  })
})
