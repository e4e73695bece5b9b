/**
 * The cause of a refused credential is in the audit record and not in the response: enough for an
 * administrator to help, and nothing of the credential itself. Also the largest accepted identities.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type KeyPair } from '../../certs-dev/pki.ts'
import { headerValues } from '../support/api-server.ts'
import { startAttack, type Attack } from '../support/attack.ts'
import { replaceFile } from '../support/files.ts'

const PATH = '/api/v1/namespaces/d/pods'

let attack: Attack

beforeAll(async () => {
  attack = await startAttack()
})

afterAll(async () => {
  await attack.expectNoSecretLeaked()
  await attack.close()
})

interface Tried {
  readonly fields?: string
  readonly certificate?: KeyPair
}

async function causeOf({ fields = '', certificate }: Tried) {
  const bytes = `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n${fields}\r\n`
  const { value, received, events } = await attack.watching(
    async () => (await attack.send(bytes, certificate)).response,
  )
  expect(received).toEqual([])
  expect(value.status).toBe(401)
  const { message } = JSON.parse(value.body) as { message: string }
  return { message, cause: events[0]!.annotations['gatehouse/cause'] }
}

const TWO =
  'Unauthorized: the request carries a client certificate and a token; send only one of them'
const HOUR = 3_600_000
const now = Date.now()
const past = new Date(now - HOUR)

describe('the audit record has the cause, and the client gets Unauthorized only:', () => {
  test.for<readonly [what: string, make: () => Promise<Tried>, cause: string]>([
    ['a request without a credential', async () => ({}), 'no credential'],
    [
      'a Basic credential',
      async () => ({ fields: 'Authorization: Basic YTpi\r\n' }),
      'the Authorization header is not of the form "Bearer TOKEN"',
    ],
    [
      'a token of another issuer',
      async () => ({ fields: await attack.bearer({ iss: 'https://evil.example/\u202e' }) }),
      String.raw`the issuer (iss) is not one of the configured issuers: "https://evil.example/\u202e"`,
    ],
    [
      'a token for another audience',
      async () => ({ fields: await attack.bearer({ aud: ['other', 'third'] }) }),
      'the token is for another audience (aud): "other", "third"',
    ],
    [
      'a token that was issued to another client',
      async () => ({ fields: await attack.bearer({ azp: 'grafana' }) }),
      'the token was issued to another client (azp), which is not listed in audiences: "grafana"',
    ],
    [
      'a token that was issued in the future',
      async () => ({ fields: await attack.bearer({ iat: 9_000_000_000, exp: 9_000_000_060 }) }),
      'the token was issued in the future (iat): 2255-03-14T16:00:00.000Z; compare the clocks',
    ],
    [
      'the certificate of a CA below the client CA',
      async () => ({
        certificate: await attack.gatehouse.clientAuthority.createIntermediate({
          commonName: 'ada',
          hasKeyUsages: false,
        }),
      }),
      'client certificate: it is the certificate of a CA, not of a user',
    ],
    [
      'an expired token',
      async () => ({ fields: await attack.bearer({ exp: 1_000_000_000 }) }),
      'the token has expired (exp): 2001-09-09T01:46:40.000Z',
    ],
    [
      'an expired certificate',
      async () => ({ certificate: await attack.gatehouse.certificate({ notAfter: past }) }),
      expect.stringMatching(
        /^client certificate: the certificate expired on \d{4}-\d\d-\d\dT[\d:]+Z \(CERT_HAS_EXPIRED\)$/,
      ) as string,
    ],
    [
      'a certificate that is not valid yet',
      async () => ({
        certificate: await attack.gatehouse.certificate({
          notBefore: new Date(now + HOUR),
          notAfter: new Date(now + 2 * HOUR),
        }),
      }),
      expect.stringMatching(
        /^client certificate: the certificate is not valid before \S+ \(CERT_NOT_YET_VALID\)$/,
      ) as string,
    ],
    [
      'a certificate of an unknown CA',
      async () => ({
        certificate: await (
          await createAuthority({ commonName: 'unknown' })
        ).issue({ commonName: 'ada', usages: ['client'] }),
      }),
      expect.stringMatching(
        /^client certificate: it was not issued by a client CA \(UNABLE_TO_\w+\)$/,
      ) as string,
    ],
  ])('%s is refused with its cause', async ([, make, cause]) => {
    const found = await causeOf(await make())
    expect(found.message).toBe('Unauthorized')
    expect(found.cause).toEqual(cause)
  })

  test('two credentials, which the response mentions', async () => {
    const certificate = await attack.gatehouse.certificate()
    expect(await causeOf({ fields: await attack.bearer(), certificate })).toEqual({
      message: TWO,
      cause: 'two credentials: a client certificate and a token',
    })
  })

  test('a token in the audience of a token is redacted', async () => {
    const inner = (await attack.bearer()).slice('Authorization: Bearer '.length).trim()
    const { cause } = await causeOf({ fields: await attack.bearer({ aud: inner }) })
    expect(cause).toBe('[redacted]')
  })
})

test('the certificate of the client CA itself is refused with its cause', async () => {
  const authority = await createAuthority({ commonName: 'ada', hasKeyUsages: false })
  await replaceFile(
    attack.gatehouse.file('client-ca.crt'),
    attack.gatehouse.clientAuthority.certificatePem + authority.certificatePem,
  )
  attack.gatehouse.gatehouse.reload()
  const { cause } = await causeOf({ certificate: authority })
  expect(cause).toBe('client certificate: it is the certificate of a CA, not of a user')
})

describe('the largest accepted identity arrives complete', () => {
  /** 999 groups that use up the limit in bytes, except for system:authenticated. */
  const groups = Array.from({ length: 999 }, (_, i) => `${i}-`.padEnd(65, 'g'))
  const long = 'X-Long: ' + 'x'.repeat(8_000) + '\r\n'

  test.for([
    ['a read', PATH],
    ['a list that is a watch', `${PATH}?watch=true&timeoutSeconds=1`],
  ] as const)('with %s', async ([, target]) => {
    const certificate = await attack.gatehouse.certificate({ organizations: groups })
    const { value, received } = await attack.watching(async () => {
      const bytes = `GET ${target} HTTP/1.1\r\nHost: gatehouse\r\n${long.repeat(2)}\r\n`
      return (await attack.send(bytes, certificate)).response
    })
    expect(value.status).toBe(200)
    expect(headerValues(received[0]!, 'impersonate-group')).toEqual([
      ...groups,
      'system:authenticated',
    ])
  })

  test('and an identity with more groups is refused', async () => {
    const certificate = await attack.gatehouse.certificate({
      organizations: [...groups, 'one', 'two'],
    })
    const { value, received } = await attack.watching(async () => {
      const bytes = `GET ${PATH} HTTP/1.1\r\nHost: gatehouse\r\n\r\n`
      return (await attack.send(bytes, certificate)).response
    })
    expect(value.status).toBe(403)
    expect(received).toEqual([])
  })
})
