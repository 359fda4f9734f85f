/// Why a configuration was refused: where, what was written there, and what is wrong with it.
///
/// Passwords never get into any of the fields; see `Disclosure`.
package struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What the refused text was read from.
    package enum Source: Hashable, Sendable {
        /// A file by the path it was opened with; `-` is standard input.
        case file(String)
        case commandLine
        /// `PROXY CONFIG SET`.
        case configSet
        /// New files on top of what a running proxy can't change any more.
        case reload
        /// Nothing was given at all.
        case defaults
    }

    package var source: Source
    /// Counted from 1; nil outside files and where no single line is to blame.
    package var line: Int?
    /// The directive as it was written, or nil if there is none to show. Passwords are replaced by `(hidden)`.
    package var text: String?
    /// What is wrong, as a sentence without a full stop.
    package var reason: String
    /// The nearest name that would have been valid.
    package var suggestion: String?

    package init(source: Source, line: Int? = nil, text: String? = nil, reason: String, suggestion: String? = nil) {
        self.source = source
        self.line = line
        self.text = text
        self.reason = reason
        self.suggestion = suggestion
    }

    /// One line without control characters: `proxy.conf:12: unknown directive 'replcia' in 'replcia 10.0.0.1:6379': did you
    /// mean 'replica'?`
    package var description: String {
        var result = source.description
        if let line { result += ":\(line)" }
        result += ": " + Disclosure.printable(reason, limit: Limits.shownReasonCharacters)
        if let text { result += " in '" + Disclosure.printable(text, limit: Limits.shownTextCharacters) + "'" }
        if let suggestion { result += ": did you mean '\(suggestion)'?" }
        return result
    }
}

extension ConfigurationError.Source: CustomStringConvertible {
    package var description: String {
        switch self {
        case .file("-"): "standard input"
        case .file(let path): Disclosure.printable(path, limit: Limits.shownTextCharacters)
        case .commandLine: "command line"
        case .configSet: "PROXY CONFIG SET"
        case .reload: "reload"
        case .defaults: "no configuration given"
        }
    }
}

/// Why a directive refused its arguments. The reason continues a sentence that starts with the directive's name: 'must be ...'.
/// Whoever throws it for a password leaves the password out.
struct ValueError: Error, Hashable {
    var reason: String
    /// The nearest name that would have been valid.
    var suggestion: String?

    init(_ reason: String, suggestion: String? = nil) {
        self.reason = reason
        self.suggestion = suggestion
    }
}
