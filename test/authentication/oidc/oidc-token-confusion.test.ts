/** Tokens that try to choose how, or with which key, they are verified (RFC 8725). */
import { createHmac, createPublicKey } from 'node:crypto'

import { CompactSign, exportJWK, exportSPKI, GeneralSign, type JWK } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

import { waitUntil } from '../../../dev/parts/wait-until.ts'
import { createLog } from '../../../src/log.ts'
import {
  configuration,
  createPrivateKey,
  createSigningKey,
  issuerConfiguration,
  refusalOf,
  signToken,
  startIssuer,
  type SigningKey,
  type TestIssuer,
} from './issuer.ts'
import { startOidc, type TestOidc } from './oidc-sign-in.ts'

let rsa: SigningKey
let ec: SigningKey
let otherEc: SigningKey
let attacker: SigningKey
let issuer: TestIssuer
let otherIssuer: TestIssuer
let oidc: TestOidc
/** A valid token, and its parts. */
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
  await waitUntil('the keys are loaded', async () =>
    oidc.readiness().every(({ problem }) => problem === undefined),
  )
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

/** Returns why the token is refused, and checks that the valid one is still accepted. */
async function refused(hostile: string): Promise<string> {
  const refusal = await refusalOf(() => oidc.authenticate(hostile))
  expect(await refusalOf(() => oidc.authenticate(token))).toBe('not refused')
  return refusal
}

/** Signs claims with the header exactly as given. */
const sign = (key: SigningKey, protectedHeader: Record<string, unknown>, claims = payload) =>
  new CompactSign(Buffer.from(claims, 'base64url'))
    .setProtectedHeader({ alg: key.algorithm, ...protectedHeader })
    .sign(key.privateKey)

