-- Puts points from PostgreSQL into the index of one vehicle type, unless it knows newer ones.
-- KEYS: the GEO set and last-seen. ARGV: member, at (ms), lng, lat, off-flag of its transporter, …
for i = 1, #ARGV, 5 do
  local member, at = ARGV[i], ARGV[i + 1]
  local known = redis.call('ZSCORE', KEYS[2], member)
  local is_newer = not known or tonumber(known) < tonumber(at)
  if is_newer and redis.call('EXISTS', ARGV[i + 4]) == 0 then
    redis.call('GEOADD', KEYS[1], ARGV[i + 2], ARGV[i + 3], member)
    redis.call('ZADD', KEYS[2], at, member)
  end
end
