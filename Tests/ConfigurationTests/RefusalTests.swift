import Configuration
import Proxy
import Testing

/// What is refused, and how the error puts it.
@Suite struct RefusalTests {
    @Test func namesFileLineTextAndNearestDirective() {
        #expect(
            refusal("\n# comment\nreplcia 10.0.0.1:6379")
                == "proxy.conf:3: unknown directive 'replcia' in 'replcia 10.0.0.1:6379': did you mean 'replica'?")
    }

    @Test func saysOnlyTheNameOfADirectiveThatResemblesNone() {
        #expect(refusal("daemonize yes") == "proxy.conf:1: unknown directive 'daemonize'")
    }

    @Test func knowsWhatRedisCallsDirectives() {
        #expect(refusal("replicaof 10.0.0.1 1")?.hasSuffix("did you mean 'master'?") == true)
        #expect(refusal("masteruser x")?.hasSuffix("did you mean 'backend-user'?") == true)
    }

    @Test func suggestsTheNearestChoice() {
        #expect(
            refusal("read-from prefer-replcia")
                == "proxy.conf:1: read-from must be one of master, prefer-master, replica, prefer-replica, any "
                + "in 'read-from prefer-replcia': did you mean 'prefer-replica'?")
        #expect(refusal("mode sentinel") == "proxy.conf:1: mode must be static in 'mode sentinel'")
        #expect(refusal("client-output-buffer-limit pubsbu 1 1 1")?.hasSuffix("did you mean 'pubsub'?") == true)
        #expect(refusal("replica a:1 wieght 2")?.hasSuffix("did you mean 'weight'?") == true)
    }

    @Test(arguments: [
        "port", "port 1 2", "port \"\"", "port -1", "port 65536", "port 1.5", "port 0x10", "port +1", "port １",
        "port 99999999999999999999999999", "port -99999999999999999999999999", "port 18446744073709551616", "threads -1",
        "threads 513", "maxclients 0", "maxclients 10000001", "maxclients many", "metrics-port 70000", "timeout -1",
        "timeout 500ms", "timeout 2147483648", "timeout 153722867280912931m", "timeout 1d", "timeout s", "tcp-keepalive 32768",
        "connect-timeout 0", "connect-timeout 1.5s", "request-timeout -5", "request-timeout 9223372036854775807h",
        "max-replica-lag-bytes -1", "max-replica-lag-bytes 1tb", "max-replica-lag-bytes mb", "max-replica-lag-bytes 1 mb",
        "max-replica-lag-bytes 9223372036854775807gb", "max-replica-lag-bytes 281474976710657", "proto-max-bulk-len 0",
        "client-query-buffer-limit 1", "maxmemory-buffers 0", "client-output-buffer-limit normal 1 1",
        "client-output-buffer-limit normal 1 1 1 pubsub", "client-output-buffer-limit normal -1 0 0",
        "client-output-buffer-limit normal 1 2 0", "client-output-buffer-limit master 1 1 1", "client-output-buffer-limit \"\"",
        "bind", "bind \"\"", "bind 10.0.0.256", "bind -", "bind [::1]", "bind ::1::2", "bind a/b", "read-from",
        "read-from both",
        "admin-commands yes", "loglevel loud", "log-format xml", "replica-selection best", "zone \"a b\"", "zone é", "mode on",
        "backend-user \"a b\"", "deny-command |x", "deny-command a|b|c", "deny-command", "rename-command a",
        "rename-command a b c",
        "rename-command a|b c", "rename-command a A", "rename-command a \"b c\"", "include", "include \"\"", "include a b",
    ])
    func refusesValue(_ line: String) throws {
        let text = try #require(refusal("loglevel notice\n\(line)"))
        #expect(text.hasPrefix("proxy.conf:2: \(line.split(separator: " ")[0]) "), "\(text)")
    }

    @Test(arguments: [
        "10.0.0.1", "10.0.0.1:", "10.0.0.1:0", "10.0.0.1:65536", "10.0.0.1:-1", ":6379", "::1:6379", "[::1]", "[::1]6379",
        "[]:1",
        "[10.0.0.1]:1", "[::1%]:1", "[:::]:1", "10.0.0.300:1", "10.0.1:1", "-a:1", "a b:1", "a/b:1", "a:1:2", "hôte:1",
        "10.0.0.1 6379",
    ])
    func refusesEndpoint(_ endpoint: String) {
        #expect(refusal("master \"\(endpoint)\"") != nil)
        #expect(refusal("replica \(endpoint)") != nil)
    }

    @Test(arguments: [
        "weight", "weight 0", "weight 1001", "weight -1", "weight x", "zone", "weight 1 weight 1", "zone a zone b", "zone \"\"",
        "# comment",
    ])
    func refusesReplicaOption(_ option: String) {
        #expect(refusal("replica 10.0.0.1:1 \(option)")?.hasPrefix("proxy.conf:1: replica ") == true)
    }

    @Test func explainsHowToWriteIPv6Endpoints() {
        #expect(
            refusal("master ::1:6379")
                == "proxy.conf:1: master takes HOST:PORT, with an IPv6 address in brackets, as in [::1]:6379 in 'master ::1:6379'"
        )
    }

    @Test func explainsThatCommentsNeedTheirOwnLine() {
        #expect(refusal("port 1 # clients")?.contains("a comment needs a line of its own") == true)
    }

    @Test(arguments: ["replica", "slave"])
    func explainsWhyThereIsNoOutputLimitForReplicas(_ name: String) {
        let text = refusal("client-output-buffer-limit \(name) 256mb 64mb 60")
        #expect(text?.contains("replicas connect to their master, not to the proxy") == true)
    }

    @Test func refusesUnbalancedQuotes() {
        #expect(refusal("zone \"a") == "proxy.conf:1: unbalanced quotes in 'zone \"a'")
    }

    // MARK: Contradictions

    @Test func staticModeNeedsAMaster() {
        #expect(throws: ConfigurationError.self) { try Configuration.load(path: nil, commandLine: []) }
        let expected = "mode static needs a master: write 'master HOST:PORT' in proxy.conf, or start with '--master HOST:PORT'"
        let files = Files(["a.conf": "port 1\n", "b.conf": "port 1\nmode static\nthreads 1\n"])
        #expect(message { try Configuration.load(path: nil, commandLine: []) } == "no configuration given: \(expected)")
        #expect(message { try Configuration.load(path: nil, commandLine: ["--port", "1"]) } == "command line: \(expected)")
        #expect(
            message { try Configuration.load(path: "a.conf", commandLine: [], readFile: files.read) } == "a.conf: \(expected)")
        #expect(
            message { try Configuration.load(path: "b.conf", commandLine: [], readFile: files.read) }
                == "b.conf:2: \(expected) in 'mode static'")
    }

    @Test func blamesTheLaterOfTwoEqualReplicas() {
        #expect(
            refusal("replica a:1\nreplica A:1 weight 2\nreplica b:1")
                == "proxy.conf:2: replica a:1 is listed twice in 'replica A:1 weight 2'")
        #expect(refusal("replica [::1]:1\nport 2\nreplica [0::1]:1")?.hasPrefix("proxy.conf:3: ") == true)
    }

    @Test func blamesTheLaterOfMasterAndEqualReplica() {
        #expect(
            refusal("replica b:1\nreplica a:1\nmaster a:1") == "proxy.conf:3: replica a:1 is also the master in 'master a:1'")
        #expect(refusal("master a:1\nreplica b:1\nreplica a:1\nport 1")?.hasPrefix("proxy.conf:3: ") == true)
    }

    @Test func blamesTheCommandLineThatContradictsAFile() {
        #expect(
            refusal("replica a:1", commandLine: ["--replica", "a:1"])
                == "command line: replica a:1 is listed twice in '--replica a:1'")
    }

    @Test(arguments: [
        ("read-from replica", "read-from replica needs a replica"),
        ("port 0", "needs a Unix socket"),
        ("metrics-port 7379", "port and metrics-port are both 7379"),
        ("backend-user x", "needs a password"),
        ("master 127.0.0.1:7379", "the address that this proxy listens on"),
        ("replica [::1]:7379", "the address that this proxy listens on"),
        ("rename-command a x\nrename-command b X", "'a' and 'b' the same new name"),
    ])
    func refusesContradiction(_ text: String, _ reason: String) throws {
        let message = try #require(refusal(text))
        #expect(message.contains(reason))
        #expect(message.hasPrefix("proxy.conf:"))
    }

    @Test func optionsThemselvesKnowTheirContradictions() {
        var options = ProxyOptions()
        #expect(options.validate().map(\.settings) == [[.init("mode"), .init("master")]])
        options.master = .init(host: "a", port: 1)
        #expect(options.validate().isEmpty)
        options.outputLimitPubsub.softBytes = options.outputLimitPubsub.hardBytes + 1
        #expect(options.validate().map(\.settings) == [[.init("client-output-buffer-limit")]])
        options.outputLimitPubsub.hardBytes = 0
        #expect(options.validate().isEmpty)
    }
}
