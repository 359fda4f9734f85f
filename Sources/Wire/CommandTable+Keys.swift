/// Why COMMAND GETKEYS has no keys to tell; all of these are the caller's fault.
package enum KeyError: Error, Hashable, Sendable {
    case unknownCommand
    /// The command takes no keys.
    case noKeyArguments
    case wrongArgumentCount
    /// The arguments contradict the command's syntax, or hold no key where the command needs one.
    case invalidArguments
}

extension CommandTable {
    /// Positions of the keys in a whole call, as COMMAND GETKEYS finds them; argument 0 is the command's name. Empty if the
    /// command may be called without keys and is (EVAL with 0 keys). In the order of the key specs, which may name a position
    /// twice.
    ///
    /// Shard channels are not keys. Keys that a value hides can't be found: the patterns of SORT BY and GET. A learned command
    /// whose key specs are incomplete may have more keys than are found.
    package func keys<Argument: RandomAccessCollection<UInt8>>(of arguments: [Argument]) throws(KeyError) -> [Int] {
        let index = findCall(arguments)
        guard index >= 0 else { throw .unknownCommand }
        return try keys(of: arguments, command: index)
    }

    /// The same for a command that was looked up before: a subcommand's index, where the call names one.
    package func keys<Argument: RandomAccessCollection<UInt8>>(
        of arguments: [Argument], command index: Int
    ) throws(KeyError) -> [Int] {
        let command = self[index]
        let specs = command.keySpecs.filter { !$0.flags.contains(.notKey) }
        guard !specs.isEmpty else { throw .noKeyArguments }
        guard command.accepts(argumentCount: arguments.count) else { throw .wrongArgumentCount }

        var positions: [Int] = []
        if index == Self.sortIndex {
            // The arity may be a node's word, so it is no proof.
            guard arguments.count >= 2 else { throw .wrongArgumentCount }
            positions = Self.sortKeys(arguments)
        } else if index == Self.migrateIndex {
            guard arguments.count >= 6 else { throw .wrongArgumentCount }
            positions = try Self.migrateKeys(arguments)
        } else {
            for spec in specs {
                guard spec.appendPositions(in: arguments, to: &positions) else {
                    if command.flags.contains(.noMandatoryKeys) { return [] }
                    throw .invalidArguments
                }
            }
        }
        guard !positions.isEmpty || command.flags.contains(.noMandatoryKeys) else { throw .invalidArguments }
        return positions
    }

    /// The index of the command, or of the subcommand, that a whole call names, or -1. Not for the hot path.
    package func findCall<Argument: RandomAccessCollection<UInt8>>(_ arguments: [Argument]) -> Int {
        guard let name = arguments.first else { return -1 }
        let top = find(name, in: -1)
        guard top >= 0, traits(of: top).isContainer else { return top }
        return arguments.count > 1 ? find(arguments[1], in: top) : -1
    }

    private func find<Argument: RandomAccessCollection<UInt8>>(_ name: Argument, in container: Int) -> Int {
        guard 1...NameIndex.maximumNameLength ~= name.count else { return -1 }
        return Array(name).withUnsafeBufferPointer { index.find($0.baseAddress!, $0.count, container: container) }
    }

    // MARK: Commands whose key specs don't tell all

    private static let sortIndex = CommandTableText.commands.firstIndex { $0.name == "sort" }
    private static let migrateIndex = CommandTableText.commands.firstIndex { $0.name == "migrate" }

    /// `SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]`; the last STORE
    /// counts.
    private static func sortKeys(_ arguments: [some RandomAccessCollection<UInt8>]) -> [Int] {
        var destination: Int?
        var place = 2
        while place < arguments.count {
            if isWord("STORE", arguments[place]) {
                if place + 1 < arguments.count { destination = place + 1 }
                place += 2
            } else if isWord("LIMIT", arguments[place]) {
                place += 3
            } else if isWord("BY", arguments[place]) || isWord("GET", arguments[place]) {
                place += 2
            } else {
                place += 1
            }
        }
        return [1] + (destination.map { [$0] } ?? [])
    }

