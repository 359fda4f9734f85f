-- lua-redis: lua_client.lua PORT
local redis = require "redis"
local socket = require "socket"
local r = redis.connect("127.0.0.1", tonumber(arg[1]))
local function eventually(f, what) for _ = 1, 500 do if f() then return end socket.sleep(0.01) end error("never: " .. what) end
r:flushall()
assert(r:set("k", "v"))
eventually(function() return r:get("k") == "v" end, "get")
assert(r:incr("n") == 1)
r:hmset("h", { a = "1", b = "2" })
eventually(function() local h = r:hgetall("h") return h.a == "1" and h.b == "2" end, "hgetall")
local replies = r:pipeline(function(p) for i = 1, 200 do p:incr("count") p:echo("e" .. i) end end)
assert(#replies == 400 and replies[399] == 200 and replies[400] == "e200")
local results = r:transaction(function(t) t:incr("t") t:incr("t") end)
assert(results[1] == 1 and results[2] == 2)
assert(r:eval("return ARGV[1]", 0, "x") == "x")
assert(not pcall(function() r:lpush("k", "x") end))
r:rpush("l", "a")
assert(r:blpop("l", 1)[2] == "a")
local publisher = redis.connect("127.0.0.1", tonumber(arg[1]))
local got = {}
for message, abort in r:pubsub({ subscribe = { "ch" } }) do
    if message.kind == "subscribe" then for i = 1, 10 do publisher:publish("ch", tostring(i)) end
    elseif message.kind == "message" then got[#got + 1] = message.payload if #got == 10 then abort() end end
end
assert(table.concat(got, ",") == "1,2,3,4,5,6,7,8,9,10")
print("ok")
