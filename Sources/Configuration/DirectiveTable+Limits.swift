import Proxy

/// Both classes of `client-output-buffer-limit`, which one directive sets.
private struct OutputLimits: Sendable {
    var normal: OutputBufferLimit
    var pubsub: OutputBufferLimit
}

extension ProxyOptions {
    fileprivate var outputLimits: OutputLimits {
        get { OutputLimits(normal: outputLimitNormal, pubsub: outputLimitPubsub) }
        set {
            outputLimitNormal = newValue.normal
            outputLimitPubsub = newValue.pubsub
        }
    }
}

extension DirectiveTable {
    /// How much clients may ask for.
    static let limits: [Directive] = [
        .integer("maxclients", 1...10_000_000, reloadable: true, "Client connections over all threads", at: \.maxClients),
        .seconds("timeout", 0...longestSeconds, reloadable: true, "Idle clients are closed after this; 0 never", at: \.timeoutSeconds),
        // Linux refuses more (MAX_TCP_KEEPIDLE).
        .seconds(
            "tcp-keepalive", 0...32767, reloadable: true, "Time between TCP keepalive probes; 0 turns them off",
            at: \.tcpKeepaliveSeconds),
        Directive(
            "client-output-buffer-limit", "CLASS HARD SOFT SECONDS [CLASS ...]", arity: 4...8, unit: .bytes, reloadable: true,
            "A client of the class (normal or pubsub) is closed above HARD, or SECONDS above SOFT; 0 turns a limit off",
            at: \.outputLimits,
            parse: { (words, value) throws(ValueError) in try parseOutputLimits(words, into: &value) },
            format: { words(of: $0.normal, class: "normal") + words(of: $0.pubsub, class: "pubsub") }),
        .size(
            "client-query-buffer-limit", from: 1 << 20, reloadable: true,
            "What may be held of one unfinished request; past it the client is closed", at: \.queryBufferLimit),
        .size("proto-max-bulk-len", from: 1 << 20, reloadable: true, "The longest argument accepted", at: \.protoMaxBulkLength),
        .size(
            "maxmemory-buffers", from: 1 << 20, reloadable: true,
            "All buffers of the process; past it the largest clients are closed", at: \.maxMemoryBuffers),
    ]

    private static func parseOutputLimits(_ words: [String], into limits: inout OutputLimits) throws(ValueError) {
        guard words.count % 4 == 0 else { throw ValueError("takes CLASS HARD SOFT SECONDS for each class") }
        for start in stride(from: 0, to: words.count, by: 4) {
            let path = try outputLimitPath(ofClass: words[start])
            let limit = OutputBufferLimit(
                hardBytes: try ValueParser.size(words[start + 1], in: 0...Limits.sizeBytes),
                softBytes: try ValueParser.size(words[start + 2], in: 0...Limits.sizeBytes),
                softSeconds: try ValueParser.seconds(words[start + 3], in: 0...longestSeconds))
            // Also a contradiction of the options; here it is still known which line to blame.
            guard !limit.isContradictory else { throw ValueError("has a soft limit above its hard limit") }
            limits[keyPath: path] = limit
        }
    }

    private static func outputLimitPath(
        ofClass name: String
    ) throws(ValueError) -> WritableKeyPath<OutputLimits, OutputBufferLimit> {
        switch name.lowercased() {
        case "normal": return \.normal
        case "pubsub": return \.pubsub
        case "replica", "slave":
            throw ValueError("has no class '\(name.lowercased())' here: replicas connect to their master, not to the proxy")
        default:
            throw ValueError(
                "needs the class normal or pubsub", suggestion: Suggestion.nearest(to: name, among: ["normal", "pubsub"]))
        }
    }

    private static func words(of limit: OutputBufferLimit, class name: String) -> [String] {
        [name, ValueParser.format(size: limit.hardBytes), ValueParser.format(size: limit.softBytes), "\(limit.softSeconds)"]
    }
}
