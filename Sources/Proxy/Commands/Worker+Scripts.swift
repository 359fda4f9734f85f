import Wire

/// Scripts that all nodes have been given, by a hash of their text: servers keep their script caches to themselves, so a script
/// that ran on one of them is unknown to EVALSHA on the others.
struct ScriptMemory {
    /// Beyond this the memory is emptied; scripts are then handed out once more.
    static let limit = 4096
    private var known: Set<UInt64> = []

    /// True if the script was not known yet.
    mutating func add(_ body: UnsafeBufferPointer<UInt8>) -> Bool {
        if known.count >= Self.limit { known = [] }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in body { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return known.insert(hash ^ UInt64(body.count) << 48).inserted
    }

    mutating func forget() {
        known = []
    }
}

extension Worker {
    /// EVAL, EVAL_RO, SCRIPT LOAD, SCRIPT FLUSH: run where they belong, and made known to the other nodes.
    func forwardScript(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        // The parser's findings are gone once the request is forwarded.
        let script: [UInt8]?
        switch route.handler {
        case .eval, .evalReadOnly: script = parser.argumentCount > 2 ? newScript(1, start) : nil
        case .scriptLoad: script = parser.argumentCount == 3 ? argument(2, start) : nil
        default: script = nil
        }
        if route.handler == .scriptFlush { scripts.forget() }
        let verdict =
            route.handler == .evalReadOnly
            ? forwardRead(session, start, length, .script) : forwardToMaster(session, start, length, .script)
        guard verdict == .taken else {
            if script != nil { scripts.forget() }
            return verdict
        }
        if let script {
            var request: [UInt8] = []
            request.appendCommand([Array("SCRIPT".utf8), Array("LOAD".utf8), script])
            tellOtherNodes(session.pointee.lane, request)
        } else if route.handler == .scriptFlush {
            tellOtherNodes(session.pointee.lane, Array(UnsafeBufferPointer(start: start, count: length)))
        }
        return verdict
    }

    private func newScript(_ index: Int, _ start: UnsafePointer<UInt8>) -> [UInt8]? {
        let place = parser.arguments[index]
        let body = UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length))
        return scripts.add(body) ? Array(body) : nil
    }

    /// Sends a request to all nodes that may serve reads, and to the master; nobody waits for the replies. A node that does not
    /// get it answers NOSCRIPT one day, and that is healed by asking the master.
    private func tellOtherNodes(_ lane: LanePointer, _ request: [UInt8]) {
        for node in 0..<nodeCount where nodes[node].isMember && (nodes[node].isReadableReplica || node == master) {
            let connection = sharedConnection(lane, node)
            if connection.pointee.unsent < Self.nodeHighWater { tell(connection, request) }
        }
    }

    /// XREAD and XREADGROUP block only with BLOCK among their options, which end at STREAMS.
    func isBlockingStreamRead(_ start: UnsafePointer<UInt8>) -> Bool {
        for index in 1..<max(parser.argumentCount, 1) {
            let word = text(index, start).uppercased()
            if word == "STREAMS" { return false }
            if word == "BLOCK" { return true }
        }
        return false
    }
}
