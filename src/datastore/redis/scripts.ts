/**
 * What happens on the server in one step, in Lua, and where everything lies.
 *
 *   {tortie}:objects:BUCKET   hash    key -> "REVISION JSON"
 *   {tortie}:events:BUCKET    stream  id REVISION-0: p the revision of the event before, t "w" or "d", k key, v JSON
 *   {tortie}:state            hash    revision; last:BUCKET the revision of its last event; server, settled (below)
 *   {tortie}:blocks           zset    "4:FIRST-LAST KEY" in hex, all of one score: the blocks in the order of their addresses
 *   {tortie}:ranges           hash    key -> its member of blocks
 *
 * All keys have one hash tag, so a cluster keeps them in one slot and a script may touch them all.
 *
 * A revision is a counter times 65,536 and a random number: after a failover that lost writes the counter gives the same numbers to
 * other writes, and nobody must take the one for the other. Blocks never overlap one another, so the one that could hold an
 * address is the last that begins before it: a look costs O(log n).
 *
 * Settling. A server that answers for the first time since it was started or promoted may have forgotten blocks. Their nodes say so
 * again as soon as they notice; for a while only they may (ARGV "reassert"), so nobody else gets what has an owner already.
 */
import type { IpPrefix } from 'node-bgp/address';
import { BLOCKS } from '../object-table.js';

export const SALT = 65_536;

export interface Keys {
  readonly state: string;
  readonly blocks: string;
  readonly ranges: string;
  readonly objects: (bucket: string) => string;
  readonly events: (bucket: string) => string;
}

export const keysOf = (prefix: string): Keys => ({
  state: `{${prefix}}:state`,
  blocks: `{${prefix}}:blocks`,
  ranges: `{${prefix}}:ranges`,
  objects: (bucket) => `{${prefix}}:objects:${bucket}`,
  events: (bucket) => `{${prefix}}:events:${bucket}`,
});

/** "0a410000-0a41003f" with its family before it: sorts as the addresses do. */
export function rangeText({ family, value, length }: IpPrefix): string {
  const digits = family === 4 ? 8 : 32;
  const size = 1n << BigInt((family === 4 ? 32 : 128) - length);
  const hex = (address: bigint): string => address.toString(16).padStart(digits, '0');
  return `${family}:${hex(value)}-${hex(value + size - 1n)}`;
}

/** KEYS: state, blocks, ranges, objects, events. */
const COMMON = `
local state, blocks, ranges, objects, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- A member of blocks that shares an address with "4:FIRST-LAST", or nil; never this member itself.
local function overlapping(range, own)
  local family, first, last = string.match(range, '^(%d:)(%x+)-(%x+)$')
  local before = redis.call('ZREVRANGEBYLEX', blocks, '[' .. family .. first .. '~', '[' .. family, 'LIMIT', 0, 2)
  for _, member in ipairs(before) do
    if member ~= own and string.match(member, '^%d:%x+-(%x+) ') >= first then return member end
  end
  local within = redis.call('ZRANGEBYLEX', blocks, '[' .. family .. first, '[' .. family .. last .. '~', 'LIMIT', 0, 2)
  for _, member in ipairs(within) do
    if member ~= own then return member end
  end
  return nil
end

-- Milliseconds for which only owners may say what is theirs; 0 when the server has settled.
local function unsettled(settle)
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)') or ''
  local known = redis.call('HGET', state, 'server')
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if known ~= server then
    redis.call('HSET', state, 'server', server, 'settled', known and string.format('%.0f', now + settle) or '0')
  end
  return math.max(0, (tonumber(redis.call('HGET', state, 'settled')) or 0) - now)
end

local function record(bucket, key, kind, json, salt, history)
  local before = tonumber(redis.call('HGET', state, 'revision')) or 0
  local revision = string.format('%.0f', (math.floor(before / ${SALT}) + 1) * ${SALT} + salt)
  local last = redis.call('HGET', state, 'last:' .. bucket) or '0'
  redis.call('HSET', state, 'revision', revision, 'last:' .. bucket, revision)
  if kind == 'w' then redis.call('HSET', objects, key, revision .. ' ' .. json)
  else redis.call('HDEL', objects, key) end
  redis.call('XADD', events, 'MAXLEN', '~', history, revision .. '-0', 'p', last, 't', kind, 'k', key, 'v', json)
  return revision
end

-- Whoever is told of a write of somebody else waits for replicas too: WAIT counts from this connection's own last write.
local function touch() redis.call('HSET', state, 'touched', '1') end
`;

