import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { createStalls, type Stallable, type Stalls } from '../../src/upstream/stalls.ts'

const BOUND = 60_000
let stalls: Stalls
let ended: string[]

beforeEach(() => {
  vi.useFakeTimers()
  ended = []
  stalls = createStalls(BOUND)
})

afterEach(() => {
  stalls.close()
  vi.useRealTimers()
})

class Subject implements Stallable {
  readonly position = { place: -1, bytes: 0, looks: 0 }
  bytesMoved = 0
  waitsForClient = true
  readonly name: string

  constructor(name: string) {
    this.name = name
    stalls.add(this)
  }

  stall(): void {
    ended.push(this.name)
    stalls.remove(this)
  }
}

test('what stands still ends, not before the bound', () => {
  new Subject('a')
  vi.advanceTimersByTime(BOUND - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(BOUND / 2)
  expect(ended).toEqual(['a'])
  expect(stalls.size).toBe(0)
})

test('one byte within each bound is enough', () => {
  const slow = new Subject('slow')
  for (let i = 0; i < 10; i += 1) {
    vi.advanceTimersByTime(BOUND - 1)
    slow.bytesMoved += 1
  }
  expect(ended).toEqual([])
})

test('while the API server is to move, nothing ends', () => {
  const waiting = new Subject('waiting')
  waiting.waitsForClient = false
  vi.advanceTimersByTime(BOUND * 10)
  expect(ended).toEqual([])
  waiting.waitsForClient = true
  vi.advanceTimersByTime(BOUND - 1)
  expect(ended).toEqual([])
  vi.advanceTimersByTime(BOUND / 2)
  expect(ended).toEqual(['waiting'])
})

test('each is looked at, whichever others come and go', () => {
  const subjects = ['a', 'b', 'c', 'd', 'e'].map((name) => new Subject(name))
  const [a, b, , d] = subjects
  for (const gone of [a, d]) if (gone !== undefined) stalls.remove(gone)
  if (b !== undefined) b.waitsForClient = false
  new Subject('f')
  vi.advanceTimersByTime(BOUND * 2)
  expect(ended.toSorted()).toEqual(['c', 'e', 'f'])
  expect(stalls.size).toBe(1)
})

test('taken in twice or out twice is once', () => {
  const [one, other] = [new Subject('one'), new Subject('other')]
  stalls.add(one)
  expect(stalls.size).toBe(2)
  stalls.remove(one)
  stalls.remove(one)
  expect(stalls.size).toBe(1)
  vi.advanceTimersByTime(BOUND * 2)
  expect(ended).toEqual([other.name])
})
