import Wire

/// Two or more settings that can't hold together.
package struct OptionContradiction: Hashable, Sendable {
    /// One setting by the name of its directive; `index` counts the entries of a repeatable one such as `replica`.
    package struct Setting: Hashable, Sendable {
        package var name: String
        package var index: Int?

        package init(_ name: String, index: Int? = nil) {
            self.name = name
            self.index = index
        }
    }

    /// The settings that disagree, so that whoever read them can name the place of the later one.
    package var settings: [Setting]
    /// What is wrong and what to write instead; never contains a password.
    package var reason: String
}

extension ProxyOptions {
    /// What contradicts itself in these options, in a fixed order; empty if the proxy can run with them.
    ///
    /// Ranges of single values are not checked here: what reads the options refuses those, where it still knows the text.
    package func validate() -> [OptionContradiction] {
        var found: [OptionContradiction] = []
        checkMaster(&found)
        checkReplicas(&found)
        checkListeners(&found)
        checkOutputLimit("normal", outputLimitNormal, &found)
        checkOutputLimit("pubsub", outputLimitPubsub, &found)
        if backendUser != nil, backendPassword == nil {
            found.append(OptionContradiction(
                settings: [.init("backend-user")],
                reason: "backend-user needs a password: write 'backend-password PASSWORD' too"))
        }
        checkRenames(&found)
        return found
    }

    private func checkMaster(_ found: inout [OptionContradiction]) {
        switch mode {
        case .static:
            guard let master else {
                found.append(OptionContradiction(
                    settings: [.init("mode"), .init("master")],
                    reason: "mode static needs a master: write 'master HOST:PORT' in proxy.conf, or start with '--master HOST:PORT'"))
                return
            }
            if reachesItself(master) {
                found.append(OptionContradiction(
                    settings: [.init("master"), .init("port"), .init("bind")],
                    reason: "master \(master) is the address that this proxy listens on"))
            }
        }
    }

    private func checkReplicas(_ found: inout [OptionContradiction]) {
        if readFrom == .replica, replicas.isEmpty {
            found.append(OptionContradiction(
                settings: [.init("read-from"), .init("replica")],
                reason: "read-from replica needs a replica: write 'replica HOST:PORT', or use read-from prefer-replica"))
        }
        var seen: [Endpoint: Int] = [:]
        for (index, replica) in replicas.enumerated() {
            let endpoint = replica.endpoint.foldingCase
            let this = OptionContradiction.Setting("replica", index: index)
            if endpoint == master?.foldingCase {
                found.append(OptionContradiction(
                    settings: [.init("master"), this],
                    reason: "replica \(replica.endpoint) is also the master"))
            }
            if reachesItself(replica.endpoint) {
                found.append(OptionContradiction(
                    settings: [this, .init("port"), .init("bind")],
                    reason: "replica \(replica.endpoint) is the address that this proxy listens on"))
            }
            if let first = seen[endpoint] {
                found.append(OptionContradiction(
                    settings: [.init("replica", index: first), this],
                    reason: "replica \(replica.endpoint) is listed twice"))
            } else {
                seen[endpoint] = index
            }
        }
    }

    private func checkListeners(_ found: inout [OptionContradiction]) {
        if port == 0, unixSocket == nil {
            found.append(OptionContradiction(
                settings: [.init("port"), .init("unixsocket")],
                reason: "port 0 turns TCP off, which needs a Unix socket: write 'unixsocket PATH'"))
        }
        if port != 0, port == metricsPort {
            found.append(OptionContradiction(
                settings: [.init("port"), .init("metrics-port")],
                reason: "port and metrics-port are both \(port)"))
        }
    }

    private func checkOutputLimit(_ name: String, _ limit: OutputBufferLimit, _ found: inout [OptionContradiction]) {
        guard limit.isContradictory else { return }
        found.append(OptionContradiction(
            settings: [.init("client-output-buffer-limit")],
            reason: "client-output-buffer-limit \(name) has a soft limit above its hard limit"))
    }

    private func checkRenames(_ found: inout [OptionContradiction]) {
        var owners: [String: String] = [:]
        for (old, new) in renamedCommands.sorted(by: { $0.key < $1.key }) where !new.isEmpty {
            if let other = owners.updateValue(old, forKey: new) {
                found.append(OptionContradiction(
                    settings: [.init("rename-command")],
                    reason: "rename-command gives '\(other)' and '\(old)' the same new name"))
            }
        }
    }

    /// Whether a node's endpoint is literally one of the addresses that clients connect to: every request would come back.
    private func reachesItself(_ node: Endpoint) -> Bool {
        guard port != 0, node.port == port else { return false }
        return bind.contains { address in
            let host = address.utf8.first == UInt8(ascii: "-") ? String(address.dropFirst()) : address
            return host.lowercased() == node.host.lowercased()
        }
    }
}

extension OutputBufferLimit {
    /// Whether the soft limit could never be reached before the hard one. A limit of 0 is off and contradicts nothing.
    package var isContradictory: Bool { hardBytes > 0 && softBytes > hardBytes }
}

extension Endpoint {
    /// Host names are compared without regard to case (RFC 4343).
    fileprivate var foldingCase: Endpoint { Endpoint(host: host.lowercased(), port: port) }
}
