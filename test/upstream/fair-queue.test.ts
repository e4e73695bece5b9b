import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'

import { StatusError } from '../../src/status.ts'
import { UpstreamError } from '../../src/upstream/errors.ts'
import {
  createFairQueue,
  type FairQueue,
  type FairQueueEffects,
  type FairQueueOptions,
  type Waiting,
} from '../../src/upstream/fair-queue.ts'

const LIMITS = { places: 1, maxRequests: 1_000, maxRequestsPerUser: 1_000, maxWait: 1_000 }

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A queue, and the names of the requests that started or were refused, in order. */
class Bench {
  readonly queue: FairQueue
  readonly started: string[] = []
  readonly refused: string[] = []
  readonly errors: StatusError[] = []
  /** Requests that wait, according to the effects. */
  waiting = 0
  readonly waits: number[] = []

  constructor(options: Partial<FairQueueOptions> = {}, effects: FairQueueEffects = {}) {
    this.queue = createFairQueue(
      { ...LIMITS, ...options },
      {
        onWaiting: (change) => (this.waiting += change),
        onWaited: (milliseconds) => this.waits.push(milliseconds),
        ...effects,
      },
    )
  }

  /** `failing`: gives its place back as soon as it has one. */
  enter(user: string, name = user, failing = false): Waiting | undefined {
    const begin = (): void => {
      this.started.push(name)
      if (failing) this.queue.leave()
    }
    const waiting = this.queue.enter(user, {
      start: begin,
      refuse: (error) => {
        this.refused.push(name)
        this.errors.push(error)
      },
    })
    if (waiting === undefined) begin()
    return waiting
  }

  /** Gives back the place of every request until none waits. */
  drain(): void {
    while (this.queue.waiting > 0) this.queue.leave()
  }
}

describe('a queue with free places', () => {
  test('starts requests at once, without a timer', () => {
    const bench = new Bench({ places: 3 })
    for (const user of ['ada', 'ada', 'bob']) expect(bench.enter(user)).toBeUndefined()
    expect(bench.started).toEqual(['ada', 'ada', 'bob'])
    expect(bench.waits).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  test('has no timer any more after the last request that waited', () => {
    const bench = new Bench()
    bench.enter('ada')
    bench.enter('bob')
    expect(vi.getTimerCount()).toBe(1)
    bench.queue.leave()
    expect(vi.getTimerCount()).toBe(0)
  })
})

describe('users who wait take turns', () => {
  test('so that one request is not delayed by a thousand of another user', () => {
    const bench = new Bench({ maxRequests: 2_000 })
    for (let i = 0; i < 1_000; i += 1) bench.enter('flood')
    bench.enter('ada')
    bench.queue.leave()
    bench.queue.leave()
    expect(bench.started).toEqual(['flood', 'flood', 'ada'])
  })

  test('even if one of them comes again as soon as its request has started', () => {
    const bench = new Bench()
    for (let i = 0; i < 10; i += 1) bench.enter('flood')
    for (let i = 0; i < 3; i += 1) {
      bench.enter('ada')
      bench.queue.leave()
      bench.queue.leave()
    }
    expect(bench.started).toEqual(['flood', 'flood', 'ada', 'flood', 'ada', 'flood', 'ada'])
  })

  test('each with its requests in the order in which they came', () => {
    const bench = new Bench()
    bench.enter('first')
    for (const name of ['a1', 'a2', 'a3', 'b1', 'b2']) bench.enter(name.charAt(0), name)
    bench.drain()
    expect(bench.started).toEqual(['first', 'a1', 'b1', 'a2', 'b2', 'a3'])
  })

  test('whatever the numbers: the n-th request of a user starts in the n-th round', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(counts, fc.infiniteStream(fc.nat()), (numbers, random) => {
        const bench = new Bench()
        bench.enter('first')
        const left = numbers.map((count, user) => ({ user, count, entered: 0 }))
        while (left.length > 0) {
          const index = (random.next().value ?? 0) % left.length
          const of = left[index]!
          of.entered += 1
          bench.enter(`${of.user}`, `${of.user}:${of.entered}`)
          if (of.entered === of.count) left.splice(index, 1)
        }
        bench.drain()
        const rounds = bench.started.slice(1).map((name) => Number(name.split(':')[1]))
        expect(rounds).toEqual(rounds.toSorted((a, b) => a - b))
        expect(rounds).toHaveLength(numbers.reduce((sum, count) => sum + count, 0))
      }),
    )
  })
})

