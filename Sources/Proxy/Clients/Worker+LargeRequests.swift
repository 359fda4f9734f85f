import Wire

// Requests too large to be held: passed through on a private connection as they come.
extension Worker {
    /// Requests that announce more than this are passed through as they come.
    private static var heldRequest: Int { 256 << 10 }
    /// Longest request of a command whose arguments the proxy has to see (SUBSCRIBE, SCAN, CLIENT, ...).
    private static var longestHeldRequest: Int { 4 << 20 }

    /// What to do with an unfinished request: wait for the rest (`.waits`), or pass it through from here on (`.taken`).
    func holdOrPassThrough(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ count: Int) -> Verdict {
        if count > options.queryBufferLimit || parser.wanted > options.queryBufferLimit { return refuseLongRequest(session) }
        guard parser.wanted > Self.heldRequest, parser.argumentCount > 0, parser.expectedArguments > parser.argumentCount
        else { return .waits }
        if routes.hasRenames && routes.renamed[text(0, start).lowercased()] != nil { return .waits }
        let name = parser.arguments[0]
        let index = routes.find(start + Int(name.offset), Int(name.length))
        let route = index >= 0 ? routes[index] : unknownRoute(start)
        guard !route.handler.needsArguments, !parser.isSloppy, session.pointee.isAuthenticated else {
            // What has to be looked at whole is parsed anew with every piece that comes: not without end.
            return count > Self.longestHeldRequest ? refuseLongRequest(session) : .waits
        }
        guard pausedUntil <= now, !session.pointee.isTransactionLost, !session.pointee.isWatchLost else { return .waits }
        let expected = parser.expectedArguments
        session.pointee.lastCommand = index
        let verdict = pin(session)
        if let verdict, verdict != .taken { return verdict }
        session.pointee.commandCount &+= 1
        session.pointee.stream = RequestStream(arguments: expected, bulkLimit: options.protoMaxBulkLength)
        session.pointee.streamedBytes = 0
        session.pointee.isPlain = false
        var header = 0
        while start[header] != UInt8(ascii: "\n") { header += 1 }
        header += 1
        // Without a connection it has been refused: the rest is read and dropped.
        if verdict == nil {
            session.pointee.pins.insert(.single)
            enqueuePinned(session, start, header, route)
        }
        return passThrough(session, start + header, count - header) == nil ? .sessionEnded : .taken
    }

    private func refuseLongRequest(_ session: SessionPointer) -> Verdict {
        log(
            .warning,
            "Closing client id=\(session.pointee.id) addr=\(session.pointee.address): its request is longer than client-query-buffer-limit"
        )
        statistics.closedForLimits += 1
        close(session, reason: "client-query-buffer-limit")
        return .sessionEnded
    }

    /// Passes on what belongs to the request that is being streamed; returns how many bytes, or nil if the client had to go.
    func passThrough(_ session: SessionPointer, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int? {
        guard var stream = session.pointee.stream else { return count }
        var used = 0
        let outcome = stream.feed(bytes, count, consumed: &used)
        session.pointee.stream = stream
        session.pointee.streamedBytes += used
        if session.pointee.streamedBytes > options.queryBufferLimit {
            _ = refuseLongRequest(session)
            return nil
        }
        if let connection = session.pointee.pinned {
            connection.pointee.log.append(bytes, used)
            connection.pointee.logEnd += used
            if let run = connection.pointee.lastRun, run.pointee.session == session {
                run.pointee.logEnd = connection.pointee.logEnd
                run.pointee.issuedAt = now
            }
            markDirty(connection)
        }
        switch outcome {
        case .unfinished:
            if let connection = session.pointee.pinned, connection.pointee.unsent > Self.nodeHighWater {
                pause(session, .nodeFull)
            }
        case .finished:
            session.pointee.stream = nil
            updateIsPlain(session)
            if session.pointee.firstRun == nil { unpinIfPossible(session) }
        case .malformed(let text):
            session.pointee.stream = nil
            statistics.protocolErrors += 1
            // The node waits for the rest of a request that will never come: its connection ends here, and so does what the
            // client waits for.
            dropPinned(session)
            abandonRuns(session)
            writeCopy(session, Array("-ERR Protocol error: \(text)\r\n".utf8))
            closeAfterReplies(session)
        }
        return used
    }
}
