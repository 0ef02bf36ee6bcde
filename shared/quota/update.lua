-- Updates one bucket with what a platform's answer says; reserve.lua describes its ten numbers.
--
-- ARGV  now (empty: the server's clock), then one of
--       pause, how long, after a refusal (1 or 0): no call for so long; never shortens a longer pause
--       background, how long: no background call for so long; the newest value applies, 0 ends it
--       pace, how long, every, bg_every, burst, how long background waits: the pace computed from the
--       platform's own numbers, which applies for so long
--       probe_succeeded: the probe was not refused
--       reopen: any pause ends, and the first call after it goes alone, as a probe

local SHAPE, UNKNOWN = '<dddddddddd', { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }
local TAT, BG, PAUSED, BG_PAUSED, PROBE = 1, 2, 3, 4, 5
local PROBING, REPORTED_UNTIL, EVERY, BG_EVERY, BURST = 6, 7, 8, 9, 10
local IDLE = 600000

local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
local packed = redis.call('GET', KEYS[1])
local state = packed and { struct.unpack(SHAPE, packed) } or { unpack(UNKNOWN) }
local update, until_then = ARGV[2], now + (tonumber(ARGV[3]) or 0)

if update == 'probe_succeeded' then
    if state[PROBING] == 0 then
        return
    end
    -- A refusal that came in between has paused the bucket until another instant: that pause stays.
    if state[PAUSED] == state[PROBING] then
        state[PAUSED], state[PROBE], state[PROBING] = 0, 0, 0
    end
elseif update == 'pause' then
    -- The mark of a probe under way is not a pause that a shorter one must respect.
    if state[PAUSED] < until_then or state[PAUSED] == state[PROBING] then
        state[PAUSED] = until_then
    end
    if ARGV[4] == '1' then
        state[PROBE], state[PROBING] = 1, 0
    end
elseif update == 'reopen' then
    state[PAUSED], state[PROBE], state[PROBING] = 0, 1, 0
elseif update == 'background' then
    if until_then <= now and state[BG_PAUSED] <= now then
        return
    end
    state[BG_PAUSED] = until_then
else
    local every, bg_every, burst = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
    local bg_burst = math.max(1, burst * every / bg_every)
    -- The platform has counted what is owed at another pace: at most a burst of it stays, and nothing of what a
    -- bucket owes out of caution while the platform's numbers are not known.
    local known = state[REPORTED_UNTIL] > now
    state[TAT] = math.min(state[TAT], now + (known and every * burst or 0))
    state[BG] = math.min(state[BG], now + (known and bg_every * bg_burst or 0))
    state[REPORTED_UNTIL], state[EVERY], state[BG_EVERY], state[BURST] = until_then, every, bg_every, burst
    state[BG_PAUSED] = now + tonumber(ARGV[7])
end

local last = math.max(state[TAT], state[BG], state[PAUSED], state[BG_PAUSED], state[REPORTED_UNTIL])
redis.call('SET', KEYS[1], struct.pack(SHAPE, unpack(state)),
           'PX', string.format('%d', math.max(last - now, 0) / 1000 + IDLE))