describe('whatever happens', () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ enter: fc.nat({ max: 4 }), failing: fc.boolean() }) },
    { weight: 3, arbitrary: fc.constant('leave' as const) },
    { weight: 2, arbitrary: fc.record({ cancel: fc.nat() }) },
    { weight: 1, arbitrary: fc.constant('later' as const) },
  )
  const limits = fc.record({
    places: fc.integer({ min: 1, max: 3 }),
    maxRequests: fc.integer({ min: 1, max: 12 }),
    maxRequestsPerUser: fc.integer({ min: 1, max: 5 }),
  })

  test('the order is that of a plain round robin, and nothing is lost or left behind', () => {
    fc.assert(
      fc.property(limits, fc.array(step, { maxLength: 150 }), (options, steps) => {
        const pair = new Pair(options)
        for (const what of steps) {
          const [observed, expected] = pair.take(what)
          expect(observed).toEqual(expected)
          expect(pair.observed()).toEqual(pair.expected())
          // A place is free only when nobody waits for it.
          expect(pair.model.waiting === 0 || pair.model.taken === options.places).toBe(true)
        }
        while (pair.model.taken > 0) pair.take('leave')
        expect(pair.observed()).toEqual(pair.expected())
        expect(pair.bench.queue.waiting).toBe(0)
        expect(vi.getTimerCount()).toBe(0)
      }),
      { numRuns: 500 },
    )
  })
})

describe('a request', () => {
  test('beyond the limit of its user is refused with 429, and others still wait', () => {
    const onUserRefused = vi.fn()
    const bench = new Bench({ maxRequestsPerUser: 2 }, { onUserRefused })
    for (let i = 0; i < 3; i += 1) bench.enter('ada')
    const error = thrown(() => bench.enter('ada'))
    expect(error).toMatchObject({
      reason: 'TooManyRequests',
      code: 429,
      headers: { 'Retry-After': '1' },
      details: { retryAfterSeconds: 1 },
      message:
        'too many requests of this user are waiting for the API server (limit: 2), retry after 1s',
    })
    // It is not a failure of the API server.
    expect(error).not.toBeInstanceOf(UpstreamError)
    expect(onUserRefused).toHaveBeenCalledOnce()
    expect(bench.enter('bob')).toBeDefined()
    expect(bench.queue.waiting).toBe(3)
  })

  test('beyond the limit of all users is refused with 503, and is a failure of the API server', () => {
    const bench = new Bench({ maxRequests: 2 })
    for (const user of ['ada', 'bob', 'cleo']) bench.enter(user)
    const error = thrown(() => bench.enter('dan'))
    expect(error).toBeInstanceOf(UpstreamError)
    expect(error).toMatchObject({ kind: 'queue', code: 503, headers: { 'Retry-After': '1' } })
    expect((error.cause as Error).message).toBe('2 requests are waiting')
  })

  test('that waits too long is refused with 503, and later ones keep waiting', () => {
    const bench = new Bench()
    bench.enter('first')
    bench.enter('ada', 'early')
    vi.advanceTimersByTime(500)
    bench.enter('ada', 'late')
    bench.enter('bob', 'later')
    vi.advanceTimersByTime(600)
    expect(bench.refused).toEqual(['early'])
    expect(bench.errors).toMatchObject([
      { kind: 'queue', code: 503, headers: { 'Retry-After': '1' }, cause: { message: /1 s/ } },
    ])
    bench.drain()
    expect(bench.started).toEqual(['first', 'late', 'later'])
    expect(bench.waits).toEqual([600, 600])
  })

  test('that is canceled neither starts nor is refused, and is canceled once', () => {
    const bench = new Bench()
    bench.enter('first')
    const canceled = bench.enter('ada', 'canceled')
    bench.enter('ada', 'kept')
    expect(canceled?.cancel()).toBe(true)
    expect(canceled?.cancel()).toBe(false)
    bench.drain()
    expect(bench.started).toEqual(['first', 'kept'])
    expect(bench.refused).toEqual([])
  })

  test('that has started can no longer be canceled', () => {
    const bench = new Bench()
    bench.enter('first')
    const started = bench.enter('ada')
    bench.queue.leave()
    expect(started?.cancel()).toBe(false)
  })

  test('that fails at once makes room for the next, however many follow', () => {
    const bench = new Bench({ maxRequests: 100_000, maxRequestsPerUser: 100_000 })
    bench.enter('first')
    for (let i = 0; i < 50_000; i += 1) bench.enter('ada', 'ada', true)
    bench.queue.leave()
    expect(bench.started).toHaveLength(50_001)
    expect(bench.queue.waiting).toBe(0)
  })
})

test('whoever waits for the end of the waiting is called when the last request has started', async () => {
  const bench = new Bench()
  await bench.queue.whenNoneWaits()
  bench.enter('first')
  bench.enter('ada')
  let isOver = false
  const over = bench.queue.whenNoneWaits().then(() => (isOver = true))
  await Promise.resolve()
  expect(isOver).toBe(false)
  bench.queue.leave()
  await over
  expect(bench.started).toEqual(['first', 'ada'])
})

test('all that wait can be refused', () => {
  const bench = new Bench()
  for (const user of ['first', 'ada', 'ada', 'bob']) bench.enter(user)
  const error = new StatusError('ServiceUnavailable', 'shutting down')
  bench.queue.refuseAll(error)
  expect(bench.refused).toEqual(['ada', 'ada', 'bob'])
  expect(bench.errors).toEqual([error, error, error])
  expect(bench.queue.waiting).toBe(0)
})

