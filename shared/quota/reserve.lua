-- Reserves one call in several buckets: all of them or none.
--
-- Each bucket is a GCRA (generic cell rate algorithm): it stores only its theoretical arrival time (tat), the
-- instant at which everything reserved from it has been used up at the steady rate. A call costs `every`
-- microseconds, and at most `burst` calls may be owed at once. Background work has a second, slower tat (bg),
-- so that the share reserved for interactive work is always available.
--
-- KEYS  one bucket each: ten packed numbers (0: not known).
--       tat, bg
--       paused, bg_paused     no call before this instant, or no background call
--       probe                 1 after a refusal: the first call after the pause goes alone, as a probe
--       probing               until when the probe under way may take
--       reported_until, every, bg_every, burst
--                             the pace computed from the platform's own numbers, and how long it applies
-- ARGV  now (empty: the server's clock), cost, background (1 or 0), how long a probe may take,
--       and for each bucket: every, bg_every, burst, fresh (calls that a bucket without a stored state starts
--       with); every = 0: no pace is known
-- All times are in microseconds. Returns: wait (0: reserved), the bucket with the longest wait, whether that
-- bucket is paused (2: only until the probe under way returns), the buckets that this call probes as a bit set,
-- and the smallest part left of a paced bucket in thousandths (-1: none is paced) with that bucket.

local SHAPE, UNKNOWN = '<dddddddddd', { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
local TAT, BG, PAUSED, BG_PAUSED, PROBE = 1, 2, 3, 4, 5
local PROBING, REPORTED_UNTIL, EVERY, BG_EVERY, BURST = 6, 7, 8, 9, 10
local IDLE = 600000 -- milliseconds for which a bucket is kept beyond its last use
local max, min = math.max, math.min

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local cost, background, probe_for = tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

-- Returns the wait, the tat after the call, and the part of the burst that is owed before it.
local function gcra(tat, every, burst, fresh)
    if tat == 0 then -- a bucket without a stored state admits its first call, whatever the cost
        local owed = (burst - fresh) * every
        return 0, now + owed + cost * every, owed / (burst * every)
    end
    local owed = max(tat - now, 0)
    local wait = owed - (burst - min(cost, burst)) * every
    if wait < 1 then -- less than a microsecond is a rounding error
        wait = 0
    end
    return wait, now + owed + cost * every, owed / (burst * every)
end

local longest, slowest, is_paused = 0, 0, 0
local least, least_of = 2, 0
local states, changed = {}, {}

local function consider(wait, bucket, paused)
    if wait > longest then
        longest, slowest, is_paused = wait, bucket, paused
    end
end

for i, key in ipairs(KEYS) do
    local packed = redis.call('GET', key)
    local state = packed and { struct.unpack(SHAPE, packed) } or { unpack(UNKNOWN) }
    consider(state[PAUSED] - now, i, state[PAUSED] == state[PROBING] and 2 or 1)
    if background then
        consider(state[BG_PAUSED] - now, i, 1)
    end
    local at = i * 4
    local every, bg_every = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local burst, fresh = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    if state[REPORTED_UNTIL] > now then
        every, bg_every, burst = state[EVERY], state[BG_EVERY], state[BURST]
        fresh = burst
    end
    if every > 0 then
        local wait, tat, owed = gcra(state[TAT], every, burst, fresh)
        consider(wait, i, 0)
        state[TAT], changed[i] = tat, true
        if 1 - owed < least then
            least, least_of = 1 - owed, i
        end
        if background then
            local bg_burst = burst * every / bg_every
            wait, state[BG] = gcra(state[BG], bg_every, bg_burst, min(fresh, bg_burst))
            consider(wait, i, 0)
        end
    end
    states[i] = state
end

local left = least_of > 0 and math.floor(max(least, 0) * 1000) or -1
if longest > 0 then
    return { math.ceil(longest), slowest, is_paused, 0, left, least_of }
end

local probes = 0
for i, key in ipairs(KEYS) do
    local state = states[i]
    if state[PROBE] == 1 then
        probes = probes + 2 ^ (i - 1)
        state[PAUSED], state[PROBING], changed[i] = now + probe_for, now + probe_for, true
    end
    if changed[i] then
        local last = max(state[TAT], state[BG], state[PAUSED], state[BG_PAUSED], state[REPORTED_UNTIL])
        redis.call('SET', key, struct.pack(SHAPE, unpack(state)),
                   'PX', string.format('%d', (last - now) / 1000 + IDLE))
    end
end
return { 0, 0, 0, probes, left, least_of }
