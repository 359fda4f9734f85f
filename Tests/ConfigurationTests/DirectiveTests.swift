import Configuration
import Proxy
import Testing
import Wire

/// What every directive means, by the options it leads to.
@Suite struct DirectiveTests {
    @Test func readsEveryDirective() throws {
        let options = try load(
            #"""
            port 7000
            bind 10.0.0.1 -::1 * -::*
            unixsocket /tmp/a.sock
            threads 4
            mode static
            master [::1]:6380
            replica 10.0.0.2:6379
            replica replica.example.:6379 zone b weight 7
            backend-user proxy
            backend-password "a b"
            requirepass 'p"w'
            read-from replica
            replica-selection lowest-latency
            zone a
            max-replica-lag-bytes 10mb
            max-replica-lag-seconds 1m
            maxclients 5
            timeout 2m
            tcp-keepalive 30s
            connect-timeout 2s
            request-timeout 1m
            client-output-buffer-limit normal 2mb 1mb 30 pubsub 0 0 0
            client-query-buffer-limit 2mb
            proto-max-bulk-len 1mb
            maxmemory-buffers 3g
            admin-commands allow
            rename-command CONFIG Cfg
            rename-command flushall ""
            deny-command KEYS Debug|Sleep
            deny-command keys eval
            metrics-port 9121
            loglevel debug
            logfile "/var/log/a b"
            log-format json
            """#)
        var expected = ProxyOptions()
        expected.port = 7000
        expected.bind = ["10.0.0.1", "-::1", "*", "-::*"]
        expected.unixSocket = "/tmp/a.sock"
        expected.threads = 4
        expected.master = Endpoint(host: "::1", port: 6380)
        expected.replicas = [
            ReplicaOptions(endpoint: Endpoint(host: "10.0.0.2", port: 6379)),
            ReplicaOptions(endpoint: Endpoint(host: "replica.example.", port: 6379), weight: 7, zone: "b"),
        ]
        expected.backendUser = "proxy"
        expected.backendPassword = "a b"
        expected.requirePass = "p\"w"
        expected.readFrom = .replica
        expected.replicaSelection = .lowestLatency
        expected.zone = "a"
        expected.maxReplicaLagBytes = 10 << 20
        expected.maxReplicaLagSeconds = 60
        expected.maxClients = 5
        expected.timeoutSeconds = 120
        expected.tcpKeepaliveSeconds = 30
        expected.connectTimeoutMilliseconds = 2000
        expected.requestTimeoutMilliseconds = 60_000
        expected.outputLimitNormal = OutputBufferLimit(hardBytes: 2 << 20, softBytes: 1 << 20, softSeconds: 30)
        expected.outputLimitPubsub = OutputBufferLimit(hardBytes: 0, softBytes: 0, softSeconds: 0)
        expected.queryBufferLimit = 2 << 20
        expected.protoMaxBulkLength = 1 << 20
        expected.maxMemoryBuffers = 3_000_000_000
        expected.adminCommandsAllowed = true
        expected.renamedCommands = ["config": "cfg", "flushall": ""]
        expected.deniedCommands = ["keys", "debug|sleep", "eval"]
        expected.metricsPort = 9121
        expected.logLevel = .debug
        expected.logFile = "/var/log/a b"
        expected.logFormat = .json
        #expect(options == expected)
    }

    @Test(arguments: [
        ("0", 0), ("1024", 1024), ("7b", 7), ("1k", 1000), ("1kb", 1024), ("1m", 1_000_000), ("1mb", 1 << 20),
        ("2g", 2_000_000_000),
        ("2GB", 2 << 30), ("1Kb", 1024), ("262144gb", 1 << 48),
    ])
    func readsSizesAsRedisDoes(_ text: String, _ bytes: Int) throws {
        #expect(try load("max-replica-lag-bytes \(text)").maxReplicaLagBytes == bytes)
    }

    @Test(arguments: [("7", 7), ("500ms", 500), ("2s", 2000), ("1m", 60_000), ("1H", 3_600_000), ("0", 0)])
    func readsMilliseconds(_ text: String, _ value: Int) throws {
        #expect(try load("request-timeout \(text)").requestTimeoutMilliseconds == value)
    }

    @Test(arguments: [("7", 7), ("30s", 30), ("5m", 300), ("1h", 3600), ("0", 0)])
    func readsSeconds(_ text: String, _ value: Int) throws {
        #expect(try load("timeout \(text)").timeoutSeconds == value)
    }

    @Test func ignoresCaseOfNamesAndChoices() throws {
        #expect(try load("READ-FROM Prefer-Master").readFrom == .preferMaster)
    }

    @Test func givesAddressesTheirCanonicalText() throws {
        #expect(try load("master [0:0::0001]:1").master == Endpoint(host: "::1", port: 1))
        #expect(try load("master Node.Example:1").master == Endpoint(host: "node.example", port: 1))
        #expect(try load("master [fe80::1%eth0]:1").master == Endpoint(host: "fe80::1%eth0", port: 1))
    }

    @Test func takesSeveralArgumentsAlsoAsOne() throws {
        #expect(try load(#"bind "10.0.0.1 10.0.0.2""#).bind == ["10.0.0.1", "10.0.0.2"])
        #expect(try load(#"replica "10.0.0.2:1 weight 3""#).replicas.map(\.weight) == [3])
    }

    @Test func keepsTheClassThatAnOutputLimitDoesNotName() throws {
        let options = try load("client-output-buffer-limit normal 1mb 0 0")
        #expect(options.outputLimitNormal.hardBytes == 1 << 20)
        #expect(options.outputLimitPubsub == ProxyOptions().outputLimitPubsub)
    }

    @Test func emptyArgumentUnsets() throws {
        let options = try load(
            #"""
            requirepass x
            requirepass ""
            zone a
            zone ""
            unixsocket /x
            unixsocket ""
            replica a:1
            replica ""
            replica b:1
            deny-command a
            deny-command ""
            rename-command a b
            rename-command ""
            """#)
        var expected = ProxyOptions()
        expected.master = Endpoint(host: "127.0.0.1", port: 6379)
        expected.replicas = [ReplicaOptions(endpoint: Endpoint(host: "b", port: 1))]
        #expect(options == expected)
    }

    @Test func everyDirectiveReadsBackWhatItWrites() throws {
        let varied = try load(
            #"""
            port 0
            unixsocket "/a b"
            bind -* 10.0.0.1
            replica a:1 weight 2
            replica [::2]:1 zone x
            backend-password x
            rename-command b ""
            rename-command a c
            deny-command x|y z
            client-output-buffer-limit normal 3 2 1
            max-replica-lag-bytes 1025
            logfile "#\n"
            """#)
        for options in [ProxyOptions(), varied] {
            for directive in DirectiveTable.all where directive.isOption && !directive.isSecret {
                // Only the directive itself is under test, so the lines around it keep the whole free of contradictions.
                let line = "\(directive.name) \(directive.text(for: options))"
                let after = directive.name == "master" ? "" : "master 127.0.0.9:1"
                guard line != "master \"\"" else { continue }
                let read = try load("unixsocket /x\n\(line)\n\(after)")
                #expect(directive.text(for: read) == directive.text(for: options))
            }
        }
    }

    @Test func defaultsAreThoseOfTheOptions() {
        let defaults = Dictionary(uniqueKeysWithValues: DirectiveTable.all.map { ($0.name, $0.defaultText) })
        #expect(defaults["port"] == "7379")
        #expect(defaults["requirepass"] == "\"\"")
        #expect(defaults["proto-max-bulk-len"] == "512mb")
        #expect(defaults["client-output-buffer-limit"] == "normal 0 0 0 pubsub 32mb 8mb 60")
    }

    @Test func onlyListenersThreadsModeAndLogDestinationNeedARestart() {
        #expect(
            DirectiveTable.all.filter { !$0.isReloadable }.map(\.name) == [
                "port", "bind", "unixsocket", "threads", "mode", "metrics-port", "logfile", "log-format",
            ])
        #expect(DirectiveTable.all.filter(\.isSecret).map(\.name) == ["backend-password", "requirepass"])
    }
}
