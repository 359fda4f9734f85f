import Proxy

// What a running proxy shows and changes.
extension Configuration {
    /// What comes of new files in a running proxy.
    package struct Reload: Hashable, Sendable {
        /// What to go on with: the new value of everything that can change, the running one of everything else.
        package var options: ProxyOptions
        /// What changes: `name: old -> new`, passwords hidden.
        package var changes: [String]
        /// Names of the directives whose new value has to wait for a restart.
        package var needRestart: [String]
    }

    /// PROXY CONFIG GET: every directive whose name matches one of the patterns, in the order of the table. Repeatable directives
    /// are one pair, whose value PROXY CONFIG SET accepts; passwords are `(hidden)`.
    package static func values(of options: ProxyOptions, matching globPatterns: [String]) -> [Question.Pair] {
        let globs = globPatterns.map(Glob.init)
        return DirectiveTable.all.compactMap { directive in
            guard directive.isOption, globs.contains(where: { $0.matches(directive.name) }) else { return nil }
            return Question.Pair(name: directive.name, value: directive.value(for: options))
        }
    }

    /// PROXY CONFIG SET: all of the pairs or, if it throws, none. A repeatable directive is replaced, not added to.
    package static func apply(pairs: [Question.Pair], to options: ProxyOptions) throws(ConfigurationError) -> ProxyOptions {
        var result = options
        var names: Set<String> = []
        for pair in pairs {
            try apply(pair, to: &result)
            guard names.insert(pair.name.lowercased()).inserted else {
                throw ConfigurationError(source: .configSet, reason: "\(pair.name.lowercased()) given twice")
            }
        }
        if let contradiction = result.validate().first {
            throw ConfigurationError(source: .configSet, reason: contradiction.reason)
        }
        return result
    }

    /// What SIGHUP makes of new options. Throws if those of them that can be applied contradict what can't change.
    package static func reload(_ new: ProxyOptions, over running: ProxyOptions) throws(ConfigurationError) -> Reload {
        var result = Reload(options: running, changes: [], needRestart: [])
        for directive in differences(running, new) {
            if directive.isReloadable {
                directive.copy(from: new, to: &result.options)
                result.changes.append(change(of: directive, from: running, to: new))
            } else {
                result.needRestart.append(directive.name)
            }
        }
        if let contradiction = result.options.validate().first {
            let waiting = result.needRestart.isEmpty ? "" : " (\(result.needRestart.joined(separator: ", ")) can't change yet)"
            throw ConfigurationError(source: .reload, reason: contradiction.reason + waiting)
        }
        return result
    }

    /// Everything that differs, in the order of the table: `name: old -> new`, with `(needs a restart)` where it does. Passwords
    /// are hidden.
    package static func changes(from old: ProxyOptions, to new: ProxyOptions) -> [String] {
        differences(old, new).map { change(of: $0, from: old, to: new) + ($0.isReloadable ? "" : " (needs a restart)") }
    }

    private static func apply(_ pair: Question.Pair, to options: inout ProxyOptions) throws(ConfigurationError) {
        let shown = Disclosure.shown(name: pair.name, text: "\(pair.name) \(ArgumentSplitter.quoted(pair.value))")
        func failure(_ reason: String, suggestion: String? = nil) -> ConfigurationError {
            ConfigurationError(source: .configSet, text: shown, reason: reason, suggestion: suggestion)
        }
        guard let directive = DirectiveTable.directive(named: pair.name), directive.isOption else {
            let nearest = DirectiveTable.nearest(to: pair.name).flatMap { $0.isOption ? $0.name : nil }
            throw failure("unknown directive '\(Disclosure.shownName(pair.name))'", suggestion: nearest)
        }
        guard directive.isReloadable else { throw failure("\(directive.name) can't change while the proxy runs") }
        do throws(ValueError) {
            if directive.isRepeatable { try directive.apply([""], to: &options) }
            try directive.apply([pair.value], to: &options)
        } catch {
            throw failure("\(directive.name) \(error.reason)", suggestion: error.suggestion)
        }
    }

    private static func differences(_ old: ProxyOptions, _ new: ProxyOptions) -> [Directive] {
        DirectiveTable.all.filter { $0.arguments(for: old) != $0.arguments(for: new) }
    }

    private static func change(of directive: Directive, from old: ProxyOptions, to new: ProxyOptions) -> String {
        "\(directive.name): \(directive.text(for: old)) -> \(directive.text(for: new))"
    }
}
