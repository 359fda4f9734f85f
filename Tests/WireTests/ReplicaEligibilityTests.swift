import Testing

@testable import Wire

private func bytes(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }
private func words(_ text: String) -> RESPValue { .array(text.split(separator: " ").map { .simpleString(Array($0.utf8)) }) }

/// An entry of COMMAND as Redis 6 sends it.
private func old(_ name: String, _ flags: String, arity: Int64 = -2) -> RESPValue {
    .array([bytes(name), .integer(arity), words(flags), .integer(1), .integer(1), .integer(1), words("@read")])
}

/// An entry as Redis 7 sends it.
private func new(_ name: String, _ flags: String, subcommands: [RESPValue] = []) -> RESPValue {
    .array([
        bytes(name), .integer(-2), words(flags), .integer(1), .integer(1), .integer(1), words("@read"), .array([]), .array([]),
        .array(subcommands),
    ])
}

private func learned(_ entries: RESPValue...) throws -> LearnedCommands {
    try LearnedCommands(reply: .array(entries))
}

private func isEligible(_ name: String, _ learned: LearnedCommands) throws -> Bool {
    let table = CommandTable(learned: learned)
    let index = table.find(name)
    try #require(index >= 0, "\(name)")
    return table.isReplicaEligible(index)
}

struct ReplicaEligibilityTests {
    @Test func trustsNothingBeforeANodeReported() {
        let table = CommandTable(learned: LearnedCommands())
        #expect((0..<table.count).allSatisfy { !table.isReplicaEligible($0) })
    }

    @Test(arguments: ["get", "mget", "xread", "object|encoding", "eval_ro", "scan", "dbsize"])
    func letsReadsThatAllNodesKnowGoToReplicas(name: String) throws {
        #expect(try isEligible(name, .builtIn))
    }

    @Test(arguments: [
        "set", "getex", "publish", "eval", "pfcount", "object", "xadd", "config|get", "sort", "georadius", "ping", "wait",
    ])
    func keepsTheRestOnTheMaster(name: String) throws {
        #expect(try !isEligible(name, .builtIn))
    }

    @Test func needsTheCommandOnEveryNode() throws {
        let both = try learned(new("get", "readonly fast"), new("mget", "readonly"))
        let one = try learned(new("get", "readonly fast"))
        #expect(try isEligible("mget", both))
        for merged in [both.merged(with: one), one.merged(with: both), both.merged(with: one).merged(with: both)] {
            #expect(try !isEligible("mget", merged))
            #expect(try isEligible("get", merged))
        }
    }

    @Test func needsReadonlyOnEveryNode() throws {
        let reads = try learned(new("get", "readonly"), new("mod.read", "readonly"))
        let writes = try learned(new("get", "write"), new("mod.read", "readonly write"))
        let merged = reads.merged(with: writes)
        #expect(try !isEligible("get", merged))
        #expect(try !isEligible("mod.read", merged))
        #expect(try isEligible("mod.read", reads))
    }

    @Test func doesNotLetNodesContradictTheBuiltInTable() throws {
        #expect(try !isEligible("set", learned(new("set", "readonly"))))
        #expect(try !isEligible("pfcount", learned(new("pfcount", "readonly"))))
    }

    @Test func addsCommandsThatOnlyNodesKnow() throws {
        let table = CommandTable(
            learned: try learned(new("json.get", "readonly module"), new("json.set", "write denyoom module")))
        let get = table.find("JSON.GET")
        let set = table.find("json.set")
        #expect(get >= CommandTable.builtInCount && set >= CommandTable.builtInCount)
        #expect(table.isReplicaEligible(get) && !table.isReplicaEligible(set))
        #expect(table[set].flags == [.write, .denyoom, .module])
        #expect(table.count == CommandTable.builtInCount + 2)
    }

    @Test func keepsTheIndicesOfBuiltInCommands() throws {
        let table = CommandTable(learned: try learned(new("aaa", "readonly"), new("get", "readonly")))
        for index in 0..<CommandTable.builtInCount { #expect(table[index].name == CommandTable.builtIn[index].name) }
    }

    @Test func addsLearnedSubcommandsToBuiltInContainers() throws {
        let table = CommandTable(learned: try learned(new("config", "", subcommands: [new("config|frob", "readonly")])))
        let frob = table.find("config|frob")
        #expect(table[frob].container == table.find("config"))
        #expect(table[table.find("config")].subcommands.contains(frob))
        #expect(table.isReplicaEligible(frob))
    }

    @Test func letsAnOldContainerSpeakForItsSubcommands() throws {
        let six = try learned(old("object", "readonly random"), old("memory", "readonly random movablekeys"))
        #expect(try isEligible("object|encoding", six))
        // The container reads on Redis 6, but the built-in table knows better.
        #expect(try !isEligible("memory|purge", six))

        let seven = try learned(new("object", "", subcommands: [new("object|encoding", "readonly")]))
        for merged in [six.merged(with: seven), seven.merged(with: six)] {
            #expect(try isEligible("object|encoding", merged))
            #expect(try !isEligible("object|freq", merged))
        }
        let writing = try learned(old("object", "write"))
        #expect(try !isEligible("object|encoding", seven.merged(with: writing)))
        #expect(try !isEligible("object|encoding", writing))
    }
}

struct LearnedCommandsTests {
    @Test func readsEntriesOfAllAges() throws {
        let five: RESPValue = .array([bytes("GET"), .integer(2), words("readonly fast"), .integer(1), .integer(1), .integer(1)])
        let merged = try learned(five, old("strlen", "readonly"), new("ttl", "readonly random brandnew"))
        #expect(merged.entries.map(\.name) == ["get", "strlen", "ttl"])
        #expect(merged.entry(named: "get")?.flags == [.readonly, .fast])
        #expect(merged.entry(named: "get")?.keySpecs == nil)
        #expect(merged.entry(named: "ttl")?.flags == .readonly)
        #expect(merged.entry(named: "ttl")?.keySpecs == [])
    }

