/** What Redis may say about a bucket: nobody is told to wait for longer than a bucket can owe. */
import { expect, test } from 'vitest'

import { readCharge } from '../../src/limits/limit-scripts.ts'

const SIZE = { requestsPerSecond: 10, burst: 20 }
/** Microseconds until the bucket is full, if nothing is in it. */
const FULL = 2_000_000

test('a reply of the script is read', () => {
  expect(readCharge([FULL, 0, 3], SIZE)).toEqual({
    ...{ allowed: true, tokens: 0, waitMs: 0, fullMs: 2_000, others: 3 },
  })
  expect(readCharge([2 * FULL, FULL + 100_000, 0], SIZE)).toMatchObject({
    ...{ allowed: false, tokens: -20, waitMs: 2_100 },
  })
})

test.for([
  [[2 * FULL + 2, 0, 0]],
  [[Number.MAX_SAFE_INTEGER, 0, 0]],
  [[0, Number.MAX_SAFE_INTEGER, 0]],
  [[-1, 0, 0]],
  [[0.5, 0, 0]],
  [['0', 0, 0]],
  [[0, 0]],
  [[0, 0, 0, 0]],
  ['OK'],
  [null],
])('%j is not one', ([reply]) => {
  expect(() => readCharge(reply, SIZE)).toThrow('unexpected')
})
