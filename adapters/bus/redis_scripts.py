"""What the server does in one step: scripts that it runs."""

from hashlib import sha1
from typing import NamedTuple, Self

from adapters.bus.redis_connection import RedisConnection, RefusedByServer, Reply


class Script(NamedTuple):
    """A script, and the digest by which a server that ran it before knows it."""

    text: str
    digest: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Return the script of that text."""
        return cls(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


PUBLISH_MANY = Script.of("""
local key, first, begins = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1'
local last = 0
if redis.call('EXISTS', key) == 1 then
    local information = redis.call('XINFO', 'STREAM', key)
    for i = 1, #information, 2 do
        if information[i] == 'last-generated-id' then
            last = tonumber(string.match(information[i + 1], '^%d+'))
        end
    end
end
if (begins or last >= first - 1) and last < 1e12 then
    for i = 3, #ARGV do
        local sequence = first + i - 3
        if sequence > last then
            redis.call('XADD', key, string.format('%.0f-0', sequence), 'data', ARGV[i])
        end
    end
end
return {last, redis.call('XLEN', key)}
""")
"""Appends messages numbered from a sequence, unless that leaves a gap behind what the stream holds.

KEYS: the stream. ARGV: the first sequence, 1 where a gap is allowed, the messages. Returns the
number of the position before them, and the stream's length after.
"""


ADVANCE_GROUP = Script.of("""
local key, group, position, passed = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local function named(row)
    local found = {}
    for i = 1, #row, 2 do found[row[i]] = row[i + 1] end
    return found
end
local function behind(one, other)
    local number, addition = string.match(one, '^(%d+)-?(%d*)$')
    local other_number, other_addition = string.match(other, '^(%d+)-?(%d*)$')
    number, other_number = tonumber(number), tonumber(other_number)
    if number ~= other_number then return number > other_number end
    return (tonumber(addition) or 0) > (tonumber(other_addition) or 0)
end
local function entries_read(before)
    if redis.call('EXISTS', key) == 0 then return 'ENTRIESREAD', 0 end
    local stream = named(redis.call('XINFO', 'STREAM', key))
    local added, first = stream['entries-added'], stream['first-entry']
    if not behind(stream['last-generated-id'], position) then
        return 'ENTRIESREAD', added
    elseif first and behind(first[1], position) then
        return 'ENTRIESREAD', added - stream['length']
    elseif before and passed then
        return 'ENTRIESREAD', before + passed
    end
end
for _, row in ipairs(redis.pcall('XINFO', 'GROUPS', key)) do
    local found = named(row)
    if found['name'] == group then
        if found['pending'] > 0 then
            redis.call('XGROUP', 'DESTROY', key, group)
            break
        end
        if behind(position, found['last-delivered-id']) then
            local read = {entries_read(found['entries-read'])}
            redis.call('XGROUP', 'SETID', key, group, position, unpack(read))
        end
        return
    end
end
redis.call('XGROUP', 'CREATE', key, group, position, 'MKSTREAM', entries_read())
""")
"""Moves a group on to where its reader's record is, never back; makes it where there is none.

What it held as pending is behind that position, and is forgotten. KEYS: the stream. ARGV: the
group, the position, and where it is known how many messages the group passes: with it the server
tells the group's lag, which otherwise has to be counted message by message.
"""


async def run_script(
    connection: RedisConnection, script: Script, key: str | bytes, *arguments: str | bytes | int
) -> Reply:
    """Run a script on one key and return its answer."""
    try:
        return await connection.call("EVALSHA", script.digest, 1, key, *arguments)
    except RefusedByServer as problem:
        if not str(problem).startswith("NOSCRIPT"):
            raise
    return await connection.call("EVAL", script.text, 1, key, *arguments)
