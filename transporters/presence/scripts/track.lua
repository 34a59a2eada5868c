-- Follows one member: remembers where it is, and puts it into the index of its vehicle types.
-- KEYS: its record, the transporter's off-flag, then for each type its GEO set and its last-seen.
-- ARGV: the record that the caller started from, the new one, how long to keep it (ms),
--       1 to list it (0: remember only), how long a point is fresh (ms), the member, the captain's
--       own member, at (ms), lng, lat; then for each type the number of the fleet's vehicles of
--       that type, and their members.
-- Returns 1, or, writing nothing, the record that another process has put there meanwhile.
local known = redis.call('GET', KEYS[1]) or ''
if known ~= ARGV[1] then return known end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
if ARGV[4] == '0' or redis.call('EXISTS', KEYS[2]) == 1 then return 1 end

local member, captain, lng, lat = ARGV[6], ARGV[7], ARGV[9], ARGV[10]
-- The server's own clock, the same for all who write and read.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local fresh_since = now - ARGV[5]
local at = math.min(tonumber(ARGV[8]), now)
if at < fresh_since then return 1 end

local argument = 11
for key = 3, #KEYS, 2 do
  local geo, seen = KEYS[key], KEYS[key + 1]
  if member ~= captain then
    redis.call('GEOADD', geo, lng, lat, member)
    redis.call('ZADD', seen, at, member)
  end
  -- The captain's point stands for vehicles without a fix of their own, while there are any.
  local needed = false
  for vehicle = argument + 1, argument + ARGV[argument] do
    local score = redis.call('ZSCORE', seen, ARGV[vehicle])
    if not score or tonumber(score) < fresh_since then
      needed = true
      break
    end
  end
  if not needed then
    redis.call('ZREM', geo, captain)
    redis.call('ZREM', seen, captain)
  elseif member == captain then
    redis.call('GEOADD', geo, lng, lat, captain)
    redis.call('ZADD', seen, at, captain)
  end
  argument = argument + ARGV[argument] + 1
end
return 1