/** ARGV: bucket, key, revision before, "w" or "d", json, salt, history, range or "", "reassert" or "", settle. */
export const COMMIT = `${COMMON}
local bucket, key, before, kind, json, salt, history, range = unpack(ARGV, 1, 8)
local current = redis.call('HGET', objects, key)
local revision = current and string.match(current, '^%d+') or '0'
if revision ~= before then touch() return {'changed'} end
local own = bucket == '${BLOCKS}' and redis.call('HGET', ranges, key)
if range ~= '' then
  local other = overlapping(range, own)
  if other then touch() return {'overlaps', string.match(other, ' (.*)$')} end
  if not current and ARGV[9] == '' then
    local wait = unsettled(tonumber(ARGV[10]))
    if wait > 0 then return {'settling', wait} end
  end
end
if own and (kind == 'd' or range ~= '') then
  redis.call('ZREM', blocks, own)
  redis.call('HDEL', ranges, key)
end
if range ~= '' then
  redis.call('ZADD', blocks, 0, range .. ' ' .. key)
  redis.call('HSET', ranges, key, range .. ' ' .. key)
end
if kind == 'd' then json = string.gsub(current, '^%d+ ', '') end
return {'done', record(bucket, key, kind, json, tonumber(salt), history)}
`;

/**
 * ARGV: bucket, family, first of the range, last of the range, addresses in a block, where to begin, json with placeholders, salt,
 * history, settle, most steps, where to go on, "1" when that is behind the end of the range, then ranges that are held. Addresses in hex.
 * Answers the claimed block's first address, "none", or where to go on.
 */
export const CLAIM = `${COMMON}
local bucket, family, first, last, size, start, json, salt, history = unpack(ARGV, 1, 9)
size = tonumber(size)
local wait = unsettled(tonumber(ARGV[10]))
if wait > 0 then return {'settling', wait} end

-- hex + n, for 0 <= n < 2^32; nil past the last address there is.
local function plus(hex, n)
  local words = {}
  for at = #hex - 7, 1, -8 do
    local word = tonumber(string.sub(hex, at, at + 7), 16) + n
    n = word >= 4294967296 and 1 or 0
    table.insert(words, 1, string.format('%08x', word % 4294967296))
  end
  if n > 0 then return nil end
  return table.concat(words)
end

local function isHeld(range)
  local from, to = string.match(range, ':(%x+)-(%x+)')
  for index = 14, #ARGV do
    local heldFamily, heldFrom, heldTo = string.match(ARGV[index], '^(%d):(%x+)-(%x+)$')
    if heldFamily == family and heldFrom <= to and from <= heldTo then return ARGV[index] end
  end
  return nil
end

-- The first block behind this member or range.
local function behind(range)
  local ending = string.match(range, ':%x+-(%x+)')
  local next = plus(ending, 1)
  if not next then return nil end
  local low = tonumber(string.sub(next, -8), 16) % size
  return low == 0 and next or plus(next, size - low)
end

local function addressText(hex)
  if #hex == 8 then
    return (string.gsub(hex, '%x%x', function(byte) return tonumber(byte, 16) .. '.' end)):sub(1, -2)
  end
  local groups, best, bestLength, run = {}, 0, 1, 0
  for at = 1, 29, 4 do table.insert(groups, string.format('%x', tonumber(string.sub(hex, at, at + 3), 16))) end
  for index = 1, 8 do
    run = groups[index] == '0' and run + 1 or 0
    if run > bestLength then best, bestLength = index - run + 1, run end
  end
  if best == 0 then return table.concat(groups, ':') end
  return table.concat(groups, ':', 1, best - 1) .. '::' .. table.concat(groups, ':', best + bestLength, 8)
end

local at, hasWrapped = ARGV[12], ARGV[13] == '1'
for step = 1, tonumber(ARGV[11]) do
  if not at or at > last then
    if hasWrapped then return {'none'} end
    at, hasWrapped = first, true
  end
  if hasWrapped and at >= start then return {'none'} end
  local range = family .. ':' .. at .. '-' .. plus(at, size - 1)
  local other = overlapping(range, nil) or isHeld(range)
  if not other then
    local length = family == '4' and 32 or 128
    local addresses = size
    while addresses > 1 do addresses, length = addresses / 2, length - 1 end
    local cidr = addressText(at) .. '/' .. length
    local key = string.gsub(string.gsub(cidr, '^:', '0:'), '[.:/]', '-')
    json = string.gsub(string.gsub(json, '@CIDR@', cidr), '@NAME@', key)
    redis.call('ZADD', blocks, 0, range .. ' ' .. key)
    redis.call('HSET', ranges, key, range .. ' ' .. key)
    record(bucket, key, 'w', json, tonumber(salt), history)
    return {'done', at}
  end
  at = behind(other)
end
touch()
if at and at <= last then return {'more', at, hasWrapped and '1' or '0'} end
if hasWrapped then return {'none'} end
return {'more', first, '1'}
`;

/** KEYS: state, objects. ARGV: bucket. Everything of a bucket and the revision that it is at. */
export const LIST = `
return {redis.call('HGET', KEYS[1], 'last:' .. ARGV[1]) or '0', redis.call('HGETALL', KEYS[2])}
`;
