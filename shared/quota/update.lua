-- What was learned of one bucket since the last decision; see reserve.lua for its ten numbers.
--
-- ARGV  now (empty: the server's clock), then one of
--       park, how long, after a refusal (1 or 0): nothing is given for so long; never shortens a longer wait
--       background, how long: nothing is given to background work for so long; the newest word holds, 0 ends it
--       pace, how long, every, bg_every, burst, how long background waits: the platform's own numbers, which
--       hold for so long
--       passed: the call that went alone was not refused

local SHAPE, NOTHING = '<dddddddddd', { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
local TAT, BG, PARKED, BG_PARKED, PROBE, PROBING, TOLD_UNTIL, EVERY, BG_EVERY, BURST = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
local IDLE = 600000

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local packed = redis.call('GET', KEYS[1])
local state = packed and { struct.unpack(SHAPE, packed) } or { unpack(NOTHING) }
local what, until_then = ARGV[2], now + (tonumber(ARGV[3]) or 0)

if what == 'passed' then
    if state[PROBING] == 0 then
        return 0
    end
    -- A refusal that came in between has parked it until another instant: that one holds.
    if state[PARKED] == state[PROBING] then
        state[PARKED], state[PROBE], state[PROBING] = 0, 0, 0
    end
elseif what == 'park' then
    -- A probe's own mark is no pause to outlast.
    if state[PARKED] < until_then or state[PARKED] == state[PROBING] then
        state[PARKED] = until_then
    end
    if ARGV[4] == '1' then
        state[PROBE], state[PROBING] = 1, 0
    end
elseif what == 'background' then
    if until_then <= now and state[BG_PARKED] <= now then
        return 0
    end
    state[BG_PARKED] = until_then
else
    local every, bg_every, burst = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
    local bg_burst = math.max(1, burst * every / bg_every)
    -- What was owed at another pace has been counted by the platform: no more of it stays than a burst, and
    -- nothing of what was owed out of caution while its numbers were not known.
    local known = state[TOLD_UNTIL] > now
    state[TAT] = math.min(state[TAT], now + (known and every * burst or 0))
    state[BG] = math.min(state[BG], now + (known and bg_every * bg_burst or 0))
    state[TOLD_UNTIL], state[EVERY], state[BG_EVERY], state[BURST] = until_then, every, bg_every, burst
    state[BG_PARKED] = now + tonumber(ARGV[7])
end

local last = math.max(state[TAT], state[BG], state[PARKED], state[BG_PARKED], state[TOLD_UNTIL])
redis.call('SET', KEYS[1], struct.pack(SHAPE, unpack(state)),
           'PX', string.format('%d', math.max(last - now, 0) / 1000 + IDLE))
return 1
