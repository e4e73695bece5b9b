import { expect, test } from 'vitest'

import { createPoller, type Verdict } from '../../src/security-events/poller.ts'
import { SetError } from '../../src/security-events/set-error.ts'
import { memoryLog } from '../audit/fixtures.ts'

interface PollBody {
  readonly ack: readonly string[]
  readonly maxEvents: number
}

interface Started {
  readonly taken: readonly string[]
  /** Before each request but the first. */
  readonly delays: readonly number[]
  /** Lets it send this many requests. */
  readonly turns: (count: number) => Promise<void>
}

/** A transmitter that returns its oldest events first until they are acknowledged, and at once. */
function start(ids: readonly string[], verdictOf: (id: string) => Verdict): Started {
  const pending = new Set(ids)
  const taken: string[] = []
  let next: (() => void) | undefined
  const delays: number[] = []
  createPoller(
    { transmitter: 'https://t.example', url: 'https://t.example/poll', authorization: 'Bearer x' },
    {
      log: memoryLog().log,
      async send(_url, { body = '' }) {
        const { ack, maxEvents } = JSON.parse(body) as PollBody
        for (const id of ack) pending.delete(id)
        const sets = Object.fromEntries([...pending].slice(0, maxEvents).map((id) => [id, id]))
        return { status: 200, headers: {}, json: { sets, moreAvailable: true } }
      },
      timing: {
        schedule(run, delay) {
          delays.push(delay)
          next = run
          return () => undefined
        },
      },
      async take(_token, id) {
        taken.push(id)
        return verdictOf(id)
      },
    },
  )
  return {
    ...{ taken, delays },
    async turns(count) {
      for (let i = 0; i < count; i++) {
        await expect.poll(() => next).toBeDefined()
        const run = next
        next = undefined
        if (i < count - 1) run?.()
      }
    },
  }
}

const numbered = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

test('events that cannot be put into effect now do not hold up those behind them', async () => {
  const stuck = numbered('stuck', 45)
  const { taken, turns } = start([...stuck, 'end'], (id) =>
    id.startsWith('stuck') ? 'later' : 'taken',
  )
  await turns(5)
  expect(taken).toContain('end')
  // They are tried again.
  expect(taken.filter((id) => id === 'stuck-0').length).toBeGreaterThan(1)
})

test('a response has limits, however many events wait', async () => {
  const { taken, turns } = start(numbered('stuck', 2_000), () => 'later')
  await turns(20)
  expect(taken.length).toBe(20 * 20)
  // So many, and no more, are skipped.
  expect(new Set(taken).size).toBeLessThanOrEqual(220)
})

test('a transmitter whose events are all refused is asked once in a second', async () => {
  const { delays, turns } = start(numbered('e', 20), () => new SetError('invalid_key', 'no'))
  await turns(2)
  expect(delays).toEqual([1_000, 1_000])
})
