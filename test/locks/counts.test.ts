import { expect, test } from 'vitest'

import { countLocks } from '../../src/locks/counts.ts'
import type { Lock } from '../../src/locks/lock.ts'

const NOW = Date.UTC(2026, 0, 1)

test('locks that have ended by the clock of their source are not counted', () => {
  const lock = (name: string, until?: number): Lock => ({
    ...{ target: 'user', name, reason: 'why', until, actor: undefined },
  })
  const locks = [lock('ever'), lock('now', NOW), lock('soon', NOW + 1)]
  const inForce = countLocks({
    of: () => locks,
    // The clock of the store is ahead.
    now: (source) => (source === 'file' ? NOW : NOW + 1),
  }).filter(({ count }) => count > 0)
  expect(inForce).toEqual([
    { source: 'file', target: 'user', count: 2 },
    { source: 'store', target: 'user', count: 1 },
  ])
})
