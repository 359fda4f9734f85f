import Wire

// PROXY: the product's own command.
extension Worker {
    private static let help = [
        "PROXY <subcommand> [<arg> ...]. Subcommands are:",
        "TOPOLOGY",
        "    Nodes with role, health, offset, lag, latency and outstanding requests.",
        "ROUTE <command> [<arg> ...]",
        "    Where that command would go from this connection, and why. Runs nothing.",
        "STATS",
        "    Counters of the whole proxy.",
        "CONFIG GET <pattern> [<pattern> ...]",
        "    Directives and their values.",
        "CONFIG SET <directive> <value> [<directive> <value> ...]",
        "    Changes directives while running, all of them or none.",
        "READ-FROM [<policy>|default]",
        "    Read policy of this connection: master, prefer-master, replica, prefer-replica, any.",
        "HELP",
        "    Print this help.",
    ]

    func answerProxy(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        guard parser.argumentCount > 1 else {
            reply(session, error: "ERR wrong number of arguments for 'proxy' command")
            return .taken
        }
        let version: RESPVersion = session.pointee.protocolVersion == 3 ? .three : .two
        var bytes: [UInt8] = []
        switch (text(1, start).lowercased(), parser.argumentCount) {
        case ("help", 2):
            bytes.appendArrayHeader(Self.help.count)
            for line in Self.help { bytes.appendSimpleString(line) }
        case ("topology", 2):
            guard let answer = askControl(session, .topologyDetail) else { return .waits }
            guard case .topology(let detail) = answer else { return refuse(session, answer) }
            appendTopology(detail, version, to: &bytes)
        case ("route", 3...):
            appendRoute(session, start, version, to: &bytes)
        case ("stats", 2):
            guard let answers = gatherFromWorkers(session, .statistics) else { return .waits }
            appendStatistics(merge(answers), version, to: &bytes)
        case ("config", 4...) where text(2, start).lowercased() == "get":
            let patterns = (3..<parser.argumentCount).map { text($0, start) }
            guard let answer = askControl(session, .configGet(patterns: patterns)) else { return .waits }
            guard case .pairs(let pairs) = answer else { return refuse(session, answer) }
            bytes.appendMapHeader(pairs.count, version)
            for pair in pairs {
                bytes.appendBulk(pair.name)
                bytes.appendBulk(pair.value)
            }
        case ("config", 5...) where text(2, start).lowercased() == "set" && parser.argumentCount % 2 == 1:
            let pairs = stride(from: 3, to: parser.argumentCount, by: 2).map {
                Question.Pair(name: text($0, start), value: text($0 + 1, start))
            }
            guard let answer = askControl(session, .configSet(pairs)) else { return .waits }
            if case .failure = answer { return refuse(session, answer) }
            bytes.appendSimpleString("OK")
        case ("read-from", 2):
            bytes.appendBulk((session.pointee.readFrom ?? options.readFrom).rawValue)
        case ("read-from", 3):
            let name = text(2, start).lowercased()
            if name == "default" {
                session.pointee.readFrom = nil
            } else if let policy = ReadFrom(rawValue: name) {
                session.pointee.readFrom = policy
            } else {
                let names = ReadFrom.allCases.map(\.rawValue).joined(separator: ", ")
                reply(session, error: "ERR unknown read policy '\(name)': one of \(names), default")
                return .taken
            }
            bytes.appendSimpleString("OK")
        default:
            reply(
                session,
                error: "ERR unknown subcommand or wrong number of arguments for '\(text(1, start))'. Try PROXY HELP.")
            return .taken
        }
        reply(session, bytes)
        return .taken
    }

    private func refuse(_ session: SessionPointer, _ answer: Answer) -> Verdict {
        if case .failure(let text) = answer {
            reply(session, error: text.hasPrefix("ERR ") ? text : "ERR \(text)")
        } else {
            reply(session, error: "ERR no answer from the control loop")
        }
        return .taken
    }

    // MARK: - TOPOLOGY

    private func appendTopology(_ topology: Topology, _ version: RESPVersion, to bytes: inout [UInt8]) {
        bytes.appendArrayHeader(topology.nodes.count)
        for node in topology.nodes {
            let (health, why): (String, String) =
                switch node.health {
                case .up: ("up", node.readsRefused ?? "")
                case .unusable(let text): ("unusable", text)
                case .down(let text): ("down", text)
                }
            let isReadable = health == "up" && node.readsRefused == nil
            let own = (0..<nodeCount).first { nodes[$0].isMember && nodes[$0].endpoint == node.endpoint }
            let texts: [(String, String)] = [
                ("address", node.endpoint.description), ("role", node.role.rawValue),
                ("is-master", node.isMaster ? "yes" : "no"), ("health", health), ("reads", isReadable ? "yes" : "no"),
                ("reason", why), ("version", node.version), ("replication-id", node.replicationID), ("zone", node.zone ?? ""),
            ]
            let numbers: [(String, Int)] = [
                ("weight", node.weight), ("offset", Int(node.offset)), ("lag-bytes", Int(node.lagBytes)),
                ("seconds-since-master", node.secondsSinceMaster), ("latency-microseconds", node.latencyMicroseconds),
                ("outstanding", own.map { nodes[$0].outstanding } ?? 0),
            ]
            bytes.appendMapHeader(texts.count + numbers.count, version)
            for (key, value) in texts {
                bytes.appendBulk(key)
                bytes.appendBulk(value)
            }
            for (key, value) in numbers {
                bytes.appendBulk(key)
                bytes.appendInteger(value)
            }
        }
    }

    // MARK: - ROUTE

