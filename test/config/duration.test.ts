import { expect, test } from 'vitest'

import { duration } from '../../src/config/duration.ts'

const read = (text: string) => duration('a wait').safeParse(text)

test('the longest duration is the longest timer of Node.js', () => {
  expect(read('596h31m23s647ms').data).toBe(2 ** 31 - 1)
})

test.for(['596h31m23s648ms', '720h', '999999h'])(
  '%s is refused: its timer would fire at once',
  (text) => {
    expect(read(text).error?.issues).toMatchObject([{ message: 'is longer than 596h' }])
  },
)
