import Proxy

extension DirectiveTable {
    /// Where clients connect to.
    static let listening: [Directive] = [
        .integer("port", 0...65535, reloadable: false, "TCP port for clients; 0 turns TCP off", at: \.port),
        Directive(
            "bind", "ADDRESS [ADDRESS ...]", arity: 1...Limits.bindAddresses, reloadable: false,
            "Addresses to listen on; * is all of IPv4, ::* all of IPv6, a leading - allows one to be missing", at: \.bind,
            parse: { (words, value) throws(ValueError) in
                var addresses: [String] = []
                for word in words { addresses.append(try ValueParser.bindAddress(word)) }
                value = addresses
            },
            format: { $0 }),
        .optionalText(
            "unixsocket", "PATH", reloadable: false, "Unix socket for clients", at: \.unixSocket,
            check: { (text) throws(ValueError) in try ValueParser.path(text, limit: Limits.socketPathBytes) }),
        .integer("threads", 0...512, reloadable: false, "Event loops; 0 stands for the number of cores", at: \.threads),
    ]

    /// What concerns the process rather than its clients.
    static let operation: [Directive] = [
        .integer(
            "metrics-port", 0...65535, reloadable: false, "HTTP port for /metrics, /healthz and /readyz; 0 turns it off",
            at: \.metricsPort),
        .choice("loglevel", reloadable: true, "Least important messages to log", at: \.logLevel),
        Directive(
            "logfile", "PATH", reloadable: false, "File to append the log to; empty for standard output", at: \.logFile,
            parse: { (words, value) throws(ValueError) in value = try ValueParser.path(words[0]) },
            format: { [$0] }),
        .choice("log-format", reloadable: false, "Log as lines of text, or as one JSON object a line", at: \.logFormat),
    ]
}