    /// `MIGRATE host port key|"" db timeout [COPY] [REPLACE] [AUTH password | AUTH2 user password] [KEYS key ...]`: the key is
    /// the third argument, or, if that is empty, there are many after KEYS.
    private static func migrateKeys(_ arguments: [some RandomAccessCollection<UInt8>]) throws(KeyError) -> [Int] {
        var place = 6
        while place < arguments.count {
            if isWord("KEYS", arguments[place]), place + 1 < arguments.count {
                guard arguments[3].isEmpty else { throw .invalidArguments }
                return Array((place + 1)..<arguments.count)
            }
            if isWord("AUTH", arguments[place]) {
                place += 2
            } else if isWord("AUTH2", arguments[place]) {
                place += 3
            } else {
                place += 1
            }
        }
        return [3]
    }

    fileprivate static func isWord(_ word: String, _ argument: some RandomAccessCollection<UInt8>) -> Bool {
        argument.count == word.utf8.count
            && zip(argument, word.utf8).allSatisfy { NameIndex.lowercased($0) == NameIndex.lowercased($1) }
    }
}

extension KeySpec {
    /// Keys of one call at most: what a request parser lets through is far less.
    private static let maximumArguments = 1 << 30

    /// Appends where this spec finds keys; false if the arguments contradict it. A spec whose keyword is missing, or which
    /// tells nothing, finds none.
    fileprivate func appendPositions(in arguments: [some RandomAccessCollection<UInt8>], to positions: inout [Int]) -> Bool {
        precondition(arguments.count < Self.maximumArguments)
        guard let start = beginning(in: arguments) else { return true }
        guard start >= 1, start < arguments.count else { return false }
        let first: Int
        let last: Int
        let step: Int
        switch find {
        case .range(let lastKey, let keyStep, let limit):
            first = start
            step = keyStep
            if lastKey >= 0 {
                last = start + lastKey
            } else if lastKey == -1, limit > 1 {
                last = start + (arguments.count - start) / limit - 1
            } else {
                last = arguments.count + lastKey
            }
        case .keyNumber(let countOffset, let firstOffset, let keyStep):
            let place = start + countOffset
            guard arguments.indices.contains(place), let count = Self.number(arguments[place]), count >= 1,
                count <= arguments.count
            else { return false }
            first = start + firstOffset
            step = keyStep
            last = first + (count - 1) * step
        case .unknown:
            return true
        }
        guard step >= 1, first >= 1, first <= last, last < arguments.count else { return false }
        positions.append(contentsOf: stride(from: first, through: last, by: step))
        return true
    }

    private func beginning(in arguments: [some RandomAccessCollection<UInt8>]) -> Int? {
        switch begin {
        case .index(let index): return index
        case .unknown: return nil
        case .keyword(let word, let from):
            // The last argument can't be the keyword: keys come after it. Looking backwards, the command's name ends the
            // search.
            let places =
                from > 0
                ? Array(stride(from: from, to: arguments.count - 1, by: 1))
                : Array(stride(from: arguments.count + from, to: 1, by: -1))
            for place in places where arguments.indices.contains(place) && CommandTable.isWord(word, arguments[place]) {
                return place + 1
            }
            return nil
        }
    }

    /// The decimal number that an argument begins with; nil if there is none. Servers read it with C's `atoi`, so `1x` is 1,
    /// and what is too large wraps around at 32 bits; to find the same keys is all that matters here, they refuse such calls
    /// later.
    private static func number(_ argument: some RandomAccessCollection<UInt8>) -> Int? {
        var rest = argument[...]
        while let byte = rest.first, byte == 0x20 || 9...13 ~= byte { rest = rest.dropFirst() }
        var isNegative = false
        if let sign = rest.first, sign == UInt8(ascii: "-") || sign == UInt8(ascii: "+") {
            isNegative = sign == UInt8(ascii: "-")
            rest = rest.dropFirst()
        }
        guard let first = rest.first, 0x30...0x39 ~= first else { return nil }
        var value = 0
        for byte in rest {
            guard 0x30...0x39 ~= byte else { break }
            let digit = Int(byte - 0x30)
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) =
                isNegative ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
            guard !overflow, !overflow2 else { return isNegative ? 0 : -1 }
            value = sum
        }
        return Int(Int32(truncatingIfNeeded: value))
    }
}
