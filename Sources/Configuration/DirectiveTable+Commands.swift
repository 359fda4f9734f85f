import Proxy

/// What `admin-commands` takes.
private enum Permission: String, CaseIterable {
    case allow, deny
}

extension DirectiveTable {
    /// Who may run what.
    static let commands: [Directive] = [
        .optionalText(
            "requirepass", "PASSWORD", reloadable: true, secret: true,
            "Password that clients must give as the user default; empty for none", at: \.requirePass,
            check: { (text) throws(ValueError) in try ValueParser.password(text) }),
        Directive(
            "admin-commands", "allow|deny", reloadable: true, "Whether clients may run administrative commands on the nodes",
            at: \.adminCommandsAllowed,
            parse: { (words, value) throws(ValueError) in
                value = try ValueParser.choice(words[0], of: Permission.self) == .allow
            },
            format: { [$0 ? Permission.allow.rawValue : Permission.deny.rawValue] }),
        Directive(
            "rename-command", "OLD NEW", arity: 2...(2 * Limits.commands), reloadable: true, repeatable: true,
            "Clients reach a command by another name only; an empty new name removes it; one empty argument forgets all",
            at: \.renamedCommands,
            parse: { (words, value) throws(ValueError) in try parseRenames(words, into: &value) },
            format: { renamed in renamed.sorted { $0.key < $1.key }.flatMap { [$0.key, $0.value] } }),
        Directive(
            "deny-command", "NAME", arity: 1...Limits.commands, reloadable: true, repeatable: true,
            "A command, or one of its subcommands as NAME|SUB, that clients may not run; an empty argument forgets all",
            at: \.deniedCommands,
            parse: { (words, value) throws(ValueError) in try parseDenied(words, into: &value) },
            format: { $0 }),
    ]

    private static func parseRenames(_ words: [String], into renamed: inout [String: String]) throws(ValueError) {
        if words.isEmpty { renamed = [:] }
        guard words.count % 2 == 0 else { throw ValueError("takes OLD NEW") }
        for start in stride(from: 0, to: words.count, by: 2) {
            let old = try ValueParser.name(words[start], what: "needs a command's name").lowercased()
            guard !old.contains("|") else { throw ValueError("can't rename a subcommand; deny-command can deny it") }
            let new =
                words[start + 1].isEmpty
                ? "" : try ValueParser.name(words[start + 1], what: "needs a new name").lowercased()
            guard old != new else { throw ValueError("needs a new name that differs from the old one") }
            renamed[old] = new
            guard renamed.count <= Limits.commands else { throw ValueError("can't rename more than \(Limits.commands) commands") }
        }
    }

    private static func parseDenied(_ words: [String], into denied: inout [String]) throws(ValueError) {
        if words.isEmpty { denied = [] }
        for word in words {
            let name = try ValueParser.name(word, what: "needs a command's name").lowercased()
            let parts = name.split(separator: "|", omittingEmptySubsequences: false)
            guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else { throw ValueError("takes NAME or NAME|SUB") }
            guard !denied.contains(name) else { continue }
            guard denied.count < Limits.commands else { throw ValueError("can't deny more than \(Limits.commands) commands") }
            denied.append(name)
        }
    }
}
