"""
What Redis does at one stroke: the registry's operations, in Lua.

Keys, behind a prefix in braces, so that a cluster keeps them together:

- ``peer:ID``: a hash, the registration; outlives its retention a little
- ``lease:ID``: which daemon holds the association; its life is the lease
- ``peers``: ids by number; ``running``: by end of lease; ``ending``: by end of retention (ms)
- ``room:NAME``: a hash; ``in:NAME``: who is in it; ``rooms``: names by end (ms)
- ``sequence``, ``number``: counters; ``key``: what tickets are sealed with
- ``nonce:NONCE``: spent; ``changes``, ``node:NODE``: channels

Fields of a registration: ``i`` id, ``u`` username, ``h`` host, ``p`` port, ``r`` room, ``k`` key
(hex), ``a`` away, ``n`` number, ``s`` last seen, ``o`` observed (``IP PORT``), ``w`` daemon, ``d``
digest of the secret (hex); and, as it is told, ``l``: its lease runs.  All are strings, empty for
none.
"""

from __future__ import annotations

from typing import Final

DAY: Final = 86_400_000
"""Milliseconds for which a room outlives its last member."""
GRACE: Final = 60_000
"""Milliseconds for which a forgotten registration can still be told of as such."""

_PRELUDE: Final = f"""
local P = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local told = {{}}

local function load(id)
  local flat = redis.call('HGETALL', P .. ':peer:' .. id)
  if #flat == 0 then return nil end
  local ends = redis.call('ZSCORE', P .. ':ending', id)
  if not ends or tonumber(ends) <= now then return nil end
  local it = {{}}
  for n = 1, #flat, 2 do it[flat[n]] = flat[n + 1] end
  it.l = redis.call('EXISTS', P .. ':lease:' .. id) == 1 and '1' or ''
  return it
end

local function number()
  return string.format('%.0f', redis.call('INCR', P .. ':number'))
end

local function tell(it, gone, removed)
  local q = redis.call('INCR', P .. ':sequence')
  if q == 1 then
    q = now
    redis.call('SET', P .. ':sequence', string.format('%.0f', q))
  end
  local said = cjson.encode({{q = string.format('%.0f', q), g = gone, x = removed, r = it}})
  redis.call('PUBLISH', P .. ':changes', said)
  told[#told + 1] = said
end

local function save(it)
  local flat = {{}}
  for name, value in pairs(it) do
    if name ~= 'l' then
      flat[#flat + 1] = name
      flat[#flat + 1] = value
    end
  end
  redis.call('HSET', P .. ':peer:' .. it.i, unpack(flat))
end

local function use(room)
  if room ~= '' then redis.call('ZADD', P .. ':rooms', now + {DAY}, room) end
end

local function renew(it, lease, keep)
  it.s = time[1] .. '.' .. string.format('%06d', time[2])
  it.l = '1'
  save(it)
  redis.call('SET', P .. ':lease:' .. it.i, it.w, 'PX', lease)
  redis.call('PEXPIRE', P .. ':peer:' .. it.i, keep + {GRACE})
  redis.call('ZADD', P .. ':running', now + lease, it.i)
  redis.call('ZADD', P .. ':ending', now + keep, it.i)
end

local function leave(it)
  redis.call('ZREM', P .. ':peers', it.i)
  if it.r ~= '' then
    redis.call('SREM', P .. ':in:' .. it.r, it.i)
    use(it.r)
  end
end

local function arrive(it)
  redis.call('ZADD', P .. ':peers', it.n, it.i)
  if it.r ~= '' then
    redis.call('SADD', P .. ':in:' .. it.r, it.i)
    use(it.r)
  end
end

local function move(it, room)
  leave(it)
  tell(it, '1', '')
  it.r = room
  it.n = number()
  arrive(it)
end

local function drop(it)
  leave(it)
  redis.call('DEL', P .. ':peer:' .. it.i, P .. ':lease:' .. it.i)
  redis.call('ZREM', P .. ':running', it.i)
  redis.call('ZREM', P .. ':ending', it.i)
  it.l = '' it.o = '' it.w = ''
  tell(it, '1', '1')
end

local function forget(most)
  local over = redis.call('ZRANGEBYSCORE', P .. ':ending', '-inf', now, 'LIMIT', 0, most)
  for _, id in ipairs(over) do
    local flat = redis.call('HGETALL', P .. ':peer:' .. id)
    local it = {{i = id, u = '', h = '', p = '1', r = '', k = '', a = '', n = '0', s = '0', d = ''}}
    for n = 1, #flat, 2 do it[flat[n]] = flat[n + 1] end
    drop(it)
  end
end

local function answer(fields)
  if #told > 0 then fields.t = told end
  return cjson.encode(fields)
end

local function failed(why)
  return answer({{e = why}})
end
"""



