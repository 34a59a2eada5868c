-- Takes a transporter out of the index, and keeps late positions of it out for a while.
-- KEYS: the off-flag, then for each type its GEO set and its last-seen.
-- ARGV: how long the flag stands (ms), then for each type the number of members, and the members.
redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
local argument = 2
for key = 2, #KEYS, 2 do
  for member = argument + 1, argument + ARGV[argument] do
    redis.call('ZREM', KEYS[key], ARGV[member])
    redis.call('ZREM', KEYS[key + 1], ARGV[member])
  end
  argument = argument + ARGV[argument] + 1
end
