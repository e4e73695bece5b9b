import { X509Certificate } from 'node:crypto'

import { beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type CertificateRequest } from '../../../certs-dev/pki.ts'
import { spiffeIdOf } from '../../../src/authentication/x509/spiffe-id.ts'

const DOMAIN = 'example.org'
const ID = 'spiffe://example.org/ns/web/sa/api'
const SUBJECT_ALT_NAME = '2.5.29.17'
const KEY_USAGE = '2.5.29.15'

let authority: Authority

beforeAll(async () => {
  authority = await createAuthority({ commonName: 'workloads' })
})

/** The SPIFFE ID, or what is wrong with the certificate. */
async function idOf(request: Partial<CertificateRequest>): Promise<string> {
  const issued = await authority.issue({ commonName: '', usages: ['client'], ...request })
  try {
    return spiffeIdOf(new X509Certificate(issued.certificatePem), DOMAIN)
  } catch (error) {
    return `refused: ${(error as Error).message}`
  }
}

/** DER of an element with up to 64 KiB of content. */
function der(tag: number, ...content: readonly (Uint8Array | string)[]): Buffer {
  const bytes = Buffer.concat(
    content.map((one) => (typeof one === 'string' ? Buffer.from(one) : one)),
  )
  const { length } = bytes
  const head = length < 0x80 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from(head), bytes])
}

const uri = (text: Uint8Array | string): Buffer => der(0x86, text)
const altNames = (...names: readonly Uint8Array[]) => ({
  type: SUBJECT_ALT_NAME,
  critical: true,
  value: der(0x30, ...names),
})

test('the one URI of the subject alternative name is the ID', async () => {
  expect(await idOf({ uris: [ID] })).toBe(ID)
})

test('other names do not matter, nor does the subject', async () => {
  const others = {
    dnsNames: ['api.web.svc', 'spiffe://example.org/admin'],
    ipAddresses: ['10.0.0.1'],
  }
  expect(await idOf({ uris: [ID], ...others, commonName: 'spiffe://example.org/admin' })).toBe(ID)
})

test.for([
  'spiffe://example.org/a',
  'spiffe://example.org/A.b-C_d/0',
  'spiffe://example.org/...',
  'spiffe://example.org/.hidden',
  `spiffe://example.org/${'a'.repeat(2_048 - 'spiffe://example.org/'.length)}`,
])('the ID %s is accepted', async (id) => {
  expect(await idOf({ extensions: [altNames(uri(id))] })).toBe(id)
})

describe('a certificate is refused', () => {
  test.for([
    ['without a subject alternative name', {}, 'it has no URI'],
    ['with a DNS name only', { dnsNames: [ID] }, 'it has no URI'],
    ['with two URIs', { uris: [ID, 'https://example.org'] }, 'it has more than one URI'],
    ['with the same URI twice', { uris: [ID, ID] }, 'it has more than one URI'],
    [
      'with two extensions of that kind',
      { uris: [ID], extensions: [altNames(uri('spiffe://example.org/admin'))] },
      'it has an extension twice',
    ],
    [
      'with an extension that is not DER',
      { extensions: [{ ...altNames(), value: Buffer.from('3082ffff', 'hex') }] },
      'its extensions cannot be read',
    ],
    [
      'with an extension that is not a sequence',
      { extensions: [{ ...altNames(), value: uri(ID) }] },
      'its extensions cannot be read',
    ],
    [
      'that may sign certificates',
      {
        uris: [ID],
        extensions: [{ type: KEY_USAGE, critical: true, value: Buffer.from('03020204', 'hex') }],
      },
      'it has an extension twice',
    ],
  ] as const)('%s', async ([, request, problem]) => {
    expect(await idOf(request)).toContain(`refused: ${problem}`)
  })

  test('whose key may sign certificates or lists', async () => {
    for (const bits of ['04', '02', '06']) {
      const value = Buffer.from(`030201${bits}`, 'hex')
      const [pem] = [
        (await authority.issue({ commonName: '', usages: ['client'], uris: [ID] })).certificatePem,
      ]
      const certificate = new X509Certificate(pem)
      // keyUsage with digitalSignature alone: a BIT STRING of one octet.
      const raw = Buffer.from(
        certificate.raw.toString('latin1').replace('\x03\x02\x07\x80', value.toString('latin1')),
        'latin1',
      )
      expect(() => spiffeIdOf(new X509Certificate(raw), DOMAIN)).toThrow(
        'its key usage allows signing certificates or revocation lists',
      )
    }
  })

  const DOMAIN_PROBLEM = 'its URI is not in the trust domain of its CA'
  const ID_PROBLEM = 'its URI is not a SPIFFE ID'
  const PATH_PROBLEM = 'its URI has a path that is not one of a SPIFFE ID'

  test.for([
    ['spiffe://other.org/a', DOMAIN_PROBLEM],
    ['spiffe://example.org.evil.org/a', DOMAIN_PROBLEM],
    ['spiffe://sub.example.org/a', DOMAIN_PROBLEM],
    ['spiffe://EXAMPLE.org/a', DOMAIN_PROBLEM],
    ['spiffe://example.org:443/a', DOMAIN_PROBLEM],
    ['spiffe://user@example.org/a', DOMAIN_PROBLEM],
    ['spiffe://example%2eorg/a', DOMAIN_PROBLEM],
    ['spiffe://example.org?x/a', DOMAIN_PROBLEM],
    ['spiffe:///a', DOMAIN_PROBLEM],
    ['spiffe://', DOMAIN_PROBLEM],
    ['SPIFFE://example.org/a', ID_PROBLEM],
    ['spiffe:/example.org/a', ID_PROBLEM],
    [' spiffe://example.org/a', ID_PROBLEM],
    ['https://example.org/a', ID_PROBLEM],
    ['urn:spiffe://example.org/a', ID_PROBLEM],
    ['', ID_PROBLEM],
    ['spiffe://example.org', 'its URI names a trust domain and no workload'],
    ['spiffe://example.org/', PATH_PROBLEM],
    ['spiffe://example.org/a/', PATH_PROBLEM],
    ['spiffe://example.org//a', PATH_PROBLEM],
    ['spiffe://example.org/a/../b', PATH_PROBLEM],
    ['spiffe://example.org/./a', PATH_PROBLEM],
    ['spiffe://example.org/a%2fb', PATH_PROBLEM],
    ['spiffe://example.org/a?b', PATH_PROBLEM],
    ['spiffe://example.org/a#b', PATH_PROBLEM],
    ['spiffe://example.org/a b', PATH_PROBLEM],
    ['spiffe://example.org/a\n', PATH_PROBLEM],
    ['spiffe://example.org/a\0b', PATH_PROBLEM],
    ['spiffe://example.org/zoë', PATH_PROBLEM],
    ['spiffe://example.org/a,system:masters', PATH_PROBLEM],
    [`spiffe://example.org/${'a'.repeat(2_048)}`, 'its URI is longer than 2048 bytes'],
  ] as const)('with the URI %j', async ([id, problem]) => {
    expect(await idOf({ extensions: [altNames(uri(id))] })).toBe(`refused: ${problem}`)
  })

  test('with a URI that is not ASCII, whatever it is decoded as', async () => {
    const bytes = Buffer.from('spiffe://example.org/\xe9', 'latin1')
    expect(await idOf({ extensions: [altNames(uri(bytes))] })).toBe(`refused: ${PATH_PROBLEM}`)
  })
})
