/** Tokens that try to choose how, or by whose key, they are verified (RFC 8725). */
import { createHmac, createPublicKey } from 'node:crypto'

import { CompactSign, exportJWK, exportSPKI, GeneralSign, type JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'

import { startOidc, type TestOidc } from './oidc-sign-in.ts'
import { createLog } from '../../../src/log.ts'
import {
  configuration,
  createPrivateKey,
  createSigningKey,
  issuerConfiguration,
  refusalOf,
  signToken,
  SOON,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'

let rsa: SigningKey
let ec: SigningKey
let otherEc: SigningKey
let attacker: SigningKey
let issuer: TestIssuer
let otherIssuer: TestIssuer
let oidc: TestOidc
/** A good one, and its parts. */
let token: string
let header: string
let payload: string
let signature: string

beforeAll(async () => {
  rsa = await createSigningKey('rsa', 'RS256')
  ec = await createSigningKey('ec')
  otherEc = await createSigningKey('other')
  attacker = await createSigningKey('ec')
  const encryption: JWK = { ...otherEc.publicJwk, kid: 'enc', use: 'enc' }
  issuer = await startIssuer([rsa.publicJwk, ec.publicJwk, encryption])
  otherIssuer = await startIssuer([otherEc.publicJwk])
  oidc = startOidc(configuration(issuerConfiguration(issuer), issuerConfiguration(otherIssuer)), {
    log: createLog({ level: 'silent' }),
  })
  await vi.waitUntil(() => oidc.readiness().every(({ problem }) => problem === undefined), SOON)
  token = await signToken(issuer, ec)
  ;[header = '', payload = '', signature = ''] = token.split('.')
})
afterAll(async () => {
  oidc.close()
  await issuer.close()
  await otherIssuer.close()
})

const encode = (value: unknown) =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

/** Why the token is refused, by itself; the good one must pass before and after. */
async function refused(hostile: string): Promise<string> {
  const refusal = await refusalOf(() => oidc.authenticate(hostile))
  expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
  return refusal
}

/** Signed by a key with a header as it stands. */
const sign = (key: SigningKey, protectedHeader: Record<string, unknown>, claims = payload) =>
  new CompactSign(Buffer.from(claims, 'base64url'))
    .setProtectedHeader({ alg: key.algorithm, ...protectedHeader })
    .sign(key.privateKey)

describe('the algorithm is not the token’s to choose', () => {
  test.for(['none', 'None', 'NONE', '', 'HS256', 'EdDSA', 'RS1', 'RSA-OAEP', null, 1, ['ES256']])(
    'alg %j is refused',
    async (alg) => {
      const forged = encode({ alg, kid: 'ec' })
      for (const end of [signature, encode('x')]) {
        expect(await refused(`${forged}.${payload}.${end}`)).toMatch(/algorithm is none of/)
      }
    },
  )

  test('alg none without a signature is refused', async () => {
    expect(await refused(`${encode({ alg: 'none' })}.${payload}.`)).toMatch(/no JWS/)
  })

  test.for(['spki', 'jwk', 'der'])('HS256 with the public key as %s is refused', async (form) => {
    const key = createPublicKey(rsa.privateKey)
    const secrets: Record<string, string | Buffer> = {
      spki: await exportSPKI(key),
      jwk: JSON.stringify(await exportJWK(key)),
      der: key.export({ type: 'spki', format: 'der' }),
    }
    const input = `${encode({ alg: 'HS256', kid: 'rsa' })}.${payload}`
    const mac = createHmac('sha256', secrets[form]!).update(input).digest('base64url')
    expect(await refused(`${input}.${mac}`)).toMatch(/algorithm is none of/)
  })

  test('a key for RS256 does not verify PS256', async () => {
    const ps256 = { ...rsa, algorithm: 'PS256' }
    expect(await refused(await sign(ps256, { kid: 'rsa' }))).toMatch(/no key for/)
    expect(await refused(await sign(ps256, {}))).toMatch(/no key for/)
  })

  test('a key for encryption does not verify', async () => {
    expect(await refused(await sign(otherEc, { kid: 'enc' }))).toMatch(/no key for/)
  })
})

describe('the key is not the token’s to choose', () => {
  test('a key of the same name that is another’s is refused', async () => {
    expect(await refused(await sign(attacker, { kid: 'ec' }))).toBe('the signature is wrong')
    expect(await refused(await sign(attacker, {}))).toBe('the signature is wrong')
  })

  test('another issuer’s key is refused, though Gatehouse knows it', async () => {
    expect(await refused(await sign(otherEc, { kid: 'other' }))).toMatch(/no key for/)
    expect(await refused(await sign(otherEc, { kid: 'ec' }))).toBe('the signature is wrong')
    expect(await refused(await sign(otherEc, {}))).toBe('the signature is wrong')
  })

  test('keys that the header brings or points at are not looked at', async () => {
    const jwks = await startIssuer([attacker.publicJwk])
    const brought = {
      kid: 'ec',
      jwk: attacker.publicJwk,
      jku: `${jwks.url}/keys`,
      x5u: `${jwks.url}/keys`,
      x5c: ['AAAA'],
    }
    expect(await refused(await sign(attacker, brought))).toBe('the signature is wrong')
    expect(jwks.requests.size).toBe(0)
    await jwks.close()
    const { user } = await oidc.authenticate(await sign(ec, { ...brought, kid: 'ec' }))
    expect(user.username).toBe('oidc:ada')
  })

  test.for([['../../etc/passwd'], ['ec\u0000'], ['EC'], [' ec'], ['__proto__'], ['constructor']])(
    'kid %j is no key',
    async ([kid]) => {
      expect(await refused(await sign(ec, { kid }))).toMatch(/no key for/)
    },
  )

  test('kid that is no string is refused', async () => {
    const forged = encode({ alg: 'ES256', kid: ['ec'] })
    expect(await refused(`${forged}.${payload}.${signature}`)).toBe('kid is no string')
  })

  test('a good token may leave its kid out, or empty', async () => {
    for (const named of [{}, { kid: '' }]) {
      const { user } = await oidc.authenticate(await sign(ec, named))
      expect(user.username).toBe('oidc:ada')
    }
  })
})

describe('what was signed is what is read', () => {
  test('any other payload, header or signature is refused', async () => {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const others = [
      `${header}.${encode({ ...claims, sub: 'root' })}.${signature}`,
      `${encode({ alg: 'ES256', kid: 'ec', typ: 'JWT' })}.${payload}.${signature}`,
      `${header}.${payload}.${encode(Buffer.alloc(64))}`,
      `${header}.${payload}.${encode('short')}`,
    ]
    for (const other of others) expect(await refused(other)).toBe('the signature is wrong')
  })

  test('an all-zero ECDSA signature is refused (CVE-2022-21449)', async () => {
    const zero = Buffer.alloc(64).toString('base64url')
    expect(await refused(`${header}.${payload}.${zero}`)).toBe('the signature is wrong')
  })

  test('every single flipped bit of the signature is refused', async () => {
    const bytes = Buffer.from(signature, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const answer = refusalOf(() =>
        oidc.authenticate(`${header}.${payload}.${flipped.toString('base64url')}`),
      )
      expect(await answer).toBe('the signature is wrong')
    }
  })

  test.for([
    ['duplicate claims', '{"iss":"ISS","aud":"kubernetes","sub":"ada","sub":"root","exp":9e9}'],
    ['duplicate claims inside', '{"iss":"ISS","aud":"kubernetes","sub":"a","x":{"a":1,"a":2}}'],
    ['a payload that is a list', '[{"iss":"ISS"}]'],
    ['a payload that is no JSON', 'iss=ISS'],
    ['a nested token as payload', 'eyJhbGciOiJFUzI1NiJ9.e30.AAAA'],
  ] as const)('%s, though signed by the issuer, is refused', async ([, text]) => {
    const claims = encode(text.replace('ISS', issuer.url))
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/payload is not one/)
  })

  test('a payload that is no UTF-8 is refused', async () => {
    const claims = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/payload is not one/)
  })

  test('an expiry that is no finite number is refused', async () => {
    const claims = encode(`{"iss":"${issuer.url}","aud":"kubernetes","sub":"ada","exp":1e999}`)
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/exp is no time/)
  })

  test.for([
    ['crit', { crit: ['exp'], exp: 9e9 }],
    ['crit of RFC 7797', { crit: ['b64'], b64: false }],
    ['b64', { b64: false }],
    ['zip', { zip: 'DEF' }],
    ['enc', { enc: 'A256GCM' }],
    ['cty', { cty: 'JWT' }],
  ] as const)('header parameter %s is refused', async ([, parameters]) => {
    const forged = encode({ alg: 'ES256', kid: 'ec', ...parameters })
    expect(await refused(`${forged}.${payload}.${signature}`)).toMatch(/not supported/)
  })

  test('a header with a parameter twice is refused', async () => {
    const forged = encode('{"alg":"none","alg":"ES256","kid":"ec"}')
    expect(await refused(`${forged}.${payload}.${signature}`)).toMatch(/header is not one/)
  })
})

