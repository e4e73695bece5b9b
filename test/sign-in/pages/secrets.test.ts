import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, expect, test } from 'vitest'

import { ConfigError } from '../../../src/config/problem.ts'
import { loadPagesSecrets } from '../../../src/sign-in/pages/secrets.ts'

const directory = mkdtempSync(join(tmpdir(), 'gatehouse-secrets-'))
afterAll(() => rmSync(directory, { recursive: true }))

const KEY = Buffer.alloc(32, 1).toString('base64')
const OTHER_KEY = Buffer.alloc(32, 2).toString('base64')
const GENERATE = 'write keys as "openssl rand -base64 32" prints them'

function file(text: string): string {
  const path = join(directory, String(Math.random()))
  writeFileSync(path, text)
  return path
}

/** The problems of the files, as `field: message (fix)`. */
function problems(files: Parameters<typeof loadPagesSecrets>[0]): string[] {
  try {
    loadPagesSecrets(files)
    return []
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.problems.map(({ field, message, fix }) => `${field}: ${message} (${fix})`)
  }
}

test('takes several cookie keys, and ignores comments and empty lines', () => {
  const { cookieKeys, credential } = loadPagesSecrets({
    cookieKeysFile: file(`# today\n${KEY}\n\n${OTHER_KEY}\n`),
    clientSecretFile: file('s e cret\r\n'),
  })
  expect(cookieKeys.map((key) => key.toString('base64'))).toEqual([KEY, OTHER_KEY])
  expect(credential).toEqual({ secret: 's e cret' })
})

test.for([
  ['nothing', '', 'contains no key'],
  ['comments alone', '# none yet\n', 'contains no key'],
  ['a password', `${KEY}\nchangeme\n`, 'line 2 is not a key of 32 bytes in base64'],
  ['a short key', Buffer.alloc(16).toString('base64'), 'line 1 is not a key of 32 bytes in base64'],
  ['a key in base64url', Buffer.alloc(32, 255).toString('base64url'), 'line 1 is not a key'],
] as const)('refuses a file of cookie keys with %s', ([, text, message]) => {
  const [problem, ...more] = problems({ cookieKeysFile: file(text), clientSecretFile: file('x') })
  expect(more).toEqual([])
  expect(problem).toContain(`signIn.pages.cookieKeysFile: ${message}`)
  expect(problem).toContain(GENERATE)
})

test('refuses a cookie key that is there twice, and too many', () => {
  const keys = Array.from({ length: 9 }, (_, i) => Buffer.alloc(32, i).toString('base64'))
  const found = problems({
    cookieKeysFile: file([...keys, keys[0]].join('\n')),
    clientSecretFile: file('x'),
  })
  expect(found).toEqual([
    'signIn.pages.cookieKeysFile: contains more than 8 keys (remove the oldest ones)',
    'signIn.pages.cookieKeysFile: contains a key twice (remove one of them)',
  ])
})

test('reports the problems of all files together', () => {
  const found = problems({ cookieKeysFile: file('x'), clientSecretFile: file('a\nb\n') })
  expect(found.map((problem) => problem.split(':', 1)[0])).toEqual([
    'signIn.pages.cookieKeysFile',
    'signIn.pages.clientSecretFile',
  ])
})

test.for([
  ['P-256', { kind: 'ec', namedCurve: 'P-256' }, true],
  ['P-384', { kind: 'ec', namedCurve: 'P-384' }, true],
  ['secp256k1', { kind: 'ec', namedCurve: 'secp256k1' }, false],
  ['RSA of 2048 bits', { kind: 'rsa', modulusLength: 2_048 }, true],
  ['RSA of 1024 bits', { kind: 'rsa', modulusLength: 1_024 }, false],
  ['Ed25519', { kind: 'ed25519' }, true],
  ['X25519', { kind: 'x25519' }, false],
] as const)('%s signs for the issuer or is refused', ([, { kind, ...options }, isUsable]) => {
  const generate = generateKeyPairSync as unknown as (
    kind: string,
    options: object,
  ) => { readonly privateKey: KeyObject }
  const pem = generate(kind, options).privateKey.export({ type: 'pkcs8', format: 'pem' })
  const privateKeyFile = file(pem)
  const found = problems({ cookieKeysFile: file(KEY), privateKeyFile })
  expect(found.length === 0).toBe(isUsable)
})
