import { defineScript } from '../state/shared-store.ts'

/**
 * Counts a failed sign-in, as `createFailedSignIns` does. All times are milliseconds of Redis' clock.
 *
 * KEYS: the hash of an address. ARGV: window; failures before a ban; first ban; longest ban; most users;
 * field of the claimed user, or an empty one.
 * Returns the failures, those of the user, how much longer the address is banned, and 1 if the ban is new.
 */
export const COUNT_FAILURE = defineScript(`
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function get(field) return tonumber(redis.call('HGET', KEYS[1], field) or 0) or 0 end
local function set(field, value)
  redis.call('HSET', KEYS[1], field, string.format('%.0f', value))
end
local window, longest = tonumber(ARGV[1]), tonumber(ARGV[4])
local ends, bans, since = get('until'), get('bans'), get('since')
if ends > now + longest then ends = 0 end
if now < ends then return {0, 0, ends - now, 0} end
if now - ends >= longest then bans = 0 end
if since == 0 or since > now or now - since >= window then
  redis.call('DEL', KEYS[1])
  set('since', now)
  set('until', ends)
  set('bans', bans)
end
local failures = get('failures') + 1
set('failures', failures)
local user = 0
if ARGV[6] ~= '' then
  user = get(ARGV[6]) + 1
  if user == 1 and redis.call('HLEN', KEYS[1]) >= 4 + tonumber(ARGV[5]) then user = 0
  else set(ARGV[6], user) end
end
if failures < tonumber(ARGV[2]) then
  -- Addresses cost nothing to whoever has many (IPv6): only those that were banned are kept for longer.
  local kept = window
  if bans > 0 then kept = math.max(window, longest) end
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
  return {failures, user, 0, 0}
end
local length = math.min(longest, tonumber(ARGV[3]) * 2 ^ bans)
redis.call('DEL', KEYS[1])
set('until', now + length)
set('bans', bans + 1)
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', length + longest))
return {failures, user, length, 1}
`)
