import Wire

// INFO: the master's, with a section about the proxy itself.
extension Worker {
    /// The product's version.
    package static let version = "0.1.0"

    func forwardInfo(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int) -> Verdict {
        var isAboutProxy = parser.argumentCount == 1
        for index in 1..<max(parser.argumentCount, 1) {
            switch text(index, start).lowercased() {
            case "all", "everything", "default", "proxy": isAboutProxy = true
            default: break
            }
        }
        guard isAboutProxy else {
            if session.pointee.pinned != nil { return forwardInfoOnPinned(session, start, length, .plain) }
            return forwardToMaster(session, start, length, .other)
        }
        guard let answers = gatherFromWorkers(session, .statistics) else { return .waits }
        let section = proxySection(merge(answers))
        if parser.argumentCount == 2 && text(1, start).lowercased() == "proxy" {
            replyText(session, section)
            return .taken
        }
        session.pointee.infoSection = section
        if session.pointee.pinned != nil { return forwardInfoOnPinned(session, start, length, .info) }
        guard master >= 0 else { return waitForNode(session, isWrite: true) }
        enqueueSpecial(session, start, length, sharedConnection(session.pointee.lane, master), .info, .other)
        return .taken
    }

    private func forwardInfoOnPinned(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ kind: Run.Kind
    ) -> Verdict {
        guard let connection = session.pointee.pinned else { preconditionFailure("the client is pinned") }
        enqueueSpecial(session, start, length, connection, kind, .other)
        return .taken
    }

    func merge(_ answers: [Answer]) -> Statistics {
        var all = Statistics()
        for answer in answers {
            if case .statistics(let part) = answer { all.merge(part) }
        }
        return all
    }

    /// Puts the proxy's section behind those of the master's reply, a bulk string or a verbatim one.
    func addProxySection(_ run: RunPointer, _ session: SessionPointer) {
        let reply = UnsafeBufferPointer(start: run.pointee.stash.bytes, count: run.pointee.stash.count)
        guard let type = reply.first, type == UInt8(ascii: "$") || type == UInt8(ascii: "="),
            let lineEnd = reply.firstIndex(of: 10), reply.count >= lineEnd + 3
        else { return }
        let body = reply[(lineEnd + 1)..<(reply.count - 2)]
        let section = Array("\r\n\(session.pointee.infoSection)".utf8)
        var changed = ByteQueue()
        changed.append([type] + Array("\(body.count + section.count)\r\n".utf8))
        changed.append(run.pointee.stash.bytes + body.startIndex, body.count)
        changed.append(section)
        changed.append("\r\n")
        run.pointee.stash = changed
    }

    private func proxySection(_ statistics: Statistics) -> String {
        var lines = [
            "# Proxy",
            "proxy_version:\(Worker.version)",
            "proxy_mode:\(options.mode.rawValue)",
            "proxy_threads:\(workerCount)",
            "proxy_uptime_in_seconds:\(now.milliseconds(since: startedAt) / 1000)",
            "proxy_connected_clients:\(statistics.connectedClients)",
            "proxy_pinned_clients:\(statistics.pinnedClients)",
            "proxy_total_connections_received:\(statistics.acceptedClients)",
            "proxy_total_commands_processed:\(statistics.requests.reduce(0, +))",
            "proxy_total_net_input_bytes:\(statistics.bytesFromClients)",
            "proxy_total_net_output_bytes:\(statistics.bytesToClients)",
            "proxy_protocol_errors:\(statistics.protocolErrors)",
            "proxy_buffer_bytes:\(statistics.bufferBytes)",
            "proxy_read_from:\(options.readFrom.rawValue)",
            "proxy_master:\(master >= 0 ? nodes[master].endpoint.description : "")",
        ]
        for (index, node) in statistics.nodes.enumerated() {
            lines.append(
                "proxy_node\(index):address=\(node.endpoint),reads=\(node.reads),writes=\(node.writes),outstanding=\(node.outstanding),connections=\(node.connections),retries=\(node.retries)"
            )
        }
        return lines.map { "\($0)\r\n" }.joined()
    }
}