    @Test(arguments: [RESPVersion.two, .three])
    func readsKeySpecsInBothProtocols(version: RESPVersion) throws {
        func map(_ fields: (String, RESPValue)...) -> RESPValue {
            let pairs = fields.map { RESPValue.Pair(key: bytes($0.0), value: $0.1) }
            return version == .three ? .map(pairs) : .array(pairs.flatMap { [$0.key, $0.value] })
        }
        func set(_ text: String) -> RESPValue {
            guard version == .three, case .array(let elements) = words(text) else { return words(text) }
            return .set(elements)
        }
        let spec = map(
            ("notes", bytes("why")), ("flags", set("RO access frobs")),
            (
                "begin_search",
                map(("type", bytes("keyword")), ("spec", map(("keyword", bytes("STREAMS")), ("startfrom", .integer(1)))))
            ),
            (
                "find_keys",
                map(
                    ("type", bytes("range")),
                    ("spec", map(("lastkey", .integer(-1)), ("keystep", .integer(1)), ("limit", .integer(2))))
                )
            )
        )
        let entry: RESPValue = .array([
            bytes("xread"), .integer(-4), set("readonly blocking"), .integer(0), .integer(0), .integer(0), set("@read"),
            .array([]),
            .array([spec]), .array([]),
        ])
        let specs = try learned(entry).entry(named: "xread")?.keySpecs
        #expect(
            specs == [
                KeySpec(
                    flags: [.readOnly, .access], begin: .keyword("STREAMS", from: 1), find: .range(last: -1, step: 1, limit: 2))
            ]
        )
    }

    @Test func refusesMalformedReplies() {
        let long = String(repeating: "x", count: 65)
        let subcommand = new("a|b", "readonly")
        let malformed: [RESPValue] = [
            .integer(1), .null, .array([.null]), .array([.array([])]), .array([.array([bytes("get"), .integer(2)])]),
            .array([old(long, "readonly")]), .array([old("", "readonly")]), .array([old("a b", "readonly")]),
            .array([old("a|b", "readonly")]), .array([old("get", "readonly", arity: 1 << 40)]),
            .array([old("get", "readonly"), old("GET", "readonly")]), .array([new("b", "", subcommands: [subcommand])]),
            .array([new("a", "", subcommands: [new("a|b", "", subcommands: [new("a|c", "")])])]),
            .array([new("a", "", subcommands: [subcommand, subcommand])]),
            .array([.array([bytes("get"), .integer(2), .integer(3), .integer(1), .integer(1), .integer(1)])]),
        ]
        for reply in malformed {
            #expect(throws: LearnedCommandsError.self, "\(reply)") { try LearnedCommands(reply: reply) }
        }
        #expect(throws: LearnedCommandsError.refused("NOPERM no")) {
            try LearnedCommands(reply: .error(Array("NOPERM no".utf8)))
        }
    }

    @Test func boundsTheNumberOfCommands() throws {
        let many = (0..<LearnedCommands.maximumCount).map { old("a\($0)", "readonly") }
        let others = (0..<LearnedCommands.maximumCount).map { old("b\($0)", "readonly") }
        let full = try LearnedCommands(reply: .array(many + []))
        #expect(full.entries.count == LearnedCommands.maximumCount)
        #expect(throws: LearnedCommandsError.tooManyCommands) {
            try LearnedCommands(reply: .array(many + [old("b", "readonly")]))
        }
        let merged = full.merged(with: try LearnedCommands(reply: .array(others)))
        #expect(merged.entries.count <= LearnedCommands.maximumCount)
        #expect(CommandTable(learned: full).find("a4095") >= 0)
    }

    @Test func comparesByContent() throws {
        let first = try learned(new("get", "readonly"), new("set", "write"))
        let second = try learned(new("set", "write"), new("get", "readonly"))
        #expect(first == second && first.hashValue == second.hashValue)
        #expect(try first != learned(new("get", "readonly"), new("set", "write denyoom")))
        #expect(first != LearnedCommands() && LearnedCommands() == LearnedCommands())
    }

    @Test func ignoresASideThatNobodyReportedTo() throws {
        let one = try learned(new("get", "readonly"))
        #expect(one.merged(with: LearnedCommands()) == one)
        #expect(LearnedCommands().merged(with: one) == one)
        #expect(one.merged(with: one) == one)
    }

    @Test func mergesFlagsInTheCarefulReading() throws {
        let merged = try learned(new("x", "readonly fast loading")).merged(with: learned(new("x", "fast blocking stale")))
        #expect(merged.entry(named: "x")?.flags == [.fast, .blocking])
    }
}
