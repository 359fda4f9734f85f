/// All directives: the one source of parsing, PROXY CONFIG GET and SET, the help text and the checks on proxy.conf.
package enum DirectiveTable {
    /// In the order in which they are shown.
    package static let all: [Directive] = listening + nodes + routing + limits + commands + operation + [
        Directive(loader: "include", "PATH", "Another file, relative to the directory of the file that names it"),
    ]

    /// The directive of that name, without regard to case.
    package static func directive(named name: String) -> Directive? {
        name.utf8.count <= Limits.nameBytes ? byName[name.lowercased()] : nil
    }

    /// The directive that someone who wrote the unknown name probably meant.
    static func nearest(to name: String) -> Directive? {
        if let meant = namesInRedis[name.lowercased()] { return byName[meant] }
        return Suggestion.nearest(to: name, among: all.map(\.name)).flatMap { byName[$0] }
    }

    /// What directives of redis.conf with another name, but the same purpose, are called here.
    static let namesInRedis = [
        "replicaof": "master", "slaveof": "master", "slave": "replica",
        "masteruser": "backend-user", "masterauth": "backend-password",
        "maxmemory-clients": "maxmemory-buffers", "log-level": "loglevel", "log-file": "logfile", "logformat": "log-format",
    ]

    private static let byName: [String: Directive] = Dictionary(uniqueKeysWithValues: all.map { ($0.name, $0) })
}