function thrown(act: () => unknown): StatusError {
  try {
    act()
  } catch (error) {
    return error as StatusError
  }
  throw new Error('did not throw')
}

type Step =
  | 'leave'
  | 'later'
  | { readonly enter: number; readonly failing: boolean }
  | { readonly cancel: number }

/** The queue and its model, which take the same steps. */
class Pair {
  readonly bench: Bench
  readonly model: Model
  readonly #entries = new Map<string, Waiting>()
  #entered = 0

  constructor(options: Pick<FairQueueOptions, 'places' | 'maxRequests' | 'maxRequestsPerUser'>) {
    this.bench = new Bench(options)
    this.model = new Model({ ...LIMITS, ...options })
  }

  /** Returns the results of the queue and of the model. */
  take(what: Step): readonly [unknown, unknown] {
    if (what === 'leave') return this.#leave()
    if (what === 'later') return this.#later()
    return 'cancel' in what ? this.#cancel(what.cancel) : this.#enter(what)
  }

  observed() {
    const { started, refused, queue, waiting } = this.bench
    return { started, refused, waiting: queue.waiting, counted: waiting }
  }

  expected() {
    const { started, refused, waiting } = this.model
    return { started, refused, waiting, counted: waiting }
  }

  #leave() {
    if (this.model.taken > 0) {
      this.model.leave()
      this.bench.queue.leave()
    }
    return [undefined, undefined] as const
  }

  #later() {
    this.model.later()
    vi.advanceTimersByTime(LIMITS.maxWait / 10)
    return [undefined, undefined] as const
  }

  #cancel(index: number) {
    const names = [...this.#entries.keys()]
    const name = names[index % Math.max(1, names.length)]
    if (name === undefined) return [undefined, undefined] as const
    const canceled = this.#entries.get(name)?.cancel()
    this.#entries.delete(name)
    return [canceled, this.model.cancel(name)] as const
  }

  #enter({ enter, failing }: { readonly enter: number; readonly failing: boolean }) {
    this.#entered += 1
    const [user, name] = [`user${enter}`, `request${this.#entered}`]
    const expected = this.model.enter(user, name, failing)
    try {
      const waiting = this.bench.enter(user, name, failing)
      if (waiting === undefined) return ['started', expected] as const
      this.#entries.set(name, waiting)
      return ['waits', expected] as const
    } catch (error) {
      return [(error as StatusError).code, expected] as const
    }
  }
}

interface ModelEntry {
  readonly user: string
  readonly name: string
  readonly failing: boolean
  age: number
}

/** The same with plain arrays. */
class Model {
  readonly #options: FairQueueOptions
  /** Users in the order of their turns, each with its requests. */
  #turns: (readonly [user: string, entries: ModelEntry[]])[] = []
  taken = 0
  readonly started: string[] = []
  readonly refused: string[] = []

  constructor(options: FairQueueOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#turns.reduce((sum, [, entries]) => sum + entries.length, 0)
  }

  enter(user: string, name: string, failing: boolean): 'started' | 'waits' | 429 | 503 {
    const { places, maxRequests, maxRequestsPerUser } = this.#options
    if (this.taken < places && this.waiting === 0) {
      this.#start({ user, name, failing, age: 0 })
      return 'started'
    }
    const own = this.#turns.find(([each]) => each === user)?.[1]
    if ((own?.length ?? 0) >= maxRequestsPerUser) return 429
    if (this.waiting >= maxRequests) return 503
    const entry = { user, name, failing, age: 0 }
    if (own === undefined) this.#turns.push([user, [entry]])
    else own.push(entry)
    return 'waits'
  }

  leave(): void {
    this.taken -= 1
    while (this.taken < this.#options.places) {
      const turn = this.#turns.shift()
      if (turn === undefined) return
      const entry = turn[1].shift()!
      if (turn[1].length > 0) this.#turns.push(turn)
      this.#start(entry)
    }
  }

  cancel(name: string): boolean {
    const before = this.waiting
    this.#keep((entry) => entry.name !== name)
    return this.waiting < before
  }

  later(): void {
    for (const [, entries] of this.#turns) for (const entry of entries) entry.age += 1
    const late = this.#turns.flatMap(([, entries]) => entries.filter(({ age }) => age >= 10))
    this.refused.push(...late.map(({ name }) => name))
    this.#keep(({ age }) => age < 10)
  }

  #start({ name, failing }: ModelEntry): void {
    this.started.push(name)
    if (!failing) this.taken += 1
  }

  #keep(isKept: (entry: ModelEntry) => boolean): void {
    this.#turns = this.#turns
      .map(([user, entries]) => [user, entries.filter(isKept)] as const)
      .filter(([, entries]) => entries.length > 0)
  }
}
