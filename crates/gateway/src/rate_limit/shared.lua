-- GCRA: counts one request against all policies (KEYS), or against none if one of them refuses it.
-- ARGV: for each policy its emission interval and its tolerance, in microseconds.
-- A key holds the policy's theoretical arrival time (TAT) in microseconds of this server's clock, and expires then.
-- Returns 1 if the request is refused, then the backlog (TAT minus now) of each policy. Same arithmetic as in_process.rs.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local refused, backlog = 0, {}
for i, key in ipairs(KEYS) do
  local emission_interval, tolerance = tonumber(ARGV[2 * i - 1]), tonumber(ARGV[2 * i])
  local tat = tonumber(redis.call('GET', key) or '0')
  backlog[i] = math.min(math.max(tat - now, 0), tolerance)
  if backlog[i] + emission_interval > tolerance then refused = 1 end
end
if refused == 0 then
  for i, key in ipairs(KEYS) do
    backlog[i] = backlog[i] + tonumber(ARGV[2 * i - 1])
    redis.call('SET', key, string.format('%.0f', now + backlog[i]), 'PX', math.ceil(backlog[i] / 1000))
  end
end
return {refused, unpack(backlog)}