def _whole(script: str) -> bytes:
    return (_PRELUDE + script).encode()


REGISTER: Final = _whole("""
local id, username, host, port, room = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local given, brought, made, proven, derived = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local lease, keep, limit = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
if room ~= '' and redis.call('EXISTS', P .. ':room:' .. room) == 0 then return failed('room') end
local it = load(id)
if it then
  local owner
  if proven ~= '' and it.k ~= '' then
    owner = proven == it.k
  else
    owner = given ~= '' and given == it.d
  end
  if not owner then
    if derived ~= '1' then return failed('owner') end
    drop(it)
    it = nil
  end
end
if not it then
  forget(64)
  if redis.call('ZCARD', P .. ':peers') >= limit then return failed('full') end
  local secret = brought ~= '' and brought or made
  it = {i = id, u = username, h = host, p = port, r = room, k = proven, a = '', n = number(),
        s = '', o = '', w = '', d = secret}
  arrive(it)
  renew(it, lease, keep)
  tell(it, '', '')
  return answer({r = it, n = '1', m = secret == made and '1' or ''})
end
local changed, told_of = it.l == '', ''
if given ~= it.d then
  it.d = brought ~= '' and brought or made
  told_of = it.d == made and '1' or ''
end
if room ~= '' and room ~= it.r then
  move(it, room)
  changed = true
end
if it.k == '' and proven ~= '' then
  it.k = proven
  changed = true
end
if it.u ~= username or it.h ~= host or it.p ~= port then
  it.u = username it.h = host it.p = port
  changed = true
end
renew(it, lease, keep)
if changed then tell(it, '', '') end
return answer({r = it, n = '', m = told_of})
""")

LOOKUP: Final = _whole("""
local it = load(ARGV[1])
if not it then return failed('peer') end
return answer({r = it})
""")

UNREGISTER: Final = _whole("""
local it = load(ARGV[1])
if not it then return failed('peer') end
if ARGV[2] ~= it.d then return failed('owner') end
drop(it)
return answer({})
""")

ASSOCIATE: Final = _whole("""
local id, seen, node, arriving = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local it = load(id)
if not it or (arriving == '' and it.w ~= node) then return failed('peer') end
local changed = it.l == '' or it.o ~= seen or it.w ~= node
it.o = seen
it.w = node
renew(it, tonumber(ARGV[5]), tonumber(ARGV[6]))
if changed then
  tell(it, '', '')
else
  redis.call('PUBLISH', P .. ':changes', cjson.encode({s = it.s, i = it.i}))
end
return answer({r = it})
""")

DISSOCIATE: Final = _whole("""
local it = load(ARGV[1])
if it and it.w == ARGV[2] then
  it.o = ''
  it.w = ''
  save(it)
  tell(it, '', '')
end
return answer({})
""")

SET_AWAY: Final = _whole("""
local it = load(ARGV[1])
if not it then return failed('peer') end
if it.a ~= ARGV[2] then
  it.a = ARGV[2]
  save(it)
  tell(it, '', '')
end
return answer({})
""")

ENTER: Final = _whole("""
local it, room = load(ARGV[1]), ARGV[2]
if not it then return failed('peer') end
if room ~= '' and redis.call('EXISTS', P .. ':room:' .. room) == 0 then return failed('room') end
if it.r ~= room then
  move(it, room)
  save(it)
  tell(it, '', '')
end
return answer({})
""")

OPEN_ROOM: Final = _whole("""
local room = ARGV[1]
if redis.call('EXISTS', P .. ':room:' .. room) == 1 then return failed('taken') end
if redis.call('ZCARD', P .. ':rooms') >= tonumber(ARGV[4]) then return failed('full') end
redis.call('HSET', P .. ':room:' .. room, 'lock', ARGV[2], 'secret', ARGV[3])
use(room)
local said = cjson.encode({o = room, k = ARGV[2], d = ARGV[3]})
redis.call('PUBLISH', P .. ':changes', said)
told[1] = said
return answer({})
""")

