-- The nearest fresh members of some vehicle types: widens until enough are found.
-- KEYS: the mark that the index is filled, then for each type its GEO set and its last-seen.
-- ARGV: lng, lat, radius (m), how many of each type, how long a point is fresh (ms),
--       1 for a summary (how many, and the nearest one) or 0 for all.
-- Returns whether the index is filled, then for each type its count followed by member, lng, lat
-- and at (ms) of each one given. Stale members that it meets are removed.
local time = redis.call('TIME')
local fresh_since = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[5]
local radius, want, summary = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[6] == '1'
-- Doubling: a search sorts all within its radius, and in a crowd a step too wide sorts thousands.
local STEPS = {125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000}

local function sweep(geo, seen, most)
  local stale = redis.call('ZRANGEBYSCORE', seen, '-inf', '(' .. fresh_since, 'LIMIT', 0, most)
  if #stale > 0 then
    redis.call('ZREM', geo, unpack(stale))
    redis.call('ZREM', seen, unpack(stale))
  end
end

-- Fresh members within the radius, nearest first, at least `want` of them if there are so many.
local function within(geo, seen, reach)
  local count = want
  while true do
    local found = redis.call('GEOSEARCH', geo, 'FROMLONLAT', ARGV[1], ARGV[2], 'BYRADIUS', reach,
                             'm', 'ASC', 'COUNT', count, 'WITHCOORD')
    local fresh = {}
    for _, one in ipairs(found) do
      local at = redis.call('ZSCORE', seen, one[1])
      if at and tonumber(at) >= fresh_since then
        fresh[#fresh + 1] = {one[1], one[2][1], one[2][2], at}
      else
        redis.call('ZREM', geo, one[1])
        redis.call('ZREM', seen, one[1])
      end
    end
    -- Fewer than asked for: these are all. Otherwise stale ones took places: ask for more.
    if #fresh >= want or #found < count then return fresh end
    count = count * 4
  end
end

local answer = {redis.call('EXISTS', KEYS[1])}
for key = 2, #KEYS, 2 do
  local geo, seen = KEYS[key], KEYS[key + 1]
  sweep(geo, seen, 200)
  -- A small set is searched at once; the steps only spare sorting crowds.
  local step = redis.call('ZCARD', geo) > 10 * want and 1 or #STEPS + 1
  local found
  repeat
    local reach = math.min(STEPS[step] or radius, radius)
    found = within(geo, seen, reach)
    step = step + 1
  until #found >= want or reach >= radius
  local part = {#found}
  for i = 1, summary and math.min(#found, 1) or #found do
    for _, value in ipairs(found[i]) do part[#part + 1] = value end
  end
  answer[#answer + 1] = part
end
return answer
