/// Decides how much of what an operator wrote may appear in errors, logs and PROXY CONFIG GET.
enum Disclosure {
    /// Stands for a password that is set. Not itself accepted as one, so that what was shown can't be written back by mistake.
    static let hidden = "(hidden)"

    /// The directive as an error may show it, or nil if nothing of it should be shown.
    ///
    /// An unknown directive is shown whole only if it resembles one without a secret: `masterauth hunter2`, carried over from
    /// redis.conf, or a misspelt `requirepas hunter2` must not reach a log.
    /// - Parameters:
    ///   - name: The directive's name as written, without the `--` of a command line.
    ///   - text: The whole directive as written, name included.
    static func shown(name: String, text: String) -> String? {
        if let directive = DirectiveTable.directive(named: name) {
            return directive.isSecret ? "\(directive.name) \(hidden)" : text
        }
        guard let nearest = DirectiveTable.nearest(to: name) else { return nil }
        let secret = nearest.isSecret || soundsSecret(name) || shownName(name) != name
        return secret ? "\(shownName(name)) \(hidden)" : text
    }

    /// An unknown directive's name, cut where a value may have been glued to it: `requirepass=hunter2`, `requirepass"hunter2"`.
    static func shownName(_ name: String) -> String {
        let lower = name.lowercased()
        for directive in DirectiveTable.all where directive.isSecret {
            if lower.count > directive.name.count, lower.hasPrefix(directive.name) { return directive.name + hidden }
        }
        let end = name.firstIndex { !isNameCharacter($0) } ?? name.endIndex
        return end == name.endIndex ? name : String(name[..<end]) + hidden
    }

    /// The first word of a line that could not be split into words, without its quotes.
    static func firstWord(of line: some Sequence<UInt8>) -> String {
        let word = line.lazy.prefix { !ArgumentSplitter.isSpace($0) }.prefix(Limits.nameBytes)
        return String(decoding: word.filter { $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "'") }, as: UTF8.self)
    }

    /// The text in one line: control and formatting characters escaped, the end cut off after `limit` characters.
    static func printable(_ text: String, limit: Int) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            if count == limit { return result + "..." }
            count += 1
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator, .privateUse, .unassigned:
                let digits = String(scalar.value, radix: 16)
                result += scalar.value < 256 ? "\\x" + (digits.count < 2 ? "0" : "") + digits : "\\u{\(digits)}"
            default:
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func soundsSecret(_ name: String) -> Bool {
        let lower = name.lowercased()
        return ["pass", "auth", "secret", "token", "key-"].contains { lower.contains($0) }
    }

    private static func isNameCharacter(_ character: Character) -> Bool {
        guard let byte = character.asciiValue else { return false }
        return switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
        }
    }
}
