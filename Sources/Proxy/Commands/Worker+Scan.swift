import Wire

// SCAN, HSCAN, SSCAN, ZSCAN: each iteration stays with the node that began it.
extension Worker {
    private func cursorPosition(_ handler: Handler) -> Int { handler == .scan ? 1 : 2 }

    /// The cursor of the request parsed last, if it is a number as the server reads it.
    private func cursor(_ start: UnsafePointer<UInt8>, _ handler: Handler) -> UInt64? {
        let position = cursorPosition(handler)
        guard parser.argumentCount > position else { return nil }
        return UInt64(text(position, start))
    }

    func forwardScan(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        guard let cursor = cursor(start, route.handler) else {
            return forwardRead(session, start, length, route.commandClass)
        }
        let node: Int
        switch cursorHome(cursor) {
        case .fresh:
            node = session.pointee.writesOutstanding > 0 ? master : readNode(session.pointee.readFrom ?? options.readFrom)
        case .untagged:
            node = master
        case .node(let home):
            node = home
        case .gone:
            reply(session, error: "ERR the node that gave this cursor is gone: start again with cursor 0")
            return .taken
        }
        guard node >= 0 else { return waitForNode(session, isWrite: false) }
        let connection = sharedConnection(session.pointee.lane, node)
        if cursor != 0 && connection.pointee.state == .waiting {
            reply(session, error: "ERR the node that gave this cursor does not answer: start again with cursor 0")
            return .taken
        }
        withStrippedCursor(cursor, start, length, route.handler) { bytes, count in
            let run = enqueueSpecial(session, bytes, count, connection, .cursor, route.commandClass)
            run.pointee.detail = cursor == 0 ? 0 : 1
        }
        return .taken
    }

    /// On a private connection all cursors are the master's.
    func forwardPinnedScan(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route,
        _ isInTransaction: Bool
    ) -> Verdict {
        guard let connection = session.pointee.pinned else { preconditionFailure("the client is pinned") }
        let cursor = cursor(start, route.handler)
        if let cursor, CursorTag.tag(of: cursor) != 0, CursorTag.tag(of: cursor) != nodes[connection.pointee.node].cursorTag {
            let text = "ERR this cursor belongs to another node than this connection does: start again with cursor 0"
            if isInTransaction { return refuseInTransaction(session, error: text) }
            reply(session, error: text)
            return .taken
        }
        withStrippedCursor(cursor ?? 0, start, length, route.handler) { bytes, count in
            if isInTransaction || cursor == nil {
                enqueue(session, bytes, count, connection, isWrite: false, route.commandClass)
            } else {
                enqueueSpecial(session, bytes, count, connection, .cursor, route.commandClass)
            }
        }
        return .taken
    }

    private enum CursorHome {
        case fresh
        case untagged
        case node(Int)
        case gone
    }

    private func cursorHome(_ cursor: UInt64) -> CursorHome {
        if cursor == 0 { return .fresh }
        let tag = CursorTag.tag(of: cursor)
        if tag == 0 { return .untagged }
        for node in 0..<nodeCount where nodes[node].isMember && nodes[node].cursorTag == tag { return .node(node) }
        return .gone
    }

    /// Calls `body` with the request as the node has to see it.
    private func withStrippedCursor(
        _ cursor: UInt64, _ start: UnsafePointer<UInt8>, _ length: Int, _ handler: Handler,
        _ body: (UnsafePointer<UInt8>, Int) -> Void
    ) {
        guard CursorTag.tag(of: cursor) != 0 else {
            body(start, length)
            return
        }
        var arguments = (0..<parser.argumentCount).map { argument($0, start) }
        arguments[cursorPosition(handler)] = Array(String(CursorTag.strip(cursor)).utf8)
        var request: [UInt8] = []
        request.appendCommand(arguments)
        request.withUnsafeBufferPointer { body($0.baseAddress.unsafelyUnwrapped, $0.count) }
    }

    /// Puts the node's tag into the cursor of a whole reply: `*2`, then the cursor as a bulk string, then the elements.
    func tagCursor(_ run: RunPointer, _ tag: UInt64) {
        let reply = UnsafeBufferPointer(start: run.pointee.stash.bytes, count: run.pointee.stash.count)
        guard reply.starts(with: "*2\r\n$".utf8), let lengthEnd = reply[5...].firstIndex(of: 10),
            let digitsEnd = reply[(lengthEnd + 1)...].firstIndex(of: 13),
            let cursor = UInt64(String(decoding: reply[(lengthEnd + 1)..<digitsEnd], as: UTF8.self)), cursor != 0,
            let tagged = CursorTag.apply(tag, to: cursor)
        else { return }
        let digits = String(tagged)
        var changed = ByteQueue()
        changed.append(Array("*2\r\n$\(digits.utf8.count)\r\n\(digits)\r\n".utf8))
        changed.append(run.pointee.stash.bytes + digitsEnd + 2, reply.count - digitsEnd - 2)
        run.pointee.stash = changed
    }
}
