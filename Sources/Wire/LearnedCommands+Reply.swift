/// Why a COMMAND reply can't be used. All of these are the node's fault; asking it again may help if it was restarted
/// meanwhile.
package enum LearnedCommandsError: Error, Hashable, Sendable {
    /// The node answered with an error, such as NOPERM.
    case refused(String)
    /// More commands and subcommands than `LearnedCommands.maximumCount`.
    case tooManyCommands
    /// What is malformed, and in which command if that is known.
    case malformed(String, command: String)
}

extension LearnedCommands {
    /// Positions, arities and the like are within plus or minus this.
    static let maximumNumber = 65535
    /// Tips, flags, categories or key specs of one command at most.
    static let maximumListLength = 256
    /// Bytes of a tip, flag or category at most.
    static let maximumTextLength = 1024

    /// Reads the reply of one node to COMMAND: entries of 6 elements (Redis 5), 7 (6) or 10 (7.0 and later), in RESP2 or RESP3.
    /// Flags, categories and kinds of key specs that aren't known here are passed over.
    package init(reply: RESPValue) throws(LearnedCommandsError) {
        if let text = reply.errorText { throw .refused(text) }
        guard let list = reply.elements else { throw .malformed("not an array", command: "") }
        var reader = Reader()
        for entry in list { try reader.read(entry, container: nil) }
        self.init(entries: reader.entries)
    }

    private struct Reader {
        var entries: [Entry] = []
        private var names: Set<String> = []

        mutating func read(_ value: RESPValue, container: String?) throws(LearnedCommandsError) {
            guard entries.count < LearnedCommands.maximumCount else { throw .tooManyCommands }
            guard let fields = value.elements, fields.count >= 6 else { throw .malformed("an entry is too short", command: "") }
            let name = try readName(fields[0], container: container)
            let subcommands = fields.count > 9 ? fields[9].elements ?? [] : []
            guard subcommands.isEmpty || container == nil else {
                throw .malformed("subcommands of a subcommand", command: name)
            }
            let flagNames = try strings(fields[2], "flags", name)
            let categoryNames = fields.count > 6 ? try strings(fields[6], "categories", name) : []
            let entry = Entry(
                name: name,
                arity: try number(fields[1], "arity", name),
                flags: CommandFlags(flagNames.compactMap(CommandFlags.init(name:))),
                firstKey: try number(fields[3], "first key", name),
                lastKey: try number(fields[4], "last key", name),
                keyStep: try number(fields[5], "key step", name),
                categories: CommandCategories(
                    categoryNames.compactMap { CommandCategories(name: String($0.drop { $0 == "@" })) }
                ),
                tips: fields.count > 7 ? try strings(fields[7], "tips", name) : [],
                keySpecs: fields.count > 8 ? try keySpecs(fields[8], name) : nil,
                hasSubcommands: !subcommands.isEmpty,
                isOnEveryNode: true
            )
            guard names.insert(name).inserted else { throw .malformed("listed twice", command: name) }
            entries.append(entry)
            for subcommand in subcommands { try read(subcommand, container: name) }
        }

        private func readName(_ value: RESPValue, container: String?) throws(LearnedCommandsError) -> String {
            guard let bytes = value.bytes, 1...LearnedCommands.maximumNameLength ~= bytes.count,
                bytes.allSatisfy({ 0x21...0x7e ~= $0 })
            else { throw .malformed("a name is not 1 to \(LearnedCommands.maximumNameLength) printable bytes", command: "") }
            let name = String(decoding: bytes.map(NameIndex.lowercased), as: UTF8.self)
            let bars = name.utf8.count { $0 == UInt8(ascii: "|") }
            if let container {
                guard bars == 1, name.hasPrefix(container + "|"), !name.hasSuffix("|") else {
                    throw .malformed("a subcommand isn't named after its container", command: name)
                }
            } else if bars > 0 {
                throw .malformed("a command is named like a subcommand", command: name)
            }
            return name
        }

        private func number(_ value: RESPValue, _ what: String, _ name: String) throws(LearnedCommandsError) -> Int {
            let limit = Int64(LearnedCommands.maximumNumber)
            guard let number = value.integerValue, -limit...limit ~= number else { throw .malformed(what, command: name) }
            return Int(number)
        }

        private func strings(_ value: RESPValue, _ what: String, _ name: String) throws(LearnedCommandsError) -> [String] {
            guard let elements = value.elements, elements.count <= LearnedCommands.maximumListLength else {
                throw .malformed(what, command: name)
            }
            var strings: [String] = []
            for element in elements {
                guard let text = element.text, text.utf8.count <= LearnedCommands.maximumTextLength else {
                    throw .malformed(what, command: name)
                }
                strings.append(text)
            }
            return strings
        }

        private func keySpecs(_ value: RESPValue, _ name: String) throws(LearnedCommandsError) -> [KeySpec] {
            guard let list = value.elements, list.count <= LearnedCommands.maximumListLength else {
                throw .malformed("key specs", command: name)
            }
            var specs: [KeySpec] = []
            for spec in list {
                guard let flags = spec[field: "flags"], let begin = spec[field: "begin_search"],
                    let find = spec[field: "find_keys"]
                else { throw .malformed("a key spec", command: name) }
                specs.append(
                    KeySpec(
                        flags: KeySpec.Flags(
                            try strings(flags, "flags of a key spec", name).compactMap(KeySpec.Flags.init(name:))),
                        begin: try readBegin(begin, name),
                        find: try readFind(find, name)
                    )
                )
            }
            return specs
        }

        private func readBegin(_ value: RESPValue, _ name: String) throws(LearnedCommandsError) -> KeySpec.Begin {
            guard let kind = value[field: "type"]?.text, let spec = value[field: "spec"] else {
                throw .malformed("begin_search", command: name)
            }
            switch kind {
            case "index":
                return .index(try number(spec[field: "index"] ?? .null, "index", name))
            case "keyword":
                guard let word = spec[field: "keyword"]?.text, word.utf8.count <= LearnedCommands.maximumNameLength else {
                    throw .malformed("keyword", command: name)
                }
                return .keyword(word, from: try number(spec[field: "startfrom"] ?? .null, "startfrom", name))
            default: return .unknown
            }
        }

        private func readFind(_ value: RESPValue, _ name: String) throws(LearnedCommandsError) -> KeySpec.Find {
            guard let kind = value[field: "type"]?.text, let spec = value[field: "spec"] else {
                throw .malformed("find_keys", command: name)
            }
            switch kind {
            case "range":
                return .range(
                    last: try number(spec[field: "lastkey"] ?? .null, "lastkey", name),
                    step: try number(spec[field: "keystep"] ?? .null, "keystep", name),
                    limit: try number(spec[field: "limit"] ?? .null, "limit", name)
                )
            case "keynum":
                return .keyNumber(
                    count: try number(spec[field: "keynumidx"] ?? .null, "keynumidx", name),
                    first: try number(spec[field: "firstkey"] ?? .null, "firstkey", name),
                    step: try number(spec[field: "keystep"] ?? .null, "keystep", name)
                )
            default: return .unknown
            }
        }
    }
}
