import { describe, expect, test } from 'vitest'

import { createKeyedDigest } from '../../src/state/keyed-digest.ts'
import { createRecordSealer } from '../../src/state/sealed-record.ts'
import { parseStateSecret } from '../../src/state/state-secret.ts'
import { stateSecret } from '../support/redis-store.ts'

const A = 'a'.repeat(32)
const B = 'b'.repeat(32)

describe('a secret file', () => {
  test('has the current secret on its first line, and previous ones below', () => {
    const parsed = parseStateSecret(`# made in May\n\n${A}\r\n  ${B}  \n`)
    expect(parsed).toEqual({
      current: stateSecret('a').current,
      previous: [stateSecret('b').current],
    })
  })

  test.for([
    ['without a secret', '# nothing\n\n', 'contains no secret'],
    ['with a short one', `${A}\n${'c'.repeat(31)}`, 'secret 2 of 2 has fewer than 32 bytes'],
    ['with one twice', `${A}\n${B}\n${A}`, 'contains a secret twice'],
    [
      'with nine',
      Array.from({ length: 9 }, (_, i) => `${i}`.repeat(32)).join('\n'),
      'contains more than 8 secrets',
    ],
  ] as const)('%s is refused, and not shown', ([, text, message]) => {
    const parsed = parseStateSecret(text)
    expect(parsed).toEqual([message, expect.any(String)])
    expect(JSON.stringify(parsed)).not.toMatch(/aaa|bbb|ccc|000/)
  })

  test('gives each use a key of its own', () => {
    const { id, digestKey, sealingKey } = stateSecret('a').current
    expect(digestKey.equals(sealingKey)).toBe(false)
    expect(digestKey.includes(id) || sealingKey.includes(id)).toBe(false)
  })
})

describe('a digest', () => {
  test('differs by name, kind and secret, and stays the same otherwise', () => {
    const digest = createKeyedDigest(stateSecret('a'))
    const digests = [
      digest.of('user', 'ada'),
      digest.of('user', 'bob'),
      digest.of('address', 'ada'),
      createKeyedDigest(stateSecret('b')).of('user', 'ada'),
    ]
    expect(new Set(digests).size).toBe(4)
    for (const each of digests) expect(each).toMatch(/^[\w-]{22}$/)
    expect(digest.of('user', 'ada')).toBe(digests[0])
    expect(createKeyedDigest(stateSecret('a')).of('user', 'ada')).toBe(digests[0])
  })

  test('can be made with every key, the current one first', () => {
    const both = createKeyedDigest(stateSecret('b', 'a'))
    expect(both.everyOf('user', 'ada')).toEqual([
      createKeyedDigest(stateSecret('b')).of('user', 'ada'),
      createKeyedDigest(stateSecret('a')).of('user', 'ada'),
    ])
    expect(both.of('user', 'ada')).toBe(both.everyOf('user', 'ada')[0])
  })
})

describe('a sealed record', () => {
  const sealer = createRecordSealer(stateSecret('a'))

  test('opens in its place, and shows nothing of its text', () => {
    const sealed = sealer.seal('{"user":"ada"}', 'lock 1')
    expect(sealed).toMatch(/^[\w-]+$/)
    expect(Buffer.from(sealed, 'base64url').toString('latin1')).not.toContain('ada')
    expect(sealer.open(sealed, 'lock 1')).toBe('{"user":"ada"}')
    expect(sealer.seal('{"user":"ada"}', 'lock 1')).not.toBe(sealed)
  })

  test('opens after a rotation as long as its secret is in the file', () => {
    const sealed = sealer.seal('text', 'x')
    expect(createRecordSealer(stateSecret('b', 'a')).open(sealed, 'x')).toBe('text')
    expect(createRecordSealer(stateSecret('b')).open(sealed, 'x')).toBeUndefined()
  })

  test('does not open in another place', () => {
    expect(sealer.open(sealer.seal('text', 'lock 1'), 'lock 2')).toBeUndefined()
  })

  test('does not open when any byte of it was changed, or when it was cut off', () => {
    const sealed = Buffer.from(sealer.seal('text', 'x'), 'base64url')
    for (let i = 0; i < sealed.length; i += 1) {
      const changed = Buffer.from(sealed)
      changed[i] = (changed[i] ?? 0) ^ 1
      expect(sealer.open(changed.toString('base64url'), 'x')).toBeUndefined()
      expect(sealer.open(sealed.toString('base64url', 0, i), 'x')).toBeUndefined()
    }
  })
})