    /// What would become of the command that follows `PROXY ROUTE`: `route` is `master`, `replica`, `private` (a connection of
    /// its own to the master), `proxy` or `refused`.
    private func appendRoute(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ version: RESPVersion, to bytes: inout [UInt8]
    ) {
        let word = parser.arguments[2]
        var index = routes.commands.find(start + Int(word.offset), Int(word.length))
        if index >= 0, parser.argumentCount > 3, routes.commands.traits(of: index).isContainer {
            let second = parser.arguments[3]
            let sub = routes.commands.findSubcommand(of: index, start + Int(second.offset), Int(second.length))
            if sub >= 0 { index = sub }
        }
        let name = index >= 0 ? routes.commands[index].name : text(2, start).lowercased()
        var (place, reason, node) = explain(session, routes[index], index, start)
        if index < 0 && name == "proxy" { (place, reason, node) = ("proxy", "the proxy's own command", -1) }
        let address = node >= 0 ? nodes[node].endpoint.description : ""
        let fields = [("command", name), ("route", place), ("node", address), ("reason", reason)]
        bytes.appendMapHeader(fields.count, version)
        for (key, value) in fields {
            bytes.appendBulk(key)
            bytes.appendBulk(value)
        }
    }

    private func explain(
        _ session: SessionPointer, _ route: RouteTable.Route, _ index: Int, _ start: UnsafePointer<UInt8>
    ) -> (place: String, reason: String, node: Int) {
        switch route.handler {
        case .denied: return ("refused", "deny-command or rename-command takes it away", -1)
        case .administrative: return ("refused", "an administrative command, and 'admin-commands' is 'deny'", -1)
        case .impossible: return ("refused", "it would turn the connection into something else", -1)
        default: break
        }
        if session.pointee.pinned != nil && route.commandClass != .local {
            return ("private", "this connection has a private connection to the master at the moment", master)
        }
        switch route.handler {
        case .denied, .administrative, .impossible:
            return ("refused", "", -1)
        case .read, .scan, .keyScan, .evalReadOnly:
            return explainRead(session, "it only reads, on every node")
        case .streamRead:
            let skipped = (3..<max(parser.argumentCount, 3)).map { text($0, start).uppercased() }
            let blocks = skipped.prefix { $0 != "STREAMS" }.contains("BLOCK")
            if blocks { return ("private", "it may block", master) }
            return index >= 0 && routes.commands.isReplicaEligible(index)
                ? explainRead(session, "it only reads, on every node, and does not block") : ("master", "it writes", master)
        case .blocking: return ("private", "it may block", master)
        case .wait: return ("private", "it waits for replicas", master)
        case .kill: return ("private", "it must not wait behind the script that it ends", master)
        case .multi, .watch: return ("private", "a transaction needs a connection of its own", master)
        case .subscribe, .unsubscribe, .monitor: return ("private", "messages come on a connection of their own", master)
        case .clientTracking, .clientNoTouch: return ("private", "it changes the state of its connection", master)
        case .info: return ("master", "the master's figures, with a section of the proxy's", master)
        case .master, .container, .eval, .scriptLoad, .scriptFlush, .exec, .discard, .unwatch, .clientCaching,
            .clientTrackingInfo:
            if index < 0 { return ("master", "no node knows it: the master says what is wrong with it", master) }
            let flags = routes.commands.traits(of: index).flags
            if flags.contains(.write) { return ("master", "it writes", master) }
            if Handler.readsForMaster.contains(routes.commands[index].name) {
                return ("master", "it reads what every node keeps for itself", master)
            }
            return ("master", "not every node says that it only reads", master)
        case .ping, .hello, .auth, .select, .reset, .quit, .clientID, .clientInfo, .clientList, .clientKill, .clientSetName,
            .clientGetName, .clientSetInfo, .clientReply, .clientPause, .clientUnpause, .clientUnblock, .clientNoEvict,
            .clientGetRedir, .proxy:
            return ("proxy", "the proxy answers it", -1)
        }
    }

    private func explainRead(_ session: SessionPointer, _ reason: String) -> (place: String, reason: String, node: Int) {
        let policy = session.pointee.readFrom ?? options.readFrom
        let node = selectReadNode(policy, avoiding: NodeSet())
        if node < 0 { return ("refused", "\(reason), but no node is eligible under read-from \(policy.rawValue)", -1) }
        return (node == master ? "master" : "replica", "\(reason); read-from is \(policy.rawValue)", node)
    }

    // MARK: - STATS

    private func appendStatistics(_ all: Statistics, _ version: RESPVersion, to bytes: inout [UInt8]) {
        var fields: [(String, Int)] = [
            ("connected-clients", all.connectedClients), ("pinned-clients", all.pinnedClients),
            ("accepted-clients", Int(all.acceptedClients)), ("closed-for-limits", Int(all.closedForLimits)),
            ("protocol-errors", Int(all.protocolErrors)), ("bytes-from-clients", Int(all.bytesFromClients)),
            ("bytes-to-clients", Int(all.bytesToClients)), ("buffer-bytes", all.bufferBytes),
        ]
        for kind in Statistics.CommandClass.allCases { fields.append(("requests-\(kind)", Int(all.requests[kind.rawValue]))) }
        for (code, count) in all.proxyErrors.sorted(by: { $0.key < $1.key }) { fields.append(("errors-\(code)", Int(count))) }
        for node in all.nodes {
            fields.append(("reads-\(node.endpoint)", Int(node.reads)))
            fields.append(("writes-\(node.endpoint)", Int(node.writes)))
            fields.append(("retries-\(node.endpoint)", Int(node.retries)))
            fields.append(("outstanding-\(node.endpoint)", node.outstanding))
            fields.append(("connections-\(node.endpoint)", node.connections))
        }
        bytes.appendMapHeader(fields.count, version)
        for (key, value) in fields {
            bytes.appendBulk(key)
            bytes.appendInteger(value)
        }
    }
}
