import Testing

@testable import Wire

/// Differential: the vectors are what Redis and Valkey answered to COMMAND GETKEYS.
struct CommandKeysTests {
    private static func arguments(_ call: Substring) -> [[UInt8]] {
        call.split(separator: " ").map { $0 == "{}" ? [] : Array($0.utf8) }
    }

    private static func answer(_ arguments: [[UInt8]], _ table: CommandTable) -> String {
        do throws(KeyError) {
            return try table.keys(of: arguments).map { place in
                arguments[place].isEmpty ? "{}" : String(decoding: arguments[place], as: UTF8.self)
            }.joined(separator: " ")
        } catch {
            switch error {
            case .unknownCommand: return "!unknown"
            case .noKeyArguments: return "!keyless"
            case .wrongArgumentCount: return "!arity"
            case .invalidArguments: return "!invalid"
            }
        }
    }

    @Test(arguments: [LearnedCommands(), LearnedCommands.builtIn])
    func agreesWithCommandGetkeys(learned: LearnedCommands) {
        let table = CommandTable(learned: learned)
        var checked = 0
        for vector in WireVectors.keys.split(separator: "\n") {
            let arrow = vector.firstRange(of: " =>")!
            let call = vector[..<arrow.lowerBound]
            let expected = vector[arrow.upperBound...].drop { $0 == " " }
            #expect(Self.answer(Self.arguments(call), table) == expected, "\(call)")
            checked += 1
        }
        #expect(checked > 2000)
    }

    @Test func acceptsSlicesOfABuffer() throws {
        let buffer = Array("MSET a 1 b 2".utf8)
        let slices = buffer.split(separator: UInt8(ascii: " "))
        #expect(try CommandTable.builtIn.keys(of: slices) == [1, 3])
    }

    @Test func findsNoKeysInAnEmptyCall() {
        #expect(throws: KeyError.unknownCommand) { try CommandTable.builtIn.keys(of: [[UInt8]]()) }
    }

    @Test func usesPositionsWhereAnOldNodeTellsNoSpecs() throws {
        let entry: RESPValue = .array([
            .bulk(Array("mod.pairs".utf8)), .integer(-3), .array([.simpleString(Array("write".utf8))]), .integer(1),
            .integer(-1),
            .integer(2),
        ])
        let table = CommandTable(learned: try LearnedCommands(reply: .array([entry])))
        #expect(try table.keys(of: ["MOD.PAIRS", "a", "1", "b", "2"].map { Array($0.utf8) }) == [1, 3])
    }
}

struct KeySlotTests {
    /// The vectors are what Redis answered to CLUSTER KEYSLOT.
    @Test func agreesWithClusterKeyslot() {
        for vector in WireVectors.slots.split(separator: "\n") {
            let words = vector.split(separator: " ", maxSplits: 1)
            let key = words.count > 1 ? Array(words[1].utf8) : []
            #expect(KeySlot.slot(of: key) == Int(words[0])!, "\(vector)")
        }
    }

    @Test func computesTheCheckValueOfTheSpecification() {
        #expect(KeySlot.crc16("123456789".utf8) == 0x31c3)
    }
}
