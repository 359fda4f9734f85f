/// Reads the generated text. One line is one command, its fields divided by single spaces and `-` for an empty list:
///
///     name arity flags first last step categories group since tips keySpecs
///
/// Lists are divided by commas and key specs by semicolons. A key spec is `flags@begin@find`, where `begin` is `index:1`,
/// `keyword:STREAMS:1` or `unknown`, and `find` is `range:last:step:limit`, `keynum:count:first:step` or `unknown`. A container
/// comes before its subcommands. The text is our own: a mistake in it traps.
enum CommandTableText {
    /// The built-in commands, parsed once.
    static let commands = parse(CommandTableData.text, count: CommandTableData.count)

    static func parse(_ text: StaticString, count: Int) -> [Command] {
        var commands: [Command] = []
        commands.reserveCapacity(count)
        var containers: [String: Int] = [:]
        text.withUTF8Buffer { bytes in
            for line in bytes.split(separator: UInt8(ascii: "\n")) {
                var command = parseLine(String(decoding: line, as: UTF8.self))
                let words = command.name.split(separator: "|")
                if words.count == 2 {
                    guard let container = containers[String(words[0])] else {
                        preconditionFailure("the subcommand \(command.name) comes before its container")
                    }
                    command.container = container
                    commands[container].subcommands.append(commands.count)
                } else {
                    precondition(
                        containers.updateValue(commands.count, forKey: command.name) == nil, "\(command.name) comes twice")
                }
                commands.append(command)
            }
        }
        precondition(commands.count == count, "the generated command table is cut short")
        return commands
    }

    private static func parseLine(_ line: String) -> Command {
        let fields = line.split(separator: " ")
        precondition(fields.count == 11, "a generated command has \(fields.count) fields: \(line)")
        return Command(
            name: String(fields[0]),
            arity: integer(fields[1]),
            flags: CommandFlags(list(fields[2], ",").map { known(CommandFlags(name: $0), $0) }),
            firstKey: integer(fields[3]),
            lastKey: integer(fields[4]),
            keyStep: integer(fields[5]),
            keySpecs: list(fields[10], ";").map(keySpec),
            categories: CommandCategories(list(fields[6], ",").map { known(CommandCategories(name: $0), $0) }),
            tips: list(fields[9], ","),
            group: String(fields[7]),
            since: String(fields[8]),
            container: nil,
            subcommands: []
        )
    }

    private static func keySpec(_ text: String) -> KeySpec {
        let parts = text.split(separator: "@")
        precondition(parts.count == 3, "not a key spec: \(text)")
        let begin = parts[1].split(separator: ":")
        let find = parts[2].split(separator: ":")
        let flags = KeySpec.Flags(list(parts[0], ",").map { known(KeySpec.Flags(name: $0), $0) })
        let searched: KeySpec.Begin =
            switch (begin[0], begin.count) {
            case ("index", 2): .index(integer(begin[1]))
            case ("keyword", 3): .keyword(String(begin[1]), from: integer(begin[2]))
            case ("unknown", 1): .unknown
            default: preconditionFailure("not a key spec: \(text)")
            }
        let found: KeySpec.Find =
            switch (find[0], find.count) {
            case ("range", 4): .range(last: integer(find[1]), step: integer(find[2]), limit: integer(find[3]))
            case ("keynum", 4): .keyNumber(count: integer(find[1]), first: integer(find[2]), step: integer(find[3]))
            case ("unknown", 1): .unknown
            default: preconditionFailure("not a key spec: \(text)")
            }
        return KeySpec(flags: flags, begin: searched, find: found)
    }

    private static func list(_ field: Substring, _ separator: Character) -> [String] {
        field == "-" ? [] : field.split(separator: separator).map(String.init)
    }

    private static func integer(_ text: Substring) -> Int {
        guard let value = Int(text) else { preconditionFailure("not a number: \(text)") }
        return value
    }

    private static func known<Value>(_ value: Value?, _ name: String) -> Value {
        guard let value else { preconditionFailure("unknown name in the generated command table: \(name)") }
        return value
    }
}
