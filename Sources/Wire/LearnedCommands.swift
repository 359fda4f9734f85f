/// Commands as real nodes describe them: one node's COMMAND reply, or several merged. Empty until a node has reported.
///
/// A value that is cheap to copy and to compare: the content is shared, and its hash is made once.
package struct LearnedCommands: Hashable, Sendable {
    /// Commands and subcommands of one node at most.
    package static let maximumCount = 4096
    /// Bytes of a name at most, a subcommand's container included.
    package static let maximumNameLength = NameIndex.maximumNameLength

    /// One command or subcommand.
    package struct Entry: Hashable, Sendable {
        /// Lower case; a subcommand's is `container|name`.
        package var name: String
        package var arity: Int
        package var flags: CommandFlags
        package var firstKey: Int
        package var lastKey: Int
        package var keyStep: Int
        package var categories: CommandCategories
        package var tips: [String]
        /// nil if the node is older than 7.0 and doesn't tell.
        package var keySpecs: [KeySpec]?
        /// Whether some node tells of subcommands. Nodes before 7.0 never do: there, the container's flags hold for all of
        /// them.
        package var hasSubcommands: Bool
        /// Whether every node that reported has it.
        package var isOnEveryNode: Bool

        /// The container's name if this is a subcommand.
        var containerName: String? {
            name.firstIndex(of: "|").map { String(name[..<$0]) }
        }
    }

    /// Holds what copies share.
    private final class Content: Sendable {
        let entries: [Entry]
        let indices: [String: Int]
        let hash: UInt64

        init(entries: [Entry]) {
            self.entries = entries
            indices = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($1.name, $0) })
            var hash = ContentHash()
            for entry in entries { hash.combine(entry) }
            self.hash = hash.value
        }
    }

    private let content: Content?

    /// No node has reported.
    package init() {
        content = nil
    }

    /// What one node reported; names are unique.
    init(entries: [Entry]) {
        content = Content(entries: entries.sorted { $0.name < $1.name })
    }

    /// In the order of their names.
    package var entries: [Entry] { content?.entries ?? [] }

    /// Whether any node has reported.
    package var hasReports: Bool { content != nil }

    /// The entry of that full name, lower case.
    package func entry(named name: String) -> Entry? {
        guard let content, let index = content.indices[name] else { return nil }
        return content.entries[index]
    }

    /// What the nodes say of a subcommand that they don't list: the container's entry, if they list no subcommands at all.
    func containerEntry(standingInFor subcommand: String) -> Entry? {
        guard let bar = subcommand.firstIndex(of: "|"), let container = entry(named: String(subcommand[..<bar])),
            !container.hasSubcommands
        else { return nil }
        return container
    }

    package static func == (left: Self, right: Self) -> Bool {
        if left.content === right.content { return true }
        guard let left = left.content, let right = right.content, left.hash == right.hash else { return false }
        return left.entries == right.entries
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(content?.hash)
    }
}

/// A 64-bit FNV-1a over what a command table says; the same in every process.
private struct ContentHash {
    private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    private mutating func combine(_ byte: UInt8) {
        value = (value ^ UInt64(byte)) &* 0x100_0000_01b3
    }

    private mutating func combine(_ number: Int) {
        for shift in stride(from: 0, to: 64, by: 8) { combine(UInt8(truncatingIfNeeded: number >> shift)) }
    }

    private mutating func combine(_ text: String) {
        for byte in text.utf8 { combine(byte) }
        combine(0xff)
    }

    mutating func combine(_ entry: LearnedCommands.Entry) {
        combine(entry.name)
        for number in [entry.arity, entry.firstKey, entry.lastKey, entry.keyStep] { combine(number) }
        combine(Int(entry.flags.rawValue))
        combine(Int(entry.categories.rawValue))
        combine(entry.tips.count)
        for tip in entry.tips { combine(tip) }
        combine(entry.keySpecs?.count ?? -1)
        for spec in entry.keySpecs ?? [] { combine(spec) }
        combine(entry.hasSubcommands ? 1 : 0)
        combine(entry.isOnEveryNode ? 1 : 0)
    }

    private mutating func combine(_ spec: KeySpec) {
        combine(Int(spec.flags.rawValue))
        switch spec.begin {
        case .index(let index): combine(index)
        case .keyword(let word, let from):
            combine(word)
            combine(from)
        case .unknown: combine(0xfe)
        }
        switch spec.find {
        case .range(let last, let step, let limit):
            for number in [0, last, step, limit] { combine(number) }
        case .keyNumber(let count, let first, let step):
            for number in [1, count, first, step] { combine(number) }
        case .unknown: combine(2)
        }
    }
}