describe('a token cannot choose its algorithm:', () => {
  test.for(['none', 'None', 'NONE', '', 'HS256', 'EdDSA', 'RS1', 'RSA-OAEP', null, 1, ['ES256']])(
    'alg %j is refused',
    async (alg) => {
      const forged = encode({ alg, kid: 'ec' })
      for (const end of [signature, encode('x')]) {
        expect(await refused(`${forged}.${payload}.${end}`)).toMatch(
          /algorithm \(alg\) is not one of/,
        )
      }
    },
  )

  test('alg none without a signature is refused', async () => {
    expect(await refused(`${encode({ alg: 'none' })}.${payload}.`)).toMatch(/not a JWS/)
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
    expect(await refused(`${input}.${mac}`)).toMatch(/algorithm \(alg\) is not one of/)
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

describe('a token cannot choose its key:', () => {
  test('a signature by an unknown key with a known kid is refused', async () => {
    expect(await refused(await sign(attacker, { kid: 'ec' }))).toBe('the signature is invalid')
    expect(await refused(await sign(attacker, {}))).toBe('the signature is invalid')
  })

  test('a signature by a known key of another issuer is refused', async () => {
    expect(await refused(await sign(otherEc, { kid: 'other' }))).toMatch(/no key for/)
    expect(await refused(await sign(otherEc, { kid: 'ec' }))).toBe('the signature is invalid')
    expect(await refused(await sign(otherEc, {}))).toBe('the signature is invalid')
  })

  test('keys in the header or at a URL in the header are ignored', async () => {
    const jwks = await startIssuer([attacker.publicJwk])
    const embedded = {
      kid: 'ec',
      jwk: attacker.publicJwk,
      jku: `${jwks.url}/keys`,
      x5u: `${jwks.url}/keys`,
      x5c: ['AAAA'],
    }
    expect(await refused(await sign(attacker, embedded))).toBe('the signature is invalid')
    expect(jwks.requests.size).toBe(0)
    await jwks.close()
    const { user } = await oidc.authenticate(await sign(ec, { ...embedded, kid: 'ec' }))
    expect(user.username).toBe('oidc:ada')
  })

  test.for([['../../etc/passwd'], ['ec\u0000'], ['EC'], [' ec'], ['__proto__'], ['constructor']])(
    'the kid %j does not match a key',
    async ([kid]) => {
      expect(await refused(await sign(ec, { kid }))).toMatch(/no key for/)
    },
  )

  test('a kid that is not a string is refused', async () => {
    const forged = encode({ alg: 'ES256', kid: ['ec'] })
    expect(await refused(`${forged}.${payload}.${signature}`)).toBe(
      'the key ID (kid) is not a string',
    )
  })

  test('a valid token may omit its kid, or leave it empty', async () => {
    for (const named of [{}, { kid: '' }]) {
      const { user } = await oidc.authenticate(await sign(ec, named))
      expect(user.username).toBe('oidc:ada')
    }
  })
})

describe('only the signed content is read:', () => {
  test('a changed payload, header or signature is refused', async () => {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as object
    const others = [
      `${header}.${encode({ ...claims, sub: 'root' })}.${signature}`,
      `${encode({ alg: 'ES256', kid: 'ec', typ: 'JWT' })}.${payload}.${signature}`,
      `${header}.${payload}.${encode(Buffer.alloc(64))}`,
      `${header}.${payload}.${encode('short')}`,
    ]
    for (const other of others) expect(await refused(other)).toBe('the signature is invalid')
  })

  test('an all-zero ECDSA signature is refused (CVE-2022-21449)', async () => {
    const zero = Buffer.alloc(64).toString('base64url')
    expect(await refused(`${header}.${payload}.${zero}`)).toBe('the signature is invalid')
  })

  test('every single flipped bit of the signature is refused', async () => {
    const bytes = Buffer.from(signature, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit += 7) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      const refusal = refusalOf(() =>
        oidc.authenticate(`${header}.${payload}.${flipped.toString('base64url')}`),
      )
      expect(await refusal).toBe('the signature is invalid')
    }
  })

  test.for([
    ['duplicate claims', '{"iss":"ISS","aud":"kubernetes","sub":"ada","sub":"root","exp":9e9}'],
    [
      'duplicate names inside a claim',
      '{"iss":"ISS","aud":"kubernetes","sub":"a","x":{"a":1,"a":2}}',
    ],
    ['a payload that is a list', '[{"iss":"ISS"}]'],
    ['a payload that is not JSON', 'iss=ISS'],
    ['a nested token as payload', 'eyJhbGciOiJFUzI1NiJ9.e30.AAAA'],
  ] as const)('%s, though signed by the issuer, is refused', async ([, text]) => {
    const claims = encode(text.replace('ISS', issuer.url))
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/payload is not one/)
  })

  test('a payload that is not UTF-8 is refused', async () => {
    const claims = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]).toString('base64url')
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/payload is not one/)
  })

  test('an infinite expiry is refused', async () => {
    const claims = encode(`{"iss":"${issuer.url}","aud":"kubernetes","sub":"ada","exp":1e999}`)
    expect(await refused(await sign(ec, { kid: 'ec' }, claims))).toMatch(/exp is out of range/)
  })

  test.for([
    ['crit', { crit: ['exp'], exp: 9e9 }],
    ['crit of RFC 7797', { crit: ['b64'], b64: false }],
    ['b64', { b64: false }],
    ['zip', { zip: 'DEF' }],
    ['enc', { enc: 'A256GCM' }],
    ['crit of null', { crit: null }],
    ['crit without members', { crit: [] }],
  ] as const)('the header parameter %s is refused', async ([, parameters]) => {
    const forged = encode({ alg: 'ES256', kid: 'ec', ...parameters })
    expect(await refused(`${forged}.${payload}.${signature}`)).toMatch(/not supported/)
  })

  test.for([
    { zip: null, enc: null, b64: null },
    { cty: null, typ: null },
    { cty: 'JWT' },
    { kid: null },
    { kid: '' },
    { x5c: [], jwk: null },
  ])('the header parameters %j do not matter', async (parameters) => {
    const text = await sign(ec, { kid: 'ec', ...parameters })
    expect(await refused(text)).toBe('not refused')
  })

  test('a header with a duplicate parameter is refused', async () => {
    const forged = encode('{"alg":"none","alg":"ES256","kid":"ec"}')
    expect(await refused(`${forged}.${payload}.${signature}`)).toMatch(/header is not one/)
  })
})

