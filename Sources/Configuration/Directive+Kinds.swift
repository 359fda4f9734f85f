import Proxy

// The kinds of directive that occur more than once.
extension Directive {
    /// A whole number.
    static func integer(
        _ name: String, _ range: ClosedRange<Int>, reloadable: Bool, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, Int> & Sendable
    ) -> Directive {
        Directive(
            name, "NUMBER", reloadable: reloadable, summary, at: path,
            parse: { (words, value) throws(ValueError) in value = try ValueParser.integer(words[0], in: range) },
            format: { ["\($0)"] })
    }

    /// A size in bytes.
    static func size(
        _ name: String, from minimum: Int, reloadable: Bool, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, Int> & Sendable
    ) -> Directive {
        Directive(
            name, "SIZE", unit: .bytes, reloadable: reloadable, summary, at: path,
            parse: { (words, value) throws(ValueError) in
                value = try ValueParser.size(words[0], in: minimum...Limits.sizeBytes)
            },
            format: { [ValueParser.format(size: $0)] })
    }

    static func seconds(
        _ name: String, _ range: ClosedRange<Int>, reloadable: Bool, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, Int> & Sendable
    ) -> Directive {
        Directive(
            name, "DURATION", unit: .seconds, reloadable: reloadable, summary, at: path,
            parse: { (words, value) throws(ValueError) in value = try ValueParser.seconds(words[0], in: range) },
            format: { ["\($0)"] })
    }

    static func milliseconds(
        _ name: String, _ range: ClosedRange<Int>, reloadable: Bool, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, Int> & Sendable
    ) -> Directive {
        Directive(
            name, "DURATION", unit: .milliseconds, reloadable: reloadable, summary, at: path,
            parse: { (words, value) throws(ValueError) in value = try ValueParser.milliseconds(words[0], in: range) },
            format: { ["\($0)"] })
    }

    /// One of the names of an enumeration.
    static func choice<Choice: RawRepresentable<String> & CaseIterable & Sendable>(
        _ name: String, reloadable: Bool, _ summary: String, at path: WritableKeyPath<ProxyOptions, Choice> & Sendable
    ) -> Directive {
        Directive(
            name, Choice.allCases.map(\.rawValue).joined(separator: "|"), reloadable: reloadable, summary, at: path,
            parse: { (words, value) throws(ValueError) in value = try ValueParser.choice(words[0], of: Choice.self) },
            format: { [$0.rawValue] })
    }

    /// A word that an empty argument unsets.
    static func optionalText(
        _ name: String, _ usage: String, reloadable: Bool, secret: Bool = false, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, String?> & Sendable,
        check: @escaping @Sendable (String) throws(ValueError) -> String
    ) -> Directive {
        Directive(
            name, usage, reloadable: reloadable, secret: secret, summary, at: path,
            parse: { (words, value) throws(ValueError) in value = words[0].isEmpty ? nil : try check(words[0]) },
            format: { [$0 ?? ""] })
    }
}
