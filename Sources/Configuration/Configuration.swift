import Proxy

/// A configuration that was read, and what it takes to read it again.
package struct LoadedConfiguration: Hashable, Sendable {
    /// Free of contradictions.
    package var options: ProxyOptions
    /// The file that was named; nil if there was none, `-` if it was standard input.
    package var path: String?
    /// The directives of the command line, which override the file again when it is reloaded.
    package var commandLine: [String]
    /// Every file read, included ones too, in the order of reading.
    package var files: [String]

    /// Whether SIGHUP can read it again: standard input can be read only once.
    package var canBeReloaded: Bool { path != nil && path != "-" }
}

/// proxy.conf: the syntax of redis.conf, read into `ProxyOptions`, and `ProxyOptions` shown and changed by the names used there.
package enum Configuration {
    /// Gives all bytes of a file. The reason of its error says what went wrong, not where.
    package typealias FileReader = (String) throws(ConfigurationError) -> [UInt8]

    /// Reads a file, then the directives of a command line over it, and checks the result.
    ///
    /// A directive given again replaces the former value; a repeatable one adds to it.
    /// - Parameters:
    ///   - path: The file, `-` for standard input, nil for none.
    ///   - commandLine: Words such as `--port 7379 --replica 10.0.0.2:6379 weight 2`.
    ///   - readFile: What reads `path` and the files that it includes.
    package static func load(
        path: String?, commandLine: [String], readFile: @escaping FileReader = ConfigurationFile.read
    ) throws(ConfigurationError) -> LoadedConfiguration {
        var loader = Loader(readFile: readFile)
        if let path { try loader.load(path) }
        try loader.apply(commandLine: commandLine)
        let source: ConfigurationError.Source = path.map { .file($0) } ?? (commandLine.isEmpty ? .defaults : .commandLine)
        try loader.validate(source: source)
        return LoadedConfiguration(options: loader.options, path: path, commandLine: commandLine, files: loader.files)
    }
}
