/// All commands that the proxy knows: the built-in ones, merged with what the nodes told of theirs. Immutable, so every thread
/// may share one. A command that isn't here is unknown: nothing can be said of it, and it goes to the master.
///
/// An index names a command within one table. The built-in commands come first and keep their indices in every table.
package final class CommandTable: @unchecked Sendable {
    /// Number of built-in commands and subcommands, which have the indices below it.
    package static let builtInCount = CommandTableData.count

    @usableFromInline let index: NameIndex
    /// By index; freed in `deinit`. The only reason for the unchecked conformance, and never written after `init`.
    @usableFromInline let traits: UnsafeMutablePointer<CommandTraits>
    private let commands: [Command]
    /// Commands and subcommands; every index is below it.
    package let count: Int

    /// The built-in table alone, which no node has confirmed: nothing in it is eligible for replicas.
    package static let builtIn = CommandTable(learned: LearnedCommands())

    /// The built-in table merged with what nodes told us.
    package init(learned: LearnedCommands) {
        var commands = CommandTableText.commands
        var eligible: [Bool] = []
        var builtInNames: [String: Int] = [:]
        for place in commands.indices {
            builtInNames[commands[place].name] = place
            eligible.append(Self.confirm(&commands[place], learned))
        }
        var indices = builtInNames
        for entry in learned.entries where builtInNames[entry.name] == nil {
            let container = entry.containerName.map { name in
                guard let container = indices[name] else { preconditionFailure("learned \(entry.name) without its container") }
                return container
            }
            if let container { commands[container].subcommands.append(commands.count) }
            indices[entry.name] = commands.count
            commands.append(Command(entry, container: container))
            eligible.append(entry.isOnEveryNode && Self.onlyReads(entry.flags))
        }

        self.commands = commands
        count = commands.count
        index = NameIndex(
            commands.map { command in
                let name = command.container == nil ? command.name[...] : command.name.drop { $0 != "|" }.dropFirst()
                return (Array(name.utf8), command.container ?? -1)
            }
        )
        traits = .allocate(capacity: commands.count)
        for (place, command) in commands.enumerated() {
            // A container's flags don't hold for its subcommands, so a container itself is never eligible.
            let isEligible = eligible[place] && command.subcommands.isEmpty
            (traits + place).initialize(to: CommandTraits(command, isReplicaEligible: isEligible))
        }
    }

    deinit {
        traits.deallocate()
    }

    /// Takes over what nodes say of a built-in command; returns whether all of them, and the built-in table, say that it only
    /// reads.
    private static func confirm(_ command: inout Command, _ learned: LearnedCommands) -> Bool {
        guard let entry = learned.entry(named: command.name) else {
            guard let container = learned.containerEntry(standingInFor: command.name) else { return false }
            if !container.flags.contains(.readonly) { command.flags.remove(.readonly) }
            return container.isOnEveryNode && onlyReads(command.flags)
        }
        command.flags = command.flags.mergedCarefully(with: entry.flags)
        command.arity = entry.arity
        if let keySpecs = entry.keySpecs {
            command.keySpecs = keySpecs
            command.firstKey = entry.firstKey
            command.lastKey = entry.lastKey
            command.keyStep = entry.keyStep
        }
        return entry.isOnEveryNode && onlyReads(command.flags)
    }

    private static func onlyReads(_ flags: CommandFlags) -> Bool {
        flags.contains(.readonly) && flags.isDisjoint(with: [.write, .mayReplicate, .admin])
    }

    package subscript(index: Int) -> Command { commands[index] }

    /// The index of a top-level command, whatever the case of its ASCII letters, or -1. Made for the hot path: no allocation,
    /// no reference counting; reads only the `length` bytes at `name`.
    @inlinable
    package func find(_ name: UnsafePointer<UInt8>, _ length: Int) -> Int {
        index.find(name, length, container: -1)
    }

    /// The index of the subcommand of that name, whatever the case of its ASCII letters, or -1. As cheap as `find`.
    @inlinable
    package func findSubcommand(of index: Int, _ name: UnsafePointer<UInt8>, _ length: Int) -> Int {
        precondition(index >= 0)
        return self.index.find(name, length, container: index)
    }

    /// What the hot path wants to know of a command.
    @inlinable
    package func traits(of index: Int) -> CommandTraits {
        precondition(0 <= index && index < count)
        return traits[index]
    }

    /// Whether a replica may run the command: every node that reported has it and calls it `readonly`, and the built-in table,
    /// if it has the command, doesn't disagree. Never true before a node has reported, for a container (ask for the
    /// subcommand), or for a command that may replicate (PFCOUNT). True for blocking reads (XREAD): look at `blocking` too.
    @inlinable
    package func isReplicaEligible(_ index: Int) -> Bool {
        precondition(0 <= index && index < count)
        return traits[index].isReplicaEligible
    }

    /// The index of a command by its full name, such as `get` or `config|set`, or -1. Not for the hot path.
    package func find(_ fullName: String) -> Int {
        let words = fullName.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
        func find(_ word: Substring, in container: Int) -> Int {
            Array(word.utf8).withUnsafeBufferPointer { bytes in
                guard let base = bytes.baseAddress else { return -1 }
                return index.find(base, bytes.count, container: container)
            }
        }
        let top = find(words[0], in: -1)
        return words.count < 2 || top < 0 ? top : find(words[1], in: top)
    }
}

extension Command {
    /// A command that only nodes know.
    fileprivate init(_ entry: LearnedCommands.Entry, container: Int?) {
        // Nodes before 7.0 tell the positions only.
        let find = KeySpec.Find.range(
            last: entry.lastKey < 0 ? entry.lastKey : entry.lastKey - entry.firstKey, step: entry.keyStep, limit: 0
        )
        let flags: KeySpec.Flags = entry.flags.contains(.movableKeys) ? [.readWrite, .incomplete] : .readWrite
        let positions = entry.firstKey > 0 ? [KeySpec(flags: flags, begin: .index(entry.firstKey), find: find)] : []
        self.init(
            name: entry.name, arity: entry.arity, flags: entry.flags, firstKey: entry.firstKey, lastKey: entry.lastKey,
            keyStep: entry.keyStep, keySpecs: entry.keySpecs ?? positions, categories: entry.categories, tips: entry.tips,
            group: "module", since: "", container: container, subcommands: []
        )
    }
}
