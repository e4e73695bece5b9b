/**
 * Revocations in Redis: a hash of sealed records by the digest of what they say, which are only added and
 * never changed; a sorted set of these digests by the order in which they were added, and one by when they
 * end. A fourth key has the name of this collection and the number of the last record.
 */
import { defineScript } from '../state/shared-store.ts'

/**
 * KEYS: about the collection, order, ends, records. ARGV: the name of a new collection; the field that must
 * not be there yet, or an empty text; how many records there may be; then field, record, and when it ends in
 * milliseconds since the epoch. Returns 1; 0 if the field is there; -1 if there are too many.
 */
export const ADD_REVOCATIONS = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ended = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, 1000)
for _, field in ipairs(ended) do
  redis.call('HDEL', KEYS[4], field)
  redis.call('ZREM', KEYS[2], field)
  redis.call('ZREM', KEYS[3], field)
end
if ARGV[2] ~= '' and redis.call('HEXISTS', KEYS[4], ARGV[2]) == 1 then return 0 end
local added = 0
for i = 4, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[4], ARGV[i]) == 0 then added = added + 1 end
end
if redis.call('HLEN', KEYS[4]) + added > tonumber(ARGV[3]) then return -1 end
redis.call('HSETNX', KEYS[1], 'name', ARGV[1])
for i = 4, #ARGV, 3 do
  local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
  redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1])
  redis.call('ZADD', KEYS[2], number, ARGV[i])
  redis.call('ZADD', KEYS[3], ARGV[i + 2], ARGV[i])
end
return 1
`)

/**
 * KEYS: about the collection, order, records. ARGV: the name of the collection that is known; the number of
 * the last record that was read; how many to read. Returns the name of the collection, empty if there is
 * none; the number of its last record; that of the last one that is returned; the fields and the records. Of
 * another collection it begins with the first one.
 */
export const READ_REVOCATIONS = defineScript(`
local about = redis.call('HMGET', KEYS[1], 'name', 'last')
if not about[1] or not about[2] then return {'', 0, 0, {}, {}} end
local last = tonumber(about[2])
local since = tonumber(ARGV[2])
if about[1] ~= ARGV[1] or last < since then since = 0 end
local fields = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. since, '+inf', 'LIMIT', 0, ARGV[3])
if #fields == 0 then return {about[1], last, last, {}, {}} end
local read = tonumber(redis.call('ZSCORE', KEYS[2], fields[#fields]))
if #fields < tonumber(ARGV[3]) then read = last end
local records = redis.call('HMGET', KEYS[3], unpack(fields))
for i = 1, #fields do if not records[i] then records[i] = '' end end
return {about[1], last, read, fields, records}
`)
