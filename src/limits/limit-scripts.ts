/**
 * The scripts that decide about limits in Redis. A bucket is one number, the time until which it is used
 * up (GCRA, ITU-T I.371), and running requests are leases. All times are microseconds of Redis' own
 * clock, so that a replica whose clock is off does no harm. Whatever comes from a user is a digest in
 * KEYS or a number in ARGV.
 */
import { defineScript, unexpectedReply } from '../state/shared-store.ts'
import type { BucketSize } from './token-bucket.ts'

/**
 * Takes a token of a bucket, and renews the lease of a replica's running requests.
 *
 * KEYS: the bucket; the hash of running requests by replica.
 * ARGV: microseconds per token; burst; replica; running in it; most in all; lease in milliseconds.
 * Returns the outcome (0: allowed, 1: no token, 2: too many run; the token was taken), the time until
 * the bucket is full, the time until there is a token, and what runs in all replicas.
 *
 * A bucket that is used up for longer than it takes to fill is of another clock, after a fail-over.
 */
export const DECIDE = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local step = tonumber(ARGV[1])
local full = step * tonumber(ARGV[2])
local at = tonumber(redis.call('GET', KEYS[1]) or 0)
if at < now then at = now end
if at > now + 2 * full then
  at = now + full
  redis.call('SET', KEYS[1], string.format('%.1f', at), 'PX', math.ceil(full / 1000) + 1)
end
local wait = at + step - full - now
if wait > 0 then return {1, math.ceil(at - now), math.ceil(wait), 0} end
at = at + step
redis.call('SET', KEYS[1], string.format('%.1f', at), 'PX', math.ceil((at - now) / 1000) + 1)
local running = tonumber(ARGV[4])
local all = redis.call('HGETALL', KEYS[2])
for i = 1, #all, 2 do
  if all[i] ~= ARGV[3] then
    local count, ends = string.match(all[i + 1], '^(%d+):(%d+)$')
    local left = count and tonumber(ends) - now
    if left and left > 0 and left <= 2000 * ARGV[6] then running = running + tonumber(count)
    else redis.call('HDEL', KEYS[2], all[i]) end
  end
end
if running > tonumber(ARGV[5]) then return {2, math.ceil(at - now), 0, running} end
local ends = string.format('%.0f', now + 1000 * ARGV[6])
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] .. ':' .. ends)
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return {0, math.ceil(at - now), 0, running}
`)

/**
 * Takes tokens that a replica has given out already, or gives some back, and then takes more if they are
 * there. The debt is limited to one full bucket.
 *
 * KEYS: the bucket. ARGV: microseconds per token; burst; tokens given out; tokens wanted.
 * Returns the time until the bucket is full, and until the tokens are there; 0 if they were taken.
 */
export const CHARGE = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local step = tonumber(ARGV[1])
local full = step * tonumber(ARGV[2])
local at = tonumber(redis.call('GET', KEYS[1]) or 0)
if at < now then at = now end
if at > now + 2 * full then at = now + full end
at = math.max(now, math.min(now + 2 * full, at + step * tonumber(ARGV[3])))
local wanted = step * tonumber(ARGV[4])
local wait = math.max(0, at + wanted - full - now)
if wanted > 0 and wait == 0 then at = at + wanted end
redis.call('SET', KEYS[1], string.format('%.1f', at), 'PX', math.ceil((at - now) / 1000) + 1)
return {math.ceil(at - now), math.ceil(wait)}
`)

/**
 * Renews or removes the lease of a replica.
 *
 * KEYS: the hash of running requests by replica. ARGV: replica; running in it; lease in milliseconds.
 */
export const RENEW = defineScript(`
if ARGV[2] == '0' then return redis.call('HDEL', KEYS[1], ARGV[1]) end
local time = redis.call('TIME')
local ends = tonumber(time[1]) * 1000000 + tonumber(time[2]) + 1000 * ARGV[3]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ':' .. string.format('%.0f', ends))
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
`)

/** What `DECIDE` returns. */
export interface Decision {
  readonly outcome: 'allowed' | 'rate' | 'running'
  /** Tokens that are left. */
  readonly tokens: number
  /** Until there is a token again; 0 when one was taken. */
  readonly waitMs: number
  /** Until the bucket is full. */
  readonly fullMs: number
  /** Requests or streams of the user in all replicas; 0 if there was no token. */
  readonly running: number
}

const OUTCOMES = ['allowed', 'rate', 'running'] as const

/** Microseconds per token. */
export function stepOf({ requestsPerSecond }: BucketSize): number {
  return 1_000_000 / requestsPerSecond
}

/** Tokens in a bucket that is full after `fullMicroseconds`; fewer than none is a debt. */
export function tokensOf(size: BucketSize, fullMicroseconds: number): number {
  return size.burst - fullMicroseconds / stepOf(size)
}

/** @throws Error for a reply that the script does not give */
export function readDecision(reply: unknown, size: BucketSize): Decision {
  if (!Array.isArray(reply) || reply.length !== 4) return unexpectedReply()
  const [code, full, wait, running] = reply.map(countOf) as [number, number, number, number]
  const outcome = OUTCOMES[code] ?? unexpectedReply()
  const tokens = tokensOf(size, full)
  return { outcome, tokens, waitMs: wait / 1_000, fullMs: full / 1_000, running }
}

/** What `CHARGE` returns. */
export interface Charge {
  /** Whether the tokens that were wanted were there. */
  readonly allowed: boolean
  /** Tokens that are left. */
  readonly tokens: number
  /** Until the tokens that were wanted are there. */
  readonly waitMs: number
}

/** @throws Error for a reply that the script does not give */
export function readCharge(reply: unknown, size: BucketSize): Charge {
  if (!Array.isArray(reply) || reply.length !== 2) return unexpectedReply()
  const [full, wait] = reply.map(countOf) as [number, number]
  return { allowed: wait === 0, tokens: tokensOf(size, full), waitMs: wait / 1_000 }
}

/** @throws Error for anything but a whole number that is not negative */
export function countOf(reply: unknown): number {
  return typeof reply === 'number' && Number.isSafeInteger(reply) && reply >= 0
    ? reply
    : unexpectedReply()
}
