-- One decision about several buckets, all or nothing.
--
-- GCRA: a bucket remembers only the instant at which all that was taken from it is paid off (tat). Each call
-- costs `every`, and no more than `burst` calls may be owed at once. Background work has a slower clock of its
-- own beside it (bg), so that what is reserved for people is always there.
--
-- KEYS  a bucket each: ten numbers, packed (0: not known). tat, bg | parked, bg_parked: nothing is given until
--       then, or nothing to background | probe: 1 after a refusal, so whoever comes first once that has passed
--       goes alone; probing: until when it may | told_until, every, bg_every, burst: the pace that the
--       platform's own numbers ask for
-- ARGV  now (empty: the server's clock), cost, background (1 or 0), how long a probe may take,
--       and for each bucket: every, bg_every, burst, fresh (calls that a bucket nobody remembers starts with);
--       every = 0: no pace is known
-- All times in microseconds. Answer: wait (0: taken), the bucket that says so, whether it is parked (2: only
-- until a call that goes alone comes back), the buckets that this call probes as bits, and the least part that is
-- left of a paced bucket in thousandths (-1: none is paced) with that bucket.

local SHAPE, NOTHING = '<dddddddddd', { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
local TAT, BG, PARKED, BG_PARKED, PROBE, PROBING, TOLD_UNTIL, EVERY, BG_EVERY, BURST = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local IDLE = 600000 -- milliseconds that a bucket is remembered beyond its last use
local max, min = math.max, math.min

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local cost, background, probe_for = tonumber(ARGV[2]), ARGV[3] == '1', tonumber(ARGV[4])

local function look(tat, every, burst, fresh)
    if tat == 0 then -- what begins to be remembered always gives once, whatever the cost
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

local longest, slowest, is_parked = 0, 0, 0
local least, least_of = 2, 0
local states, changed = {}, {}

local function consider(wait, bucket, parked)
    if wait > longest then
        longest, slowest, is_parked = wait, bucket, parked
    end
end

for i, key in ipairs(KEYS) do
    local packed = redis.call('GET', key)
    local state = packed and { struct.unpack(SHAPE, packed) } or { unpack(NOTHING) }
    consider(state[PARKED] - now, i, state[PARKED] == state[PROBING] and 2 or 1)
    if background then
        consider(state[BG_PARKED] - now, i, 1)
    end
    local at = i * 4
    local every, bg_every = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
    local burst, fresh = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4])
    if state[TOLD_UNTIL] > now then
        every, bg_every, burst = state[EVERY], state[BG_EVERY], state[BURST]
        fresh = burst
    end
    if every > 0 then
        local wait, tat, owed = look(state[TAT], every, burst, fresh)
        consider(wait, i, 0)
        state[TAT], changed[i] = tat, true
        if 1 - owed < least then
            least, least_of = 1 - owed, i
        end
        if background then
            local bg_burst = max(1, burst * every / bg_every)
            wait, state[BG] = look(state[BG], bg_every, bg_burst, min(fresh, bg_burst))
            consider(wait, i, 0)
        end
    end
    states[i] = state
end

local left = least_of > 0 and math.floor(max(least, 0) * 1000) or -1
if longest > 0 then
    return { math.ceil(longest), slowest, is_parked, 0, left, least_of }
end

local probes = 0
for i, key in ipairs(KEYS) do
    local state = states[i]
    if state[PROBE] == 1 then
        probes = probes + 2 ^ (i - 1)
        state[PARKED], state[PROBING], changed[i] = now + probe_for, now + probe_for, true
    end
    if changed[i] then
        local last = max(state[TAT], state[BG], state[PARKED], state[BG_PARKED], state[TOLD_UNTIL])
        redis.call('SET', key, struct.pack(SHAPE, unpack(state)),
                   'PX', string.format('%d', max(last - now, 0) / 1000 + IDLE))
    end
end
return { 0, 0, 0, probes, left, least_of }
