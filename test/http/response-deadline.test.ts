import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import type { Exchange } from '../../src/http/exchange.ts'
import { closeWithin } from '../../src/http/response-deadline.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

test.for([
  { what: 'that is read in time is not aborted', isRead: true, destroyed: 0 },
  { what: 'that is not read in time is aborted', isRead: false, destroyed: 1 },
])('a response $what', ({ isRead, destroyed }) => {
  const destroy = vi.fn()
  let close: () => void = () => undefined
  const exchange = {
    response: { destroy },
    onClose: (callback: () => void) => (close = callback),
  } as unknown as Exchange
  closeWithin(exchange, 100)
  vi.advanceTimersByTime(99)
  if (isRead) close()
  vi.advanceTimersByTime(1)
  expect(destroy).toHaveBeenCalledTimes(destroyed)
  expect(vi.getTimerCount()).toBe(0)
})
