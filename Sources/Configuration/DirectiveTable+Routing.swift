import Proxy

extension DirectiveTable {
    /// Which node serves a read, and how long anyone waits for it.
    static let routing: [Directive] = [
        .choice("read-from", reloadable: true, "Which nodes a read may run on", at: \.readFrom),
        .choice("replica-selection", reloadable: true, "How one of several eligible nodes is chosen", at: \.replicaSelection),
        .optionalText(
            "zone", "NAME", reloadable: true, "Where this proxy runs; replicas of the same zone are read from first", at: \.zone,
            check: { (text) throws(ValueError) in try ValueParser.name(text, what: "must be a zone") }),
        .size(
            "max-replica-lag-bytes", from: 0, reloadable: true,
            "A replica further behind its master gets no reads; 0 turns the limit off", at: \.maxReplicaLagBytes),
        .seconds(
            "max-replica-lag-seconds", 0...longestSeconds, reloadable: true,
            "A replica that heard from its master longer ago gets no reads; 0 turns the limit off", at: \.maxReplicaLagSeconds),
        .milliseconds(
            "connect-timeout", 1...longestMilliseconds, reloadable: true, "Time to reach a node, greeting included",
            at: \.connectTimeoutMilliseconds),
        .milliseconds(
            "request-timeout", 0...longestMilliseconds, reloadable: true,
            "Time from a request's arrival to its reply; 0 waits for ever; blocking commands are exempt",
            at: \.requestTimeoutMilliseconds),
    ]

    /// About 68 years: what fits 32 bits, as in Redis.
    static let longestSeconds = Int(Int32.max)
    /// About 24 days.
    static let longestMilliseconds = Int(Int32.max)
}
