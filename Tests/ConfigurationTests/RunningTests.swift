import Configuration
import Proxy
import Testing

/// PROXY CONFIG GET and SET, and SIGHUP.
@Suite struct RunningTests {
    private func set(_ pairs: (String, String)..., on options: ProxyOptions = .valid) throws(ConfigurationError) -> ProxyOptions
    {
        try Configuration.apply(pairs: pairs.map { Question.Pair(name: $0.0, value: $0.1) }, to: options)
    }

    @Test func setsReloadableOptions() throws {
        let options = try set(("READ-FROM", "any"), ("timeout", "5m"), ("requirepass", "a b"))
        #expect(options.readFrom == .any)
        #expect(options.timeoutSeconds == 300)
        #expect(options.requirePass == "a b")
        #expect(try set(("client-output-buffer-limit", "pubsub 2mb 0 0")).outputLimitPubsub.hardBytes == 2 << 20)
    }

    @Test func replacesListsInsteadOfAdding() throws {
        var options = try set(("replica", "a:1 weight 2 b:1 zone z"), ("deny-command", "keys eval"), ("rename-command", "a b"))
        #expect(options.replicas.map(\.endpoint.host) == ["a", "b"])
        options = try set(("replica", "c:1"), ("deny-command", ""), ("rename-command", "flushall \"\" x y"), on: options)
        #expect(options.replicas.map(\.endpoint.host) == ["c"])
        #expect(options.deniedCommands == [])
        #expect(options.renamedCommands == ["flushall": "", "x": "y"])
    }

    @Test func setsAllOrNothing() {
        #expect(throws: ConfigurationError.self) { try set(("timeout", "5"), ("timeout", "6")) }
        #expect(message { try set(("timeout", "5"), ("maxclients", "x")) }?.contains("maxclients must be") == true)
        #expect(message { try set(("read-from", "replica")) }?.contains("read-from replica needs a replica") == true)
        #expect(message { try set(("read-from", "replica"), ("replica", "a:1")) } == nil)
    }

    @Test(arguments: ["port", "bind", "unixsocket", "threads", "mode", "metrics-port", "logfile", "log-format"])
    func refusesToSetWhatNeedsARestart(_ name: String) {
        #expect(
            message { try set((name, "1")) } == "PROXY CONFIG SET: \(name) can't change while the proxy runs in '\(name) 1'")
    }

    @Test func refusesUnknownNamesAndInclude() {
        #expect(message { try set(("timeot", "1")) }?.hasSuffix("did you mean 'timeout'?") == true)
        #expect(message { try set(("include", "x")) } == "PROXY CONFIG SET: unknown directive 'include' in 'include x'")
    }

    @Test func getsMatchingValuesOnceInTableOrder() {
        let names = Configuration.values(of: .valid, matching: ["*"]).map(\.name)
        #expect(names == DirectiveTable.all.filter(\.isOption).map(\.name))
        #expect(Configuration.values(of: .valid, matching: ["MAX*", "maxclients", "port"]).map(\.name).contains("port"))
        #expect(
            Configuration.values(of: .valid, matching: ["MAXC*", "p?rt", "maxclients"]) == [
                .init(name: "port", value: "7379"), .init(name: "maxclients", value: "10000"),
            ])
        #expect(Configuration.values(of: .valid, matching: []).isEmpty)
        #expect(Configuration.values(of: .valid, matching: ["include"]).isEmpty)
    }

    @Test func everyValueThatIsShownCanBeSet() throws {
        var options = try load(
            #"""
            replica a:1 weight 2
            replica [::1]:1 zone "z"
            rename-command flushall ""
            deny-command debug|sleep
            zone "a\\b"
            read-from replica
            """#)
        options.requirePass = nil
        let pairs = Configuration.values(of: options, matching: ["*"])
            .filter { DirectiveTable.directive(named: $0.name)!.isReloadable }
        #expect(try Configuration.apply(pairs: pairs, to: .valid) == options)
    }

    @Test func reloadAppliesWhatItCanAndNamesTheRest() throws {
        let new = try load("port 1\nthreads 2\ntimeout 30\nreplica a:1 weight 2\nlogfile \"a b\"")
        let reload = try Configuration.reload(new, over: .valid)
        #expect(reload.needRestart == ["port", "threads", "logfile"])
        #expect(reload.changes == [#"replica: "" -> a:1 weight 2"#, "timeout: 0 -> 30"])
        #expect(reload.options.port == 7379)
        #expect(reload.options.timeoutSeconds == 30)
        #expect(
            Configuration.changes(from: .valid, to: new)
                == [
                    "port: 7379 -> 1 (needs a restart)", #"replica: "" -> a:1 weight 2"#, "timeout: 0 -> 30",
                    "threads: 0 -> 2 (needs a restart)", #"logfile: "" -> "a b" (needs a restart)"#,
                ].sorted { order($0) < order($1) })
    }

    @Test func reloadWithoutChangesChangesNothing() throws {
        let reload = try Configuration.reload(.valid, over: .valid)
        #expect(reload.options == .valid && reload.changes == [] && reload.needRestart == [])
        #expect(Configuration.changes(from: .valid, to: .valid) == [])
    }

    @Test func reloadRefusesWhatContradictsTheRunningListeners() throws {
        let new = try load("port 1\nmaster 127.0.0.1:7379")
        #expect(
            message { try Configuration.reload(new, over: .valid) }
                == "reload: master 127.0.0.1:7379 is the address that this proxy listens on (port can't change yet)")
    }

    private func order(_ line: String) -> Int {
        DirectiveTable.all.firstIndex { line.hasPrefix($0.name + ":") } ?? .max
    }
}
