/// What a command line asks of `switchyard`:
///
///     switchyard [proxy.conf | -] [--directive value ...]
///     switchyard --check [proxy.conf | -] [--directive value ...]
///     switchyard --version | -v
///     switchyard --help | -h
package enum CommandLineRequest: Sendable {
    case run(LoadedConfiguration)
    /// Only say whether the configuration is valid.
    case check(Result<LoadedConfiguration, ConfigurationError>)
    case version
    /// Print `HelpText.text`.
    case help

    /// Understands the words after the program's name and reads the files that they name. Throws what is wrong with the
    /// configuration unless it was only to be checked.
    package static func parse(
        _ words: [String], readFile: @escaping Configuration.FileReader = ConfigurationFile.read
    ) throws(ConfigurationError) -> CommandLineRequest {
        if words.first == "-v" || words.contains("--version") { return .version }
        if words.first == "-h" || words.contains("--help") { return .help }
        guard let index = words.firstIndex(of: "--check") else { return .run(try load(words, readFile)) }

        var others = words
        others.remove(at: index)
        let checked = others
        return .check(Result { () throws(ConfigurationError) in try load(checked, readFile) })
    }

    private static func load(
        _ words: [String], _ readFile: @escaping Configuration.FileReader
    ) throws(ConfigurationError) -> LoadedConfiguration {
        guard let first = words.first, !first.hasPrefix("--") else {
            return try Configuration.load(path: nil, commandLine: words, readFile: readFile)
        }
        guard first == "-" || !first.hasPrefix("-") else {
            throw ConfigurationError(
                source: .commandLine, reason: "unknown option '\(Disclosure.shownName(first))'; --help lists what there is")
        }
        guard !first.isEmpty else {
            throw ConfigurationError(source: .commandLine, reason: "the path of the configuration file is empty")
        }
        return try Configuration.load(path: first, commandLine: Array(words.dropFirst()), readFile: readFile)
    }
}
