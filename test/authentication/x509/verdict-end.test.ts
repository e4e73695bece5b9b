import { X509Certificate } from 'node:crypto'

import { beforeAll, describe, expect, test } from 'vitest'

import { createAuthority, type Authority, type KeyPair } from '../../../certs-dev/pki.ts'
import { createVerdictEnd } from '../../../src/authentication/x509/verdict-end.ts'

let root: Authority
let middle: Authority
let ada: KeyPair

const chainOf = (...pairs: KeyPair[]) =>
  pairs.map(({ certificatePem }) => new X509Certificate(certificatePem))
const endOf = ({ certificatePem }: KeyPair) =>
  new X509Certificate(certificatePem).validToDate.getTime()
const verdictEnd = (ca: string, crl: string | undefined, ...chain: KeyPair[]) =>
  createVerdictEnd({ ca, crl })(chainOf(...chain))

beforeAll(async () => {
  root = await createAuthority({ commonName: 'root', days: 20 })
  middle = await root.createIntermediate({ commonName: 'middle', days: 10 })
  ada = await middle.issue({ commonName: 'ada', usages: ['client'], days: 30 })
})

describe('the verdict ends', () => {
  test('with the certificate itself if that expires first', async () => {
    const short = await root.issue({ commonName: 'ada', usages: ['client'], days: 1 })
    expect(verdictEnd(root.certificatePem, undefined, short)).toBe(endOf(short))
  })

  test('with a CA in between, whether it is sent or in the bundle', () => {
    const { certificatePem: ca } = root
    expect(verdictEnd(ca, undefined, ada, middle)).toBe(endOf(middle))
    expect(verdictEnd(ca + middle.certificatePem, undefined, ada)).toBe(endOf(middle))
  })

  test('with the root', async () => {
    const old = await createAuthority({ commonName: 'old', days: 2 })
    const user = await old.issue({ commonName: 'ada', usages: ['client'] })
    expect(verdictEnd(old.certificatePem, undefined, user)).toBe(endOf(old))
  })

  test('with the list of any issuer on the path, and of several lists with the newest', async () => {
    const at = (days: number) =>
      new Date(Math.floor(Date.now() / 1_000) * 1_000 + days * 86_400_000)
    const lists = async (ofRoot: number, ofMiddle: number) =>
      (await root.revoke([], { nextUpdate: at(ofRoot) })) +
      (await middle.revoke([], { nextUpdate: at(ofMiddle) }))
    const end = async (ofRoot: number, ofMiddle: number, more = '') =>
      verdictEnd(root.certificatePem, (await lists(ofRoot, ofMiddle)) + more, ada, middle)
    expect(await end(2, 1)).toBe(at(1).getTime())
    expect(await end(2, 3)).toBe(at(2).getTime())
    const renewed = await root.revoke([], { nextUpdate: at(4) })
    expect(await end(2, 3, renewed)).toBe(at(3).getTime())
  })

  test('not with CAs and lists of other users', async () => {
    const other = await createAuthority({ commonName: 'other', days: 1 })
    const ca = other.certificatePem + root.certificatePem
    const past = new Date(0)
    const crl =
      (await other.revoke([], { nextUpdate: past })) +
      (await root.revoke([])) +
      (await middle.revoke([]))
    expect(verdictEnd(ca, undefined, ada, middle)).toBe(endOf(middle))
    expect(verdictEnd(ca, crl, ada, middle)).toBeGreaterThan(Date.now())
  })
})

test('a verdict on a path that is not found, or has no list, has ended', async () => {
  expect(verdictEnd(root.certificatePem, undefined, ada)).toBe(-Infinity)
  expect(verdictEnd(root.certificatePem, undefined)).toBe(-Infinity)
  expect(verdictEnd('', undefined, ada, middle)).toBe(-Infinity)
  const onlyRoot = await root.revoke([])
  expect(verdictEnd(root.certificatePem, onlyRoot, ada, middle)).toBe(-Infinity)
  expect(verdictEnd(root.certificatePem, 'no list', ada, middle)).toBe(-Infinity)
})
