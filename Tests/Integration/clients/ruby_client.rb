# ruby-redis: ruby_client.rb PORT
require "redis"
port = ARGV[0].to_i
r = Redis.new(port: port, timeout: 10)

def check(condition, text = caller(1, 1))
  raise "failed at #{text}" unless condition
end

def eventually
  500.times { return if yield; sleep 0.01 }
  raise "never, at #{caller(1, 1)}"
end

r.flushall
check r.set("k", "v") == "OK"
eventually { r.get("k") == "v" }
check r.incr("n") == 1
r.mapped_hmset("h", "a" => "1", "b" => "2")
eventually { r.hgetall("h") == { "a" => "1", "b" => "2" } }
r.rpush("l", %w[a b c])
eventually { r.lrange("l", 0, -1) == %w[a b c] }
r.zadd("z", [[1.5, "x"], [2, "y"]])
eventually { r.zrange("z", 0, -1, with_scores: true) == [["x", 1.5], ["y", 2.0]] }
check r.pipelined { |p| 100.times { |i| p.set("p#{i}", i) } }.all?("OK")
check r.multi { |m| m.incr("t"); m.incr("t"); m.get("t") } == [1, 2, "2"]
dirty = r.watch("t") do
  Redis.new(port: port).set("t", "other")
  r.multi { |m| m.incr("t") }
end
check dirty.nil?
check r.eval("return {KEYS[1], ARGV[1]}", ["k"], ["a"]) == %w[k a]
sha = r.script(:load, "return 'loaded'")
check r.evalsha(sha) == "loaded"
begin
  r.lpush("k", "x")
  raise "no error"
rescue Redis::CommandError => e
  check e.message.start_with?("WRONGTYPE")
end
messages = []
subscriber = Thread.new do
  Redis.new(port: port, timeout: 10).subscribe("ch") do |on|
    on.message { |_, m| messages << m }
    on.subscribe { Thread.new { sleep 0.1; 10.times { |i| r.publish("ch", i.to_s) }; sleep 0.1; Redis.new(port: port).publish("ch", "stop") } }
  end
end
eventually { messages.last == "stop" }
check messages == (0...10).map(&:to_s) + ["stop"]
subscriber.kill
Thread.new { sleep 0.2; Redis.new(port: port).rpush("q", "job") }
check r.blpop("q", timeout: 5) == %w[q job]
check r.blpop("q", timeout: 0.2).nil?
500.times { |i| r.sadd("s", "m#{i}") }
eventually { r.sscan_each("s").to_a.uniq.size == 500 }
r.xadd("st", { "f" => "v" }, id: "1-1")
eventually { r.xrange("st", "-", "+") == [["1-1", { "f" => "v" }]] }
r.xgroup(:create, "st", "g", "0")
check r.xreadgroup("g", "c", "st", ">") == { "st" => [["1-1", { "f" => "v" }]] }
check r.info["role"] == "master"
check r.client(:list).size >= 1
puts "ok"
