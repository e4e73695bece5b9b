/**
 * Places at the API server in fair shares. Requests that find no free place wait in a queue of their
 * user, and the users take turns: a user with a thousand waiting requests delays a single request of
 * another user by one request, not by a thousand. kube-apiserver does the same between its flows (API
 * Priority and Fairness, apiserver/pkg/util/flowcontrol/fairqueuing).
 *
 * Intrusive lists instead of `Map` and `Set`, for the reason that swap-list.ts gives.
 */
import { retryAfter, StatusError } from '../status.ts'
import { UpstreamError } from './errors.ts'

/** `upstream.queue`. */
export interface QueueLimits {
  /** Requests that may wait, of all users together and of one user. */
  readonly maxRequests: number
  readonly maxRequestsPerUser: number
  /** Milliseconds that a request may wait; it is refused at most a tenth later. */
  readonly maxWait: number
}

export interface FairQueueOptions extends QueueLimits {
  /** Requests that may hold a place at the same time. */
  readonly places: number
}

export interface FairQueueEffects {
  /** Called when a request begins to wait and when it no longer does. */
  readonly onWaiting?: (change: 1 | -1) => void
  /** Called with the milliseconds that a request waited for its place. */
  readonly onWaited?: (milliseconds: number) => void
  /** Called when a user has too many waiting requests. */
  readonly onUserRefused?: () => void
  /** Milliseconds of a monotonic clock. */
  readonly now?: () => number
}

/** What waits. Exactly one of the two is called, unless the wait is canceled. Neither may throw. */
export interface Waiter {
  /** It has a place now, and gives it back with `leave`. */
  start(): void
  refuse(error: StatusError): void
}

/** A request that waits. */
export interface Waiting {
  /** False when it had ended before: it started, was refused or canceled. */
  cancel(): boolean
}

export interface FairQueue {
  /**
   * Takes a place, or waits for one.
   *
   * @returns undefined when the caller has a place already; its waiter is not called then
   * @throws StatusError 429 when too many requests of this user wait, UpstreamError 503 when too many of
   * all users do
   */
  enter(user: string, waiter: Waiter): Waiting | undefined
  /** Gives a place back; the next request starts. */
  leave(): void
  readonly waiting: number
  /** Resolves when no request waits. */
  whenNoneWaits(): Promise<void>
  /** Refuses all requests that wait. */
  refuseAll(error: StatusError): void
}

const RETRY = { 'Retry-After': '1' } as const
/** Checks for requests that have waited too long, per `maxWait`. */
const CHECKS = 10

