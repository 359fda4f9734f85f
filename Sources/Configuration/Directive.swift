import Proxy

/// One line that proxy.conf may contain: its name, what may follow, what it means, and how it becomes part of `ProxyOptions` and
/// text again. The defaults are those of `ProxyOptions`; they are written nowhere else.
package struct Directive: Sendable {
    /// What a bare number of the directive counts.
    package enum Unit: String, Sendable {
        case none, bytes, milliseconds, seconds
    }

    /// Lower case, as it is shown.
    package let name: String
    /// The arguments as a synopsis: `HOST:PORT [weight N] [zone Z]`.
    package let usage: String
    /// How many arguments it takes. One that takes several also accepts them all within one quoted argument.
    package let arity: ClosedRange<Int>
    package let unit: Unit
    /// Whether SIGHUP and PROXY CONFIG SET can change it while the proxy runs.
    package let isReloadable: Bool
    /// Whether every further line adds to the former ones. An empty argument empties the list.
    package let isRepeatable: Bool
    /// Whether its arguments must not be shown to anyone.
    package let isSecret: Bool
    /// One sentence without a full stop.
    package let summary: String
    /// False for `include`, which sets no option.
    package let isOption: Bool

    private let parse: @Sendable ([String], inout ProxyOptions) throws(ValueError) -> Void
    private let format: @Sendable (ProxyOptions) -> [String]
    private let assign: @Sendable (ProxyOptions, inout ProxyOptions) -> Void

    /// A directive that sets the option at the key path.
    /// - Parameters:
    ///   - parse: Gets as many arguments as `arity` says; none only if the directive is repeatable, to empty its list.
    ///   - format: The arguments that make `parse` come to this value.
    init<Value>(
        _ name: String, _ usage: String, arity: ClosedRange<Int> = 1...1, unit: Unit = .none, reloadable: Bool,
        repeatable: Bool = false, secret: Bool = false, _ summary: String,
        at path: WritableKeyPath<ProxyOptions, Value> & Sendable,
        parse: @escaping @Sendable ([String], inout Value) throws(ValueError) -> Void,
        format: @escaping @Sendable (Value) -> [String]
    ) {
        self.name = name
        self.usage = usage
        self.arity = arity
        self.unit = unit
        isReloadable = reloadable
        isRepeatable = repeatable
        isSecret = secret
        self.summary = summary
        isOption = true
        self.parse = { (arguments, options) throws(ValueError) in try parse(arguments, &options[keyPath: path]) }
        self.format = { format($0[keyPath: path]) }
        assign = { $1[keyPath: path] = $0[keyPath: path] }
    }

    /// A directive that sets no option: the loader acts on it.
    init(loader name: String, _ usage: String, _ summary: String) {
        self.name = name
        self.usage = usage
        arity = 1...1
        unit = .none
        isReloadable = true
        isRepeatable = true
        isSecret = false
        self.summary = summary
        isOption = false
        parse = { (_, _) throws(ValueError) in }
        format = { _ in [] }
        assign = { _, _ in }
    }

    /// Whether it takes several arguments, which one quoted argument may also hold.
    package var takesSeveral: Bool { arity.upperBound > 1 }

    /// Sets the option to what the words say, or adds them to a repeatable one.
    func apply(_ words: [String], to options: inout ProxyOptions) throws(ValueError) {
        var arguments = words
        if takesSeveral, words.count == 1 {
            guard let split = ArgumentSplitter.split(words[0].utf8) else { throw ValueError("has unbalanced quotes") }
            arguments = split.compactMap { String(validating: $0, as: UTF8.self) }
            guard arguments.count == split.count else { throw ValueError("has text that isn't UTF-8") }
        }
        guard !arguments.contains(where: { $0.utf8.contains(0) }) else { throw ValueError("can't contain a NUL byte") }
        let empties = isRepeatable && arguments.isEmpty && words.count == 1
        guard empties || arity.contains(arguments.count) else {
            let comment = arguments.contains { $0.hasPrefix("#") } ? "; a comment needs a line of its own" : ""
            throw ValueError("takes \(usage)\(comment)")
        }
        try parse(arguments, &options)
    }

    /// Makes `target` say what `source` says.
    func copy(from source: ProxyOptions, to target: inout ProxyOptions) { assign(source, &target) }

    /// The arguments that set what the options say, passwords included.
    func arguments(for options: ProxyOptions) -> [String] { format(options) }

    /// What stands after the name in proxy.conf, or `(hidden)` for a password that is set.
    package func text(for options: ProxyOptions) -> String {
        let arguments = format(options)
        if arguments.isEmpty || arguments == [""] { return "\"\"" }
        return isSecret ? Disclosure.hidden : arguments.map(ArgumentSplitter.quoted).joined(separator: " ")
    }

    /// What PROXY CONFIG GET answers and PROXY CONFIG SET accepts: a directive with one argument needs no quotes there.
    package func value(for options: ProxyOptions) -> String {
        let text = text(for: options)
        if text == "\"\"" { return "" }
        return isSecret || takesSeveral ? text : format(options)[0]
    }

    /// The default as it would be written in proxy.conf; `""` for none.
    package var defaultText: String { text(for: ProxyOptions()) }

    /// What proxy.conf and the help say about default, unit and reloading.
    package var facts: String {
        guard isOption else { return "Read at its place, as if the lines stood here." }
        let unit = unit == .none ? "" : " Unit: \(unit.rawValue)."
        return "Default: \(defaultText).\(unit) \(isReloadable ? "Reloadable." : "Needs a restart.")"
    }
}
