import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createDeadlines } from '../../src/state/deadlines.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

const never = () => new Promise<never>(() => undefined)

test('what settles in time keeps its result', async () => {
  const limit = createDeadlines(100)
  await expect(limit(Promise.resolve(1))).resolves.toBe(1)
  await expect(limit(Promise.reject(new Error('refused')))).rejects.toThrow('refused')
  await vi.advanceTimersByTimeAsync(1_000)
  expect(vi.getTimerCount()).toBe(0)
})

test('each promise has its own deadline, whatever the others do', async () => {
  const limit = createDeadlines(100)
  const failed: string[] = []
  const watch = (name: string, promise: Promise<unknown>): void => {
    promise.catch((error: unknown) => failed.push(`${name}: ${(error as Error).message}`))
  }
  watch('first', limit(never()))
  await vi.advanceTimersByTimeAsync(60)
  watch('settled', limit(Promise.resolve()))
  watch('second', limit(never()))
  await vi.advanceTimersByTimeAsync(39)
  expect(failed).toEqual([])
  await vi.advanceTimersByTimeAsync(1)
  expect(failed).toEqual(['first: no response within 100 ms'])
  await vi.advanceTimersByTimeAsync(59)
  expect(failed).toHaveLength(1)
  await vi.advanceTimersByTimeAsync(2)
  expect(failed).toEqual(['first: no response within 100 ms', 'second: no response within 100 ms'])
  watch('third', limit(never()))
  await vi.advanceTimersByTimeAsync(101)
  expect(failed).toHaveLength(3)
  expect(vi.getTimerCount()).toBe(0)
})
