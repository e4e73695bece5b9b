/**
 * The scripts that decide about limits in Redis. A bucket is one number, the time until which it is used
 * up (GCRA, ITU-T I.371), and running requests are leases. All times are microseconds of Redis' own
 * clock, so that a replica whose clock is off does no harm. Whatever comes from a user is a digest in
 * KEYS or a number in ARGV.
 */
import { countOf, listOf, unexpectedReply } from '../state/script-reply.ts'
import { defineScript } from '../state/shared-store.ts'
import type { BucketSize } from './token-bucket.ts'

/**
 * Takes tokens that a replica has given out already, or gives some back, and then takes more if they are
 * there. The debt is limited to one full bucket. If something runs with these tokens, also counts what
 * runs in the other replicas, and writes the lease of this one. When tokens are wanted and there are none
 * or too many run, the lease stays as it was.
 *
 * KEYS: the bucket; if something runs, the hash of running requests by replica.
 * ARGV: microseconds per token; burst; tokens given out; tokens wanted; and with the hash: replica;
 * running in it; most in all; lease in milliseconds.
 * Returns the time until the bucket is full, the time until the tokens are there (0 if they were taken),
 * and what runs in the other replicas.
 *
 * A bucket that is used up for longer than two full ones is of another clock, after a fail-over.
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
local others = 0
if KEYS[2] then
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    if all[i] ~= ARGV[5] then
      local count, ends = string.match(all[i + 1], '^(%d+):(%d+)$')
      local left = count and tonumber(ends) - now
      if left and left > 0 and left <= 2000 * ARGV[8] then others = others + tonumber(count)
      else redis.call('HDEL', KEYS[2], all[i]) end
    end
  end
  local isRefused = wanted > 0 and (wait > 0 or others + tonumber(ARGV[6]) > tonumber(ARGV[7]))
  if ARGV[6] == '0' then redis.call('HDEL', KEYS[2], ARGV[5])
  elseif not isRefused then
    local ends = string.format('%.0f', now + 1000 * ARGV[8])
    redis.call('HSET', KEYS[2], ARGV[5], ARGV[6] .. ':' .. ends)
    redis.call('PEXPIRE', KEYS[2], ARGV[8])
  end
end
return {math.ceil(at - now), math.ceil(wait), others}
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

/** Microseconds per token. */
export function stepOf({ requestsPerSecond }: BucketSize): number {
  return 1_000_000 / requestsPerSecond
}

/** Tokens in a bucket that is full after `fullMicroseconds`; fewer than none is a debt. */
export function tokensOf(size: BucketSize, fullMicroseconds: number): number {
  return size.burst - fullMicroseconds / stepOf(size)
}

/** What `CHARGE` returns. */
export interface Charge {
  /** Whether the tokens that were wanted were there. */
  readonly allowed: boolean
  /** Tokens that are left. */
  readonly tokens: number
  /** Until the tokens that were wanted are there. */
  readonly waitMs: number
  /** Until the bucket is full. */
  readonly fullMs: number
  /** What runs in the other replicas; 0 where nothing is counted. */
  readonly others: number
}

/** @throws Error for a reply that the script does not give */
export function readCharge(reply: unknown, size: BucketSize): Charge {
  const numbers = listOf(reply).map(countOf)
  if (numbers.length !== 3) return unexpectedReply()
  const [full, wait, others] = numbers as [number, number, number]
  // As far as a bucket can owe, and then one token: clients wait for as long as the response says.
  const longest = 2 * size.burst * stepOf(size) + 1
  if (full > longest || wait > longest + stepOf(size)) return unexpectedReply()
  const tokens = tokensOf(size, full)
  return { allowed: wait === 0, tokens, waitMs: wait / 1_000, fullMs: full / 1_000, others }
}
