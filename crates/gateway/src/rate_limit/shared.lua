-- Counts one request against all windows (KEYS), or against none if one refuses it.
-- ARGV: per window the microseconds that give back one request, and those that fit in.
-- A key holds when its window is full again, in microseconds of this server's clock, and goes at that moment.
-- Returns 1 if refused, then per window the microseconds in use. The same arithmetic as in_process.rs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local refused, used = 0, {}
for i, key in ipairs(KEYS) do
  local emission, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local full_at = tonumber(redis.call('GET', key) or '0')
  used[i] = math.min(math.max(full_at - now, 0), tolerance)
  if used[i] + emission > tolerance then refused = 1 end
end
if refused == 0 then
  for i, key in ipairs(KEYS) do
    used[i] = used[i] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', key, string.format('%.0f', now + used[i]), 'PX', math.ceil(used[i] / 1000))
  end
end
return {refused, unpack(used)}
