import Proxy

/// Reads files and the command line, in that order, into options, and remembers where each setting came from.
struct Loader {
    /// One directive as it was found.
    private struct Origin {
        var source: ConfigurationError.Source
        var line: Int?
        /// As an error may show it.
        var text: String?
        /// Counts up with every directive read.
        var order: Int

        func error(_ reason: String, suggestion: String? = nil) -> ConfigurationError {
            ConfigurationError(source: source, line: line, text: text, reason: reason, suggestion: suggestion)
        }
    }

    private let readFile: Configuration.FileReader
    private(set) var options = ProxyOptions()
    /// Every file read, in order, by the path it was opened with.
    private(set) var files: [String] = []
    private var origins: [OptionContradiction.Setting: Origin] = [:]
    private var directivesRead = 0

    init(readFile: @escaping Configuration.FileReader) { self.readFile = readFile }

    /// Reads the file that the user named.
    mutating func load(_ path: String) throws(ConfigurationError) {
        let bytes: [UInt8]
        do throws(ConfigurationError) {
            bytes = try read(path)
        } catch {
            throw ConfigurationError(source: .file(path), reason: "can't be read: \(error.reason)")
        }
        try apply(file: bytes, path: path, within: [])
    }

    /// Applies the words of a command line as redis-server does: `--name` starts a directive, and what follows up to the next
    /// word that starts with `--` are its arguments.
    mutating func apply(commandLine words: [String]) throws(ConfigurationError) {
        var rest = words[...]
        while let word = rest.popFirst() {
            guard word.hasPrefix("--") else {
                throw ConfigurationError(
                    source: .commandLine, reason: "unexpected argument '\(word)': directives start with --, as in --port 7379")
            }
            let arguments = rest.prefix { !$0.hasPrefix("--") }
            rest = rest.dropFirst(arguments.count)
            let text = ([word] + arguments.map(ArgumentSplitter.quoted)).joined(separator: " ")
            try apply(
                name: String(word.dropFirst(2)), arguments: Array(arguments), text: text, source: .commandLine, line: nil,
                within: [])
        }
    }

    /// Refuses options that contradict themselves; the error names the latest of the lines that are to blame.
    func validate(source: ConfigurationError.Source) throws(ConfigurationError) {
        guard let contradiction = options.validate().first else { return }
        let involved = contradiction.settings.compactMap { origins[$0] }
        guard let latest = involved.max(by: { $0.order < $1.order }) else {
            throw ConfigurationError(source: source, reason: contradiction.reason)
        }
        throw latest.error(contradiction.reason)
    }

    private mutating func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        guard files.count < Limits.files else {
            throw ConfigurationError(source: .file(path), reason: "more than \(Limits.files) files")
        }
        let bytes = try readFile(path)
        guard bytes.count <= Limits.fileBytes else {
            throw ConfigurationError(source: .file(path), reason: "longer than \(Limits.fileBytes) bytes")
        }
        files.append(path)
        return bytes
    }

    /// - Parameter parents: The files that led here by `include`, outermost first.
    private mutating func apply(file bytes: [UInt8], path: String, within parents: [String]) throws(ConfigurationError) {
        let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]
        let text = bytes.starts(with: byteOrderMark) ? bytes.dropFirst(3) : bytes[...]
        var number = 0
        for line in text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            number += 1
            try apply(line: line, number: number, path: path, within: parents + [path])
        }
    }

    private mutating func apply(
        line: ArraySlice<UInt8>, number: Int, path: String, within parents: [String]
    ) throws(ConfigurationError) {
        let line = line.trimmed
        guard let first = line.first, first != UInt8(ascii: "#") else { return }
        let shortText = String(decoding: line.prefix(4 * Limits.shownTextCharacters), as: UTF8.self)
        func error(_ reason: String) -> ConfigurationError {
            let shown = Disclosure.shown(name: Disclosure.firstWord(of: line), text: shortText)
            return ConfigurationError(source: .file(path), line: number, text: shown, reason: reason)
        }
        guard line.count <= Limits.lineBytes else { throw error("line longer than \(Limits.lineBytes) bytes") }
        guard !line.contains(0) else { throw error("NUL byte") }
        guard let words = ArgumentSplitter.split(line), !words.isEmpty else { throw error("unbalanced quotes") }
        var arguments: [String] = []
        for word in words {
            guard let word = String(validating: word, as: UTF8.self) else { throw error("text that isn't UTF-8") }
            arguments.append(word)
        }
        let name = arguments.removeFirst()
        try apply(name: name, arguments: arguments, text: shortText, source: .file(path), line: number, within: parents)
    }

    private mutating func apply(
        name: String, arguments: [String], text: String, source: ConfigurationError.Source, line: Int?, within parents: [String]
    ) throws(ConfigurationError) {
        directivesRead += 1
        let shown = Disclosure.shown(name: name, text: text)
        let origin = Origin(source: source, line: line, text: shown, order: directivesRead)
        guard let directive = DirectiveTable.directive(named: name) else {
            throw origin.error(
                "unknown directive '\(Disclosure.shownName(name))'", suggestion: DirectiveTable.nearest(to: name)?.name)
        }
        do throws(ValueError) {
            let replicasBefore = options.replicas.count
            try directive.apply(arguments, to: &options)
            remember(origin, of: directive, replicasBefore: replicasBefore)
        } catch {
            throw origin.error("\(directive.name) \(error.reason)", suggestion: error.suggestion)
        }
        if !directive.isOption { try include(arguments[0], from: origin, within: parents) }
    }

    private mutating func remember(_ origin: Origin, of directive: Directive, replicasBefore: Int) {
        origins[.init(directive.name)] = origin
        guard directive.name == "replica", replicasBefore < options.replicas.count else { return }
        for index in replicasBefore..<options.replicas.count { origins[.init("replica", index: index)] = origin }
    }

    private mutating func include(_ path: String, from origin: Origin, within parents: [String]) throws(ConfigurationError) {
        guard !path.isEmpty else { throw origin.error("include takes PATH") }
        let resolved = FilePath.resolve(path, from: parents.last)
        guard !parents.contains(where: { FilePath.normalized($0) == FilePath.normalized(resolved) }) else {
            throw origin.error("include of a file that leads to itself")
        }
        guard parents.count <= Limits.includeDepth else {
            throw origin.error("include deeper than \(Limits.includeDepth) files")
        }
        let bytes: [UInt8]
        do throws(ConfigurationError) {
            bytes = try read(resolved)
        } catch {
            throw origin.error("include can't read '\(resolved)': \(error.reason)")
        }
        try apply(file: bytes, path: resolved, within: parents)
    }
}

extension ArraySlice<UInt8> {
    /// Without white space at both ends.
    fileprivate var trimmed: ArraySlice<UInt8> {
        var rest = drop(while: ArgumentSplitter.isSpace)
        while let last = rest.last, ArgumentSplitter.isSpace(last) { rest.removeLast() }
        return rest
    }
}