describe('a token has one spelling', () => {
  test.for<[string, () => string]>([
    ['empty', () => ''],
    ['without dots', () => 'token'],
    ['with two parts', () => `${header}.${payload}`],
    ['with four parts', () => `${token}.${signature}`],
    ['with five parts, as if encrypted', () => `${token}.${signature}.${signature}`],
    ['with an empty header', () => `.${payload}.${signature}`],
    ['with an empty payload', () => `${header}..${signature}`],
    ['with a space in front', () => ` ${token}`],
    ['with a line feed behind', () => `${token}\n`],
    ['with a space inside', () => `${header}. ${payload}.${signature}`],
    ['with padding', () => `${token}=`],
    ['in plain base64', () => `${header}.${payload}.+${signature.slice(1)}`],
    ['with NUL behind', () => `${token}\0`],
    ['with a full-width letter', () => `${token.slice(0, -1)}Ａ`],
  ])('%s it is refused', async ([, make]) => {
    expect(await refused(make())).toMatch(/no JWS in compact serialization/)
  })

  test('a spelling with other unused bits is refused', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(signature.at(-1)!)
    const twin = `${header}.${payload}.${signature.slice(0, -1)}${alphabet[last | 1]!}`
    expect(Buffer.from(twin.split('.')[2]!, 'base64url').toString('base64url')).toBe(signature)
    expect(await refused(twin)).toMatch(/canonical/)
  })

  test('JSON serialization, with one signature or two, is refused', async () => {
    const general = await new GeneralSign(Buffer.from(payload, 'base64url'))
      .addSignature(ec.privateKey)
      .setProtectedHeader({ alg: 'ES256', kid: 'ec' })
      .addSignature(rsa.privateKey)
      .setProtectedHeader({ alg: 'RS256', kid: 'rsa' })
      .sign()
    const flattened = { protected: header, payload, signature }
    for (const form of [general, flattened]) {
      expect(await refused(JSON.stringify(form))).toMatch(/no JWS/)
    }
  })

  test('a token of more than 16 KiB is refused unread', async () => {
    const long = await signToken(issuer, ec, { claims: { x: 'x'.repeat(12_300) } })
    expect(long.length).toBeGreaterThan(16_384)
    expect(await refused(long)).toMatch(/longer than 16384 characters/)
    const { user } = await oidc.authenticate(
      await signToken(issuer, ec, { claims: { x: 'x'.repeat(11_900) } }),
    )
    expect(user.username).toBe('oidc:ada')
  })
})

