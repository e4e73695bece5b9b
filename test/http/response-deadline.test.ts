import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { closeWithin } from '../../src/http/response-deadline.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.for([
  { what: 'taken in time is left alone', taken: true, destroyed: 0 },
  { what: 'not taken in time is broken off', taken: false, destroyed: 1 },
])('an answer $what', ({ taken, destroyed }) => {
  const destroy = vi.fn()
  let close: () => void = () => undefined
  const exchange = {
    response: { destroy },
    onClose: (callback: () => void) => (close = callback),
  } as unknown as Exchange
  closeWithin(exchange, 100)
  vi.advanceTimersByTime(99)
  if (taken) close()
  vi.advanceTimersByTime(1)
  expect(destroy).toHaveBeenCalledTimes(destroyed)
  expect(vi.getTimerCount()).toBe(0)
})
