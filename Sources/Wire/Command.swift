/// One command, or one subcommand, as the table describes it. Made to be looked at, not for the hot path: see `CommandTraits`.
package struct Command: Sendable {
    /// Lower case; a subcommand's is `container|name`, such as `config|set`.
    package var name: String
    /// Number of arguments with the command's own name, and a subcommand's with both words; negative: at least that many.
    package var arity: Int
    package var flags: CommandFlags
    /// Position of the first key, 0 if there is none. Counted as in COMMAND: the command's name is argument 0.
    package var firstKey: Int
    /// Position of the last key; negative counts from the end.
    package var lastKey: Int
    package var keyStep: Int
    package var keySpecs: [KeySpec]
    package var categories: CommandCategories
    /// Such as `nondeterministic_output` or `request_policy:all_shards`.
    package var tips: [String]
    /// As in COMMAND DOCS, such as `sorted-set`; `module` for a command that only nodes told of.
    package var group: String
    /// The version of Redis that brought it; empty for a command that only nodes told of.
    package var since: String
    /// Index of the command that this is a subcommand of.
    package var container: Int?
    /// Indices of the subcommands, empty if there are none.
    package var subcommands: [Int]

    /// Whether a call with so many arguments, the name included, has the right number.
    package func accepts(argumentCount: Int) -> Bool {
        arity >= 0 ? argumentCount == arity : argumentCount >= -arity
    }
}

/// What the hot path asks of a command: plain numbers, copied without touching a reference count.
package struct CommandTraits: Sendable {
    package var flags: CommandFlags
    /// See `Command.arity`.
    package var arity: Int32
    package var firstKey: Int16
    package var lastKey: Int16
    package var keyStep: Int16
    /// See `CommandTable.isReplicaEligible`.
    package var isReplicaEligible: Bool
    /// Whether the second argument chooses a subcommand.
    package var isContainer: Bool

    init(_ command: Command, isReplicaEligible: Bool) {
        flags = command.flags
        arity = Int32(clamping: command.arity)
        firstKey = Int16(clamping: command.firstKey)
        lastKey = Int16(clamping: command.lastKey)
        keyStep = Int16(clamping: command.keyStep)
        self.isReplicaEligible = isReplicaEligible
        isContainer = !command.subcommands.isEmpty
    }

    @inlinable
    package func accepts(argumentCount: Int) -> Bool {
        arity >= 0 ? argumentCount == Int(arity) : argumentCount >= -Int(arity)
    }
}