test('of a token nothing but its iss and aud gets into the reason why it was refused', async () => {
  const secret = 'SECRET'
  const hostile = [
    `${secret}.${secret}.${secret}`,
    await signToken({ url: 'https://evil.example' }, ec, { claims: { sub: secret } }),
    await signToken(issuer, ec, { claims: { aud: 'other', sub: secret } }),
    await signToken(issuer, ec, { claims: { aud: 'other', exp: secret } }),
    await signToken(issuer, ec, { claims: { sub: 1, groups: [secret] } }),
    await signToken(issuer, { ...ec, kid: secret, privateKey: createPrivateKey('ES256') }),
    `${encode({ alg: secret })}.${payload}.${signature}`,
    `${header}.${encode(secret)}.${signature}`,
  ]
  for (const one of hostile) {
    const error = await Promise.resolve(one)
      .then((bearer) => oidc.authenticate(bearer))
      .catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(Error)
    const { cause } = error as Error
    for (const part of one.split('.')) expect((cause as Error).message).not.toContain(part)
    expect(`${(error as Error).message} ${(cause as Error).message}`).not.toContain(secret)
    expect((cause as Error).cause).toBeUndefined()
  }
})

describe('the reason names what iss and aud say', () => {
  const hostile = 'a\r\n"\u202e\u001b[31m\u{1f600}'
  const shown = String.raw`"a\r\n\"\u202e\u001b[31m\ud83d\ude00"`

  test('in ASCII, escaped', async () => {
    const otherAudience = await signToken(issuer, ec, { claims: { aud: ['x', hostile] } })
    expect(await refused(otherAudience)).toBe(
      `the token is for another audience (aud): "x", ${shown}`,
    )
    expect(await refused(await signToken({ url: hostile }, ec))).toBe(
      `the issuer (iss) is none of those configured: ${shown}`,
    )
  })

  test('within bounds', async () => {
    const aud = Array.from({ length: 20 }, (_, i) => `${i}${'a'.repeat(400)}`)
    const reason = await refused(await signToken(issuer, ec, { claims: { aud } }))
    expect(reason.length).toBeLessThan(1_024)
    expect(reason).toMatch(/"0a{199}"…, "1a{199}"…, "2a{199}"…, "3a{199}"…, …$/)
    const issuerOfMany = await refused(await signToken({ url: 'i'.repeat(5_000) }, ec))
    expect(issuerOfMany).toMatch(/: "i{200}"…$/)
  })
})