ROOM: Final = _whole("""
local lock = redis.call('HGET', P .. ':room:' .. ARGV[1], 'lock')
if not lock then return failed('room') end
return answer({k = lock})
""")

_END_ROOM: Final = """
local function end_room(room)
  for _, id in ipairs(redis.call('SMEMBERS', P .. ':in:' .. room)) do
    local it = load(id)
    if it then
      move(it, '')
      save(it)
      tell(it, '', '')
    end
  end
  redis.call('DEL', P .. ':room:' .. room, P .. ':in:' .. room)
  redis.call('ZREM', P .. ':rooms', room)
  local said = cjson.encode({c = room})
  redis.call('PUBLISH', P .. ':changes', said)
  told[#told + 1] = said
end
"""

CLOSE_ROOM: Final = _whole(f"""
{_END_ROOM}
local secret = redis.call('HGET', P .. ':room:' .. ARGV[1], 'secret')
if not secret then return failed('room') end
if secret ~= ARGV[2] then return failed('owner') end
end_room(ARGV[1])
return answer({{}})
""")

SWEEP: Final = _whole(f"""
{_END_ROOM}
local ended = redis.call('ZRANGEBYSCORE', P .. ':running', '-inf', now, 'LIMIT', 0, 256)
for _, id in ipairs(ended) do
  if redis.call('EXISTS', P .. ':lease:' .. id) == 0 then
    redis.call('ZREM', P .. ':running', id)
    local it = load(id)
    if it then tell(it, '', '') end
  end
end
forget(64)
for _, room in ipairs(redis.call('ZRANGEBYSCORE', P .. ':rooms', '-inf', now, 'LIMIT', 0, 64)) do
  if redis.call('SCARD', P .. ':in:' .. room) > 0 then use(room) else end_room(room) end
end
return answer({{}})
""")

SNAPSHOT: Final = _whole("""
local peers, rooms = {}, {}
for _, id in ipairs(redis.call('ZRANGE', P .. ':peers', 0, -1)) do
  local it = load(id)
  if it then peers[#peers + 1] = cjson.encode(it) end
end
for _, room in ipairs(redis.call('ZRANGE', P .. ':rooms', 0, -1)) do
  local kept = redis.call('HMGET', P .. ':room:' .. room, 'lock', 'secret')
  if kept[1] then rooms[#rooms + 1] = cjson.encode({o = room, k = kept[1], d = kept[2]}) end
end
local q = redis.call('GET', P .. ':sequence')
if not q or tonumber(q) < tonumber(ARGV[1]) then
  q = string.format('%.0f', math.max(now, tonumber(ARGV[1])))
  redis.call('SET', P .. ':sequence', q)
end
return '{"q":"' .. q .. '","p":[' .. table.concat(peers, ',') .. '],"m":['
  .. table.concat(rooms, ',') .. ']}'
""")

RESTORE: Final = _whole("""
local given = cjson.decode(ARGV[1])
local lease, keep, lock, secret = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
if given.r ~= '' and redis.call('EXISTS', P .. ':room:' .. given.r) == 0 then
  redis.call('HSET', P .. ':room:' .. given.r, 'lock', lock, 'secret', secret)
  use(given.r)
end
local it = load(given.i)
if it then
  if it.d ~= given.d or (it.w ~= '' and it.w ~= given.w) then return failed('peer') end
  if it.l ~= '' and it.o == given.o and it.w == given.w then
    renew(it, lease, keep)
    return answer({})
  end
  it.o = given.o
  it.w = given.w
else
  it = given
  local last = tonumber(redis.call('GET', P .. ':number') or '0')
  if last < tonumber(it.n) then redis.call('SET', P .. ':number', it.n) end
  arrive(it)
end
renew(it, lease, keep)
tell(it, '', '')
return answer({})
""")

KEY: Final = _whole("""
redis.call('SET', P .. ':key', ARGV[1], 'NX')
return redis.call('GET', P .. ':key')
""")

SPEND: Final = _whole("""
if redis.call('SET', P .. ':nonce:' .. ARGV[1], '', 'NX', 'PX', ARGV[2]) then return 1 end
return 0
""")
