/**
 * Locks in Redis: one hash, with a sealed record for each lock, by the digest of its target. The field
 * `version` is another one after each change; without it the hash was lost.
 */
import { defineScript } from '../state/shared-store.ts'

/** The name of that field; digests are longer. */
export const VERSION_FIELD = 'version'

/**
 * KEYS: the hash. ARGV: the version that is known. Returns the version, empty if there is none; the time
 * in milliseconds; and, if the version is another one, all fields with their values.
 */
export const READ_LOCKS = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local version = redis.call('HGET', KEYS[1], 'version')
if not version then return {'', now} end
if version == ARGV[1] then return {version, now} end
return {version, now, redis.call('HGETALL', KEYS[1])}
`)

/**
 * KEYS: the hash. ARGV: 1 if a version is known; the next version; how many locks there may be; the field
 * and record to set, or two empty ones; then fields to remove. Returns how many were removed; -1 if the
 * hash was lost; -2 if there are too many locks.
 */
export const CHANGE_LOCKS = defineScript(`
if ARGV[1] == '1' and not redis.call('HGET', KEYS[1], 'version') then return -1 end
local sets = ARGV[4] ~= ''
if sets and redis.call('HLEN', KEYS[1]) > tonumber(ARGV[3])
  and not redis.call('HGET', KEYS[1], ARGV[4]) then return -2 end
local removed = 0
for i = 6, #ARGV do removed = removed + redis.call('HDEL', KEYS[1], ARGV[i]) end
if sets then redis.call('HSET', KEYS[1], ARGV[4], ARGV[5]) end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
return removed
`)

/** KEYS: the hash. ARGV: the next version; then fields and records. Writes them only if the hash was lost. */
export const RESTORE_LOCKS = defineScript(`
if redis.call('HGET', KEYS[1], 'version') then return 0 end
for i = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'version', ARGV[1])
return 1
`)
