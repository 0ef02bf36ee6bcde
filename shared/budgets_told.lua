-- What was learned of one bucket since the last decision; see budgets.lua for its ten numbers.
--
-- ARGV  now (empty: the server's clock), then one of
--       park, how long, for background alone (1 or 0), after a refusal (1 or 0): nothing is given for so long
--       pace, how long, every, bg_every, burst: the platform's own numbers, which hold for so long
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
    local field = ARGV[4] == '1' and BG_PARKED or PARKED
    -- A probe's own mark is no pause to outlast.
    if state[field] < until_then or (field == PARKED and state[PARKED] == state[PROBING]) then
        state[field] = until_then
    end
    if ARGV[5] == '1' then
        state[PROBE], state[PROBING] = 1, 0
    end
else
    local every, bg_every, burst = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
    state[TOLD_UNTIL], state[EVERY], state[BG_EVERY], state[BURST] = until_then, every, bg_every, burst
    -- What was owed at another pace has been counted by the platform: no more of it stays than a burst.
    state[TAT] = math.min(state[TAT], now + every * burst)
    state[BG] = math.min(state[BG], now + bg_every * burst)
end

local last = math.max(state[TAT], state[BG], state[PARKED], state[BG_PARKED], state[TOLD_UNTIL])
redis.call('SET', KEYS[1], struct.pack(SHAPE, unpack(state)),
           'PX', string.format('%d', math.max(last - now, 0) / 1000 + IDLE))
return 1
