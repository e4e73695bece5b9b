/**
 * Locks in Redis: one hash, with a sealed record for each lock, by the digest of its target. The field
 * `version` is another one after each change (lock-manifest.ts); without it the hash was lost.
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
 * Changes the locks, unless somebody else has changed them.
 *
 * KEYS: the hash. ARGV: the version that is known, empty if there is none; the next one; how many fields
 * to remove, and these; then fields and records. Returns 1; 0 for another version.
 */
export const CHANGE_LOCKS = defineScript(`
local version = redis.call('HGET', KEYS[1], 'version') or ''
if version ~= ARGV[1] then return 0 end
if version == '' then redis.call('DEL', KEYS[1]) end
local removed = tonumber(ARGV[3])
for i = 4, 3 + removed do redis.call('HDEL', KEYS[1], ARGV[i]) end
for i = 4 + removed, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('HSET', KEYS[1], 'version', ARGV[2])
return 1
`)
