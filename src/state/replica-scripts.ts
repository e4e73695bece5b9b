/** Scripts with which replicas count each other, and probe whether the store can be written. */
import { defineScript } from './shared-store.ts'

/**
 * KEYS: the sorted set of replicas, by the end of their leases. ARGV: replica; lease in milliseconds.
 * Returns how many are alive.
 */
export const COUNT_REPLICAS = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
redis.call('ZREMRANGEBYSCORE', KEYS[1], now + 2 * tonumber(ARGV[2]), '+inf')
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return redis.call('ZCARD', KEYS[1])
`)

/** KEYS: the sorted set of replicas. ARGV: replica. */
export const LEAVE_REPLICAS = defineScript(`
return redis.call('ZREM', KEYS[1], ARGV[1])
`)

/** KEYS: any key of the slot that is probed. Writes, since a Redis without memory still reads. */
export const PROBE = defineScript(`
redis.call('SET', KEYS[1], '1', 'PX', 1000)
return 1
`)
