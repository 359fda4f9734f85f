import Testing

@testable import Wire

/// Looks a name up in memory that ends with its last byte, as far as Swift lets one say so.
private func find(_ table: CommandTable, _ name: String) -> Int {
    find(name) { table.find($0, $1) }
}

private func findSubcommand(_ table: CommandTable, of container: Int, _ name: String) -> Int {
    find(name) { table.findSubcommand(of: container, $0, $1) }
}

private func find(_ name: String, _ look: (UnsafePointer<UInt8>, Int) -> Int) -> Int {
    let bytes = Array(name.utf8)
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(bytes.count, 1))
    defer { memory.deallocate() }
    memory.initialize(repeating: 0, count: max(bytes.count, 1))
    for (offset, byte) in bytes.enumerated() { memory[offset] = byte }
    return look(memory, bytes.count)
}

struct CommandTableTests {
    private let table = CommandTable.builtIn

    private func randomCase(_ name: Substring, _ generator: inout SystemRandomNumberGenerator) -> String {
        String(name.map { Bool.random(using: &generator) ? Character($0.uppercased()) : $0 })
    }

    @Test func findsEveryNameInAnyCase() {
        var generator = SystemRandomNumberGenerator()
        #expect(table.count == CommandTable.builtInCount)
        for index in 0..<table.count {
            let command = table[index]
            let words = command.name.split(separator: "|")
            for _ in 0..<8 {
                if let container = command.container {
                    #expect(findSubcommand(table, of: container, randomCase(words[1], &generator)) == index)
                } else {
                    #expect(find(table, randomCase(words[0], &generator)) == index)
                }
            }
            #expect(table.find(command.name) == index)
        }
    }

    @Test func refusesPrefixesAndExtensionsOfNames() {
        let tops = (0..<table.count).map { table[$0] }.filter { $0.container == nil }
        let names = Set(tops.map(\.name))
        for name in names {
            for wrong in [String(name.dropLast()), String(name.dropFirst()), name + "x", "x" + name, name + "\0", name + " "]
            where !names.contains(wrong) {
                #expect(find(table, wrong) == -1, "\(wrong)")
            }
        }
    }

    @Test func refusesNamesThatDifferInOneByte() {
        let tops = (0..<table.count).map { table[$0] }.filter { $0.container == nil }
        let names = Set(tops.map { Array($0.name.utf8) })
        for name in names {
            for place in name.indices {
                for flipped in [name[place] ^ 0x80, name[place] ^ 0x40, name[place] ^ 1] {
                    var wrong = name
                    wrong[place] = flipped
                    guard !names.contains(wrong.map(NameIndex.lowercased)) else { continue }
                    #expect(wrong.withUnsafeBufferPointer { table.find($0.baseAddress!, $0.count) } == -1)
                }
            }
        }
    }

    @Test func refusesUnknownEmptyAndOverlongNames() {
        for name in ["", "nope", "config|set", "get|", "|", "json.get", String(repeating: "a", count: 64)] {
            #expect(find(table, name) == -1)
        }
        #expect(find(table, String(repeating: "get", count: 100)) == -1)
    }

    @Test func keepsSubcommandsWithTheirContainer() {
        let config = find(table, "CONFIG")
        let client = find(table, "client")
        #expect(table[findSubcommand(table, of: config, "SET")].name == "config|set")
        #expect(findSubcommand(table, of: client, "set") == -1)
        #expect(findSubcommand(table, of: find(table, "get"), "set") == -1)
        #expect(table.traits(of: config).isContainer)
        #expect(table[table[config].subcommands[0]].container == config)
    }

    @Test func foldsOnlyAsciiLetters() {
        for byte in UInt64(0)...255 {
            let spread = byte &* 0x0101_0101_0101_0101
            let expected = UInt64(NameIndex.lowercased(UInt8(byte))) &* 0x0101_0101_0101_0101
            #expect(NameIndex.Words.lowercased(spread) == expected)
        }
    }

    @Test func tellsLongNamesApart() {
        // The first 16 and the last 8 bytes are the same; only the middle differs.
        let names = ["a", "b", "c"].map { String(repeating: "x", count: 20) + $0 + String(repeating: "y", count: 20) }
        let index = NameIndex(names.map { (Array($0.utf8), -1) })
        for (place, name) in names.enumerated() {
            #expect(find(name.uppercased()) { index.find($0, $1, container: -1) } == place)
        }
        #expect(find(names[0].replacing("a", with: "d")) { index.find($0, $1, container: -1) } == -1)
        #expect(find(names[0].replacing("a", with: "\u{1}")) { index.find($0, $1, container: -1) } == -1)
    }

    @Test(arguments: [
        ("get", CommandFlags.readonly, 2, 1), ("set", .write, -3, 1), ("publish", .mayReplicate, 3, 0),
        ("eval", .movableKeys, -3, 0),
        ("xread", .blocking, -4, 0), ("getex", .write, -2, 1), ("sentinel|masters", .onlySentinel, 2, 0),
        ("waitaof", .blocking, 4, 0),
        ("client|setinfo", .loading, 4, 0), ("client|no-touch", .noscript, 3, 0), ("cluster|myshardid", .stale, 2, 0),
        ("restore-asking", .asking, -4, 1), ("auth", .noAuth, -2, 0), ("ping", .sentinel, -1, 0),
    ])
    func knowsCommandsOfRedis72(name: String, flag: CommandFlags, arity: Int, firstKey: Int) throws {
        let index = table.find(name)
        try #require(index >= 0)
        #expect(table[index].flags.contains(flag))
        #expect(table[index].arity == arity)
        #expect(table[index].firstKey == firstKey)
        #expect(table.traits(of: index).flags == table[index].flags)
        #expect(table.traits(of: index).arity == Int32(arity))
    }

    @Test func leavesOutWhatCameAfterRedis72() {
        for name in ["commandlog", "client|capa", "script|show", "cluster|slot-stats", "sentinel|primary"] {
            #expect(table.find(name) < 0, "\(name)")
        }
    }

    @Test func checksArgumentCounts() {
        let get = table.traits(of: table.find("get"))
        let set = table[table.find("set")]
        #expect(get.accepts(argumentCount: 2) && !get.accepts(argumentCount: 3) && !get.accepts(argumentCount: 1))
        #expect(set.accepts(argumentCount: 3) && set.accepts(argumentCount: 9) && !set.accepts(argumentCount: 2))
    }

    @Test func neverCallsAWriteReadonly() {
        for index in 0..<table.count where table[index].flags.contains(.readonly) {
            #expect(!table[index].flags.contains(.write), "\(table[index].name)")
            #expect(!table[index].categories.contains(CommandCategories(name: "write")!), "\(table[index].name)")
        }
    }
}