/** Creates the queue; its timer runs only while requests wait. */
export function createFairQueue(options: FairQueueOptions, effects: FairQueueEffects): FairQueue {
  const { places, maxRequests, maxRequestsPerUser, maxWait } = options
  const { onWaiting, onWaited, onUserRefused, now = () => performance.now() } = effects
  const users = new Map<string, User>()
  /** Users with waiting requests, the one whose turn it is first. */
  const turns = new List<User>()
  let taken = 0
  let waiting = 0
  let isStarting = false
  let timer: NodeJS.Timeout | undefined
  let onNoneWaits: (() => void)[] = []

  function wait(name: string, waiter: Waiter): Entry {
    const user = users.get(name) ?? new User(name)
    if (user.entries.size >= maxRequestsPerUser) {
      onUserRefused?.()
      throw tooManyOfUser(maxRequestsPerUser)
    }
    if (waiting >= maxRequests) throw tooMany(waiting)
    const entry = new Entry(user, waiter, now(), remove)
    if (user.entries.size === 0) {
      users.set(name, user)
      turns.append(user)
    }
    user.entries.append(entry)
    waiting += 1
    onWaiting?.(1)
    timer ??= setInterval(refuseLate, Math.max(1, maxWait / CHECKS)).unref()
    return entry
  }

  /** False when the entry does not wait any more. */
  function remove(entry: Entry): boolean {
    const { user } = entry
    if (!user.entries.remove(entry)) return false
    if (user.entries.size === 0) {
      turns.remove(user)
      users.delete(user.name)
    }
    waiting -= 1
    onWaiting?.(-1)
    if (waiting === 0) noneWaits()
    return true
  }

  function noneWaits(): void {
    clearInterval(timer)
    timer = undefined
    const callbacks = onNoneWaits
    onNoneWaits = []
    for (const callback of callbacks) callback()
  }

  /** Takes the first request of the user whose turn it is, who then waits behind all others. */
  function takeNext(): Entry | undefined {
    const user = turns.first
    const entry = user?.entries.first
    if (user === undefined || entry === undefined) return undefined
    turns.remove(user)
    turns.append(user)
    remove(entry)
    return entry
  }

  function fillPlaces(): void {
    // A request that fails at once gives its place back from within `start`.
    if (isStarting) return
    isStarting = true
    try {
      while (taken < places) {
        const entry = takeNext()
        if (entry === undefined) break
        taken += 1
        onWaited?.(now() - entry.since)
        entry.waiter.start()
      }
    } finally {
      isStarting = false
    }
  }

  /** Within a user the first request has waited longest. */
  function refuseLate(): void {
    const latest = now() - maxWait
    for (const user of turns.snapshot()) {
      for (;;) {
        const entry = user.entries.first
        if (entry === undefined || entry.since > latest) break
        remove(entry)
        entry.waiter.refuse(tooLate(maxWait))
      }
    }
  }

  return {
    enter(user, waiter) {
      if (taken >= places || waiting > 0) return wait(user, waiter)
      taken += 1
      return undefined
    },
    leave() {
      taken -= 1
      if (waiting > 0) fillPlaces()
    },
    get waiting() {
      return waiting
    },
    whenNoneWaits: () =>
      waiting === 0 ? Promise.resolve() : new Promise((resolve) => onNoneWaits.push(resolve)),
    refuseAll(error) {
      for (const user of turns.snapshot()) {
        for (const entry of user.entries.snapshot()) {
          if (remove(entry)) entry.waiter.refuse(error)
        }
      }
    },
  }
}

/** A member of one list at a time. */
abstract class Linked<T> {
  previous: T | undefined
  next: T | undefined
  isListed = false
}

/** The waiting requests of one user, the oldest first. */
class User extends Linked<User> {
  readonly name: string
  readonly entries = new List<Entry>()

  constructor(name: string) {
    super()
    this.name = name
  }
}

class Entry extends Linked<Entry> implements Waiting {
  readonly user: User
  readonly waiter: Waiter
  readonly since: number
  readonly #remove: (entry: Entry) => boolean

  constructor(user: User, waiter: Waiter, since: number, remove: (entry: Entry) => boolean) {
    super()
    this.user = user
    this.waiter = waiter
    this.since = since
    this.#remove = remove
  }

  cancel(): boolean {
    return this.#remove(this)
  }
}

/** Doubly linked: adds at the end and removes anywhere in constant time. */
class List<T extends Linked<T>> {
  first: T | undefined
  #last: T | undefined
  size = 0

  append(item: T): void {
    item.previous = this.#last
    item.next = undefined
    item.isListed = true
    if (this.#last === undefined) this.first = item
    else this.#last.next = item
    this.#last = item
    this.size += 1
  }

  /** False when the item is not in the list any more. */
  remove(item: T): boolean {
    if (!item.isListed) return false
    const { previous, next } = item
    if (previous === undefined) this.first = next
    else previous.next = next
    if (next === undefined) this.#last = previous
    else next.previous = previous
    item.previous = undefined
    item.next = undefined
    item.isListed = false
    this.size -= 1
    return true
  }

  snapshot(): T[] {
    const items: T[] = []
    for (let item = this.first; item !== undefined; item = item.next) items.push(item)
    return items
  }
}

function tooManyOfUser(limit: number): StatusError {
  return new StatusError(
    'TooManyRequests',
    `too many requests of this user are waiting for the API server (limit: ${limit}), retry after 1s`,
    retryAfter(1),
  )
}

function tooMany(waiting: number): UpstreamError {
  return new UpstreamError(
    'queue',
    'ServiceUnavailable',
    'too many requests are waiting for the API server',
    { headers: RETRY, cause: new Error(`${waiting} requests are waiting`) },
  )
}

function tooLate(maxWait: number): UpstreamError {
  return new UpstreamError(
    'queue',
    'ServiceUnavailable',
    'the API server is too busy: this request waited too long for its turn',
    { headers: RETRY, cause: new Error(`it waited for ${maxWait / 1_000} s`) },
  )
}
