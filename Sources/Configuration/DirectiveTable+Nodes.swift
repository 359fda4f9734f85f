import Proxy
import Wire

extension DirectiveTable {
    /// Where the data is.
    static let nodes: [Directive] = [
        .choice("mode", reloadable: false, "Where the topology comes from: static is the nodes named here", at: \.mode),
        Directive(
            "master", "HOST:PORT", reloadable: true, "The node that writes go to", at: \.master,
            parse: { (words, value) throws(ValueError) in
                value = words[0].isEmpty ? nil : try ValueParser.endpoint(words[0])
            },
            format: { [$0?.description ?? ""] }),
        Directive(
            "replica", "HOST:PORT [weight N] [zone Z]", arity: 1...(5 * Limits.replicas), reloadable: true, repeatable: true,
            "A node that reads may go to; an empty argument forgets the former ones", at: \.replicas,
            parse: { (words, value) throws(ValueError) in try parseReplicas(words, into: &value) },
            format: { $0.flatMap(words) }),
        .optionalText(
            "backend-user", "NAME", reloadable: true, "User to log in to the nodes as; without one, the default user",
            at: \.backendUser, check: { (text) throws(ValueError) in try ValueParser.name(text, what: "must be a user name") }),
        .optionalText(
            "backend-password", "PASSWORD", reloadable: true, secret: true, "Password to log in to the nodes with",
            at: \.backendPassword, check: { (text) throws(ValueError) in try ValueParser.password(text) }),
    ]

    /// `HOST:PORT [weight N] [zone Z]`, any number of times; no words at all empty the list.
    private static func parseReplicas(_ words: [String], into replicas: inout [ReplicaOptions]) throws(ValueError) {
        if words.isEmpty { replicas = [] }
        var rest = words[...]
        while let word = rest.popFirst() {
            var replica = ReplicaOptions(endpoint: try ValueParser.endpoint(word))
            try parseReplicaOptions(&rest, of: &replica)
            guard replicas.count < Limits.replicas else { throw ValueError("can't name more than \(Limits.replicas) nodes") }
            replicas.append(replica)
        }
    }

    /// The options up to the next endpoint, which is told apart by its colon.
    private static func parseReplicaOptions(
        _ rest: inout ArraySlice<String>, of replica: inout ReplicaOptions
    ) throws(ValueError) {
        var weightGiven = false
        while let name = rest.first, !name.contains(":") {
            rest = rest.dropFirst()
            let isWeight = name.lowercased() == "weight"
            guard isWeight || name.lowercased() == "zone" else {
                let suggestion = Suggestion.nearest(to: name, among: ["weight", "zone"])
                throw ValueError("takes HOST:PORT [weight N] [zone Z]", suggestion: suggestion)
            }
            guard let value = rest.popFirst() else {
                throw ValueError("needs a value after \(name.lowercased())")
            }
            guard isWeight ? !weightGiven : replica.zone == nil else {
                throw ValueError("has two of \(name.lowercased()) for one node")
            }
            if isWeight {
                replica.weight = try weight(value)
                weightGiven = true
            } else {
                replica.zone = try ValueParser.name(value, what: "needs a zone")
            }
        }
    }

    private static func weight(_ text: String) throws(ValueError) -> Int {
        do throws(ValueError) {
            return try ValueParser.integer(text, in: 1...1000)
        } catch {
            throw ValueError("needs a weight from 1 to 1000")
        }
    }

    private static func words(of replica: ReplicaOptions) -> [String] {
        var words = [replica.endpoint.description]
        if replica.weight != 1 { words += ["weight", "\(replica.weight)"] }
        if let zone = replica.zone { words += ["zone", zone] }
        return words
    }
}