describe('a token has one spelling:', () => {
  test.for<[string, () => string]>([
    ['that is empty', () => ''],
    ['without dots', () => 'token'],
    ['with two parts', () => `${header}.${payload}`],
    ['with four parts', () => `${token}.${signature}`],
    ['with five parts, as if encrypted', () => `${token}.${signature}.${signature}`],
    ['with an empty header', () => `.${payload}.${signature}`],
    ['with an empty payload', () => `${header}..${signature}`],
    ['with a leading space', () => ` ${token}`],
    ['with a trailing line feed', () => `${token}\n`],
    ['with a space inside', () => `${header}. ${payload}.${signature}`],
    ['with padding', () => `${token}=`],
    ['in plain base64', () => `${header}.${payload}.+${signature.slice(1)}`],
    ['with a trailing NUL', () => `${token}\0`],
    ['with a full-width letter', () => `${token.slice(0, -1)}Ａ`],
  ])('a token %s is refused', async ([, make]) => {
    expect(await refused(make())).toMatch(/not a JWS in compact serialization/)
  })

  test('a token with other unused bits is refused', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet.indexOf(signature.at(-1)!)
    const twin = `${header}.${payload}.${signature.slice(0, -1)}${alphabet[last | 1]!}`
    expect(Buffer.from(twin.split('.')[2]!, 'base64url').toString('base64url')).toBe(signature)
    expect(await refused(twin)).toMatch(/canonical/)
  })

  test('a token in JSON serialization is refused', async () => {
    const general = await new GeneralSign(Buffer.from(payload, 'base64url'))
      .addSignature(ec.privateKey)
      .setProtectedHeader({ alg: 'ES256', kid: 'ec' })
      .addSignature(rsa.privateKey)
      .setProtectedHeader({ alg: 'RS256', kid: 'rsa' })
      .sign()
    const flattened = { protected: header, payload, signature }
    for (const form of [general, flattened]) {
      expect(await refused(JSON.stringify(form))).toMatch(/not a JWS/)
    }
  })

  test('a token of more than 40,960 characters is refused, with what to do about it', async () => {
    const long = await signToken(issuer, ec, { claims: { x: 'x'.repeat(30_600) } })
    expect(long.length).toBeGreaterThan(40_960)
    await expect(async () => oidc.authenticate(long)).rejects.toMatchObject({
      code: 401,
      message:
        'Unauthorized: the token is longer than 40960 characters; ask your administrator for tokens ' +
        'with fewer groups or claims',
      cause: { message: 'the token is longer than 40960 characters' },
    })
    const { user } = await oidc.authenticate(
      await signToken(issuer, ec, { claims: { x: 'x'.repeat(30_200) } }),
    )
    expect(user.username).toBe('oidc:ada')
  })
})

test('the cause of a refusal contains nothing of a token but its iss and aud', async () => {
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

describe('the cause of a refusal quotes iss and aud', () => {
  const hostile = 'a\r\n"\u202e\u001b[31m\u{1f600}'
  const shown = String.raw`"a\r\n\"\u202e\u001b[31m\ud83d\ude00"`

  test('escaped to ASCII', async () => {
    const otherAudience = await signToken(issuer, ec, { claims: { aud: ['x', hostile] } })
    expect(await refused(otherAudience)).toBe(
      `the token is for another audience (aud): "x", ${shown}`,
    )
    expect(await refused(await signToken({ url: hostile }, ec))).toBe(
      `the issuer (iss) is not one of the configured issuers: ${shown}`,
    )
  })

  test('up to a length limit', async () => {
    const aud = Array.from({ length: 20 }, (_, i) => `${i}${'a'.repeat(400)}`)
    const reason = await refused(await signToken(issuer, ec, { claims: { aud } }))
    expect(reason.length).toBeLessThan(1_024)
    expect(reason).toMatch(/"0a{199}"…, "1a{199}"…, "2a{199}"…, "3a{199}"…, …$/)
    const issuerOfMany = await refused(await signToken({ url: 'i'.repeat(5_000) }, ec))
    expect(issuerOfMany).toMatch(/: "i{200}"…$/)
  })
})
