import Wire

// Clients that need a connection of their own: transactions, blocking commands, subscriptions, MONITOR, tracking, large requests.
extension Worker {
    /// Gives the client a private connection and handles the command there.
    func pinAndForward(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        guard hasRightArity(session) else { return forwardToMaster(session, start, length, route.commandClass) }
        if let verdict = pin(session) { return verdict }
        return handlePinned(session, start, length, route)
    }

    /// Takes a private connection for the client unless it has one; not nil when it has to wait.
    func pin(_ session: SessionPointer) -> Verdict? {
        if session.pointee.pinned != nil { return nil }
        if mustDrain(session) { return .waits }
        guard let connection = takeExclusive(session) else { return waitForNode(session, isWrite: true) }
        session.pointee.pinned = connection
        session.pointee.isPlain = false
        session.pointee.pauseDeadline = .never
        statistics.pinnedClients += 1
        return nil
    }

    /// The command's argument count is one that the server accepts; if not, the server itself says so, without side effects.
    func hasRightArity(_ session: SessionPointer) -> Bool {
        let index = session.pointee.lastCommand
        return index < 0 || routes.commands.traits(of: index).accepts(argumentCount: parser.argumentCount)
    }

    /// A command that keeps its connection busy for as long as it likes: it gets one for itself, and the client's further
    /// requests wait for its reply, as they would in Redis.
    func forwardAlone(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        if let verdict = pin(session) { return verdict }
        session.pointee.pins.insert(.single)
        return forwardBlocking(session, start, length, route)
    }

    private func forwardBlocking(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        let run = enqueuePinned(session, start, length, route)
        run.pointee.hasNoTimeout = true
        pause(session, .blocked)
        return .taken
    }

    /// WAIT and WAITAOF ask about the writes of their own connection, of which a fresh one has none. A PUBLISH that nobody
    /// listens to goes first: it is propagated to the replicas, so the offset it leaves lies behind all earlier writes.
    func forwardWait(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int) -> Verdict {
        guard hasRightArity(session) else { return forwardToMaster(session, start, length, .blocking) }
        if let verdict = pin(session) { return verdict }
        session.pointee.pins.insert(.single)
        guard let connection = session.pointee.pinned else { preconditionFailure("pinned a line above") }
        var fence: [UInt8] = []
        fence.appendCommand("PUBLISH", "__switchyard__:fence", "")
        tell(connection, fence)
        return forwardBlocking(
            session, start, length,
            RouteTable.Route(
                handler: .wait, commandClass: .blocking, isWrite: false, needsNoAuthentication: false,
                isRefusedInTransaction: false))
    }

    @discardableResult
    private func enqueuePinned(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route,
        kind: Run.Kind = .plain, detail: Int = 0
    ) -> RunPointer {
        guard let connection = session.pointee.pinned else { preconditionFailure("the client is pinned") }
        guard kind != .plain || route.handler == .blocking else {
            return enqueue(session, start, length, connection, isWrite: route.isWrite, route.commandClass)
        }
        // A run of a kind of its own is never extended.
        counters.requests[route.commandClass.rawValue] &+= 1
        let run = beginRun(session, connection, route.commandClass)
        run.pointee.kind = kind
        run.pointee.detail = detail
        run.pointee.writes = route.isWrite ? 1 : 0
        session.pointee.writesOutstanding += run.pointee.writes
        connection.pointee.log.append(start, length)
        connection.pointee.logEnd += length
        run.pointee.logEnd = connection.pointee.logEnd
        connection.pointee.outstanding += 1
        nodes[connection.pointee.node].outstanding += 1
        session.pointee.outstanding += 1
        markDirty(connection)
        return run
    }

    // MARK: - Commands of a client with a connection of its own

    func handlePinned(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        guard let connection = session.pointee.pinned else { return handleAfterLoss(session, start, length, route) }
        if connection.pointee.unsent > Self.nodeHighWater {
            pause(session, .nodeFull)
            return .waits
        }
        if session.pointee.outstanding >= session.pointee.window { pause(session, .pipelineFull) }
        let isInTransaction = session.pointee.pins.contains(.transaction)
        let arityIsRight = hasRightArity(session)
        if session.pointee.protocolVersion == 2 && hasSubscriptions(session) && !isInTransaction {
            if let verdict = handleSubscribed(session, start, length, route) { return verdict }
        }
        switch route.handler {
        case .quit,
            .proxy where !isInTransaction:
            return answer(session, start, route.handler)
        case .reset where arityIsRight:
            return answer(session, start, .reset)
        case .proxy:
            return refuseInTransaction(session, error: "ERR PROXY can't be used inside a transaction")
        case .hello, .auth:
            if isInTransaction {
                return refuseInTransaction(session, error: "ERR Command not allowed inside a transaction")
            }
            return answer(session, start, route.handler)
        case .multi where arityIsRight:
            if !isInTransaction && !session.pointee.name.isEmpty && !connection.pointee.isNamed {
                // CLIENT GETNAME inside the transaction is the server's to answer.
                connection.pointee.isNamed = true
                var request: [UInt8] = []
                request.appendCommand([Array("CLIENT".utf8), Array("SETNAME".utf8), session.pointee.name])
                tell(connection, request)
            }
            session.pointee.pins.insert(.transaction)
            session.pointee.queuedCommands = 0
            if !isInTransaction {
                session.pointee.transactions &+= 1
                session.pointee.isTransactionConfirmed = false
                enqueuePinned(session, start, length, route, kind: .multi, detail: session.pointee.transactions)
                return .taken
            }
        case .clientSetName where arityIsRight && isInTransaction:
            // Takes effect with EXEC.
            session.pointee.queuedName = argument(2, start)
            connection.pointee.isNamed = true
        case .exec where arityIsRight && isInTransaction:
            session.pointee.pins.subtract([.transaction, .watch])
            if let name = session.pointee.queuedName, isPlainName(name) { session.pointee.name = name }
            session.pointee.queuedName = nil
            if let database = session.pointee.queuedSelect {
                session.pointee.queuedSelect = nil
                enqueuePinned(session, start, length, route, kind: .exec, detail: database)
                return .taken
            }
        case .discard where arityIsRight && isInTransaction:
            session.pointee.pins.subtract([.transaction, .watch])
            session.pointee.queuedSelect = nil
            session.pointee.queuedName = nil
        case .watch where arityIsRight && !isInTransaction:
            session.pointee.pins.insert(.watch)
        case .unwatch where arityIsRight && !isInTransaction:
            session.pointee.pins.remove(.watch)
        case .subscribe, .unsubscribe:
            return forwardSubscription(session, start, length, route, connection)
        case .monitor where !isInTransaction:
            session.pointee.pins.insert(.monitor)
            connection.pointee.hasPushes = true
        case .clientTrackingInfo where !isInTransaction && arityIsRight:
            enqueueSpecial(session, start, length, connection, .trackingInfo, .other)
            return .taken
        case .clientNoTouch:
            session.pointee.pins.insert(.keep)
            connection.pointee.isTainted = true
        case .clientTracking where !isInTransaction:
            return handleTracking(session, start, length, route)
        case .select where arityIsRight:
            return forwardSelect(session, start, length, route, isInTransaction)
        case .blocking, .wait,
            .streamRead where isBlockingStreamRead(start):
            if !isInTransaction && session.pointee.protocolVersion == 3 || !hasSubscriptions(session) && !isInTransaction {
                return forwardBlocking(session, start, length, route)
            }
        case .scan, .keyScan:
            return forwardPinnedScan(session, start, length, route, isInTransaction)
        case .info where !isInTransaction && (session.pointee.protocolVersion == 3 || !hasSubscriptions(session)):
            return forwardInfo(session, start, length)
        case .clientReply:
            return answer(session, start, .clientReply)
        case .ping, .clientID, .clientInfo, .clientList, .clientKill, .clientSetName, .clientGetName, .clientSetInfo,
            .clientPause, .clientUnpause, .clientUnblock, .clientNoEvict, .clientGetRedir:
            // Inside a transaction, and to a RESP2 subscriber, the server's own words are wanted.
            let isForServer = isInTransaction || (session.pointee.protocolVersion == 2 && hasSubscriptions(session))
            if !isForServer && arityIsRight { return answer(session, start, route.handler) }
        default: break
        }
        if isInTransaction { session.pointee.queuedCommands += 1 }
        enqueuePinned(session, start, length, route)
        return .taken
    }

    private func hasSubscriptions(_ session: SessionPointer) -> Bool { session.pointee.pins.contains(.subscription) }

    /// A RESP2 subscriber may only say a few things: what else it says is refused by the server, and changes nothing here. Nil for
    /// commands that go on as usual.
    private func handleSubscribed(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict? {
        switch route.handler {
        case .subscribe, .unsubscribe, .ping, .quit, .reset, .clientReply: return nil
        default: break
        }
        // Whether it still is a subscriber is known when the confirmations are here.
        if mustDrain(session) { return .waits }
        enqueuePinned(session, start, length, route)
        return .taken
    }

    private func forwardSubscription(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route,
        _ connection: ConnectionPointer
    ) -> Verdict {
        guard hasRightArity(session) else {
            enqueuePinned(session, start, length, route)
            return .taken
        }
        session.pointee.pins.insert(.subscription)
        if session.pointee.pins.contains(.transaction) {
            // Confirmed within EXEC's reply.
            connection.pointee.isTainted = true
            enqueuePinned(session, start, length, route)
            return .taken
        }
        connection.pointee.hasPushes = true
        let run = enqueuePinned(session, start, length, route, kind: .untilMarker)
        run.pointee.hasNoTimeout = true
        connection.pointee.log.append(markerRequest)
        connection.pointee.logEnd += markerRequest.count
        run.pointee.logEnd = connection.pointee.logEnd
        return .taken
    }

    private func forwardSelect(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route,
        _ isInTransaction: Bool
    ) -> Verdict {
        let database = Int(text(1, start)) ?? -1
        if isInTransaction {
            if database >= 0 { session.pointee.queuedSelect = database }
            enqueuePinned(session, start, length, route)
        } else {
            enqueuePinned(session, start, length, route, kind: .select, detail: database)
        }
        return .taken
    }

    /// A SELECT on a private connection took effect.
    func switchDatabase(_ session: SessionPointer, _ connection: ConnectionPointer, _ database: Int) {
        connection.pointee.database = database
        session.pointee.database = database
    }

    /// The node gets a command that it refuses too, so that it will discard the transaction; the client sees our refusal.
    func refuseInTransaction(_ session: SessionPointer, error: String) -> Verdict {
        guard session.pointee.pinned != nil else {
            reply(session, error: error)
            return .taken
        }
        countError(error)
        session.pointee.transactionRefusals.append(error)
        var request: [UInt8] = []
        request.appendCommand("SWITCHYARD-REFUSED")
        request.withUnsafeBufferPointer {
            _ = enqueuePinned(
                session, $0.baseAddress.unsafelyUnwrapped, $0.count, RouteTable.unknownRoute, kind: .refusedInTransaction)
        }
        return .taken
    }

    // MARK: - Letting go

    /// Gives the private connection back when nothing needs it any more; called when no request of the client is out.
    func unpinIfPossible(_ session: SessionPointer) {
        guard let connection = session.pointee.pinned, connection.pointee.state != .dead, session.pointee.stream == nil
        else { return }
        session.pointee.pins.remove(.single)
        if session.pointee.subscriptions == 0 && session.pointee.shardSubscriptions == 0 {
            session.pointee.pins.remove(.subscription)
        }
        guard session.pointee.pins.isEmpty else { return }
        releasePinned(session)
        giveBack(connection)
    }

    /// The client has no private connection from here on; what becomes of that one is the caller's business.
    private func releasePinned(_ session: SessionPointer) {
        session.pointee.pinned = nil
        session.pointee.pins = []
        session.pointee.transactionRefusals = []
        session.pointee.queuedSelect = nil
        session.pointee.queuedName = nil
        session.pointee.subscriptions = 0
        session.pointee.patternSubscriptions = 0
        session.pointee.shardSubscriptions = 0
        statistics.pinnedClients -= 1
        let lane = session.pointee.lane
        if session.pointee.database != lane.pointee.database {
            let other = self.lane(
                lane.pointee.identity, protocolVersion: lane.pointee.protocolVersion, database: session.pointee.database)
            other.pointee.isValidated = true
            move(session, to: other)
        }
        updateIsPlain(session)
    }

    /// RESET: everything the private connection stood for is given up.
    func dropPinned(_ session: SessionPointer) {
        guard let connection = session.pointee.pinned else { return }
        session.pointee.database = session.pointee.lane.pointee.database
        releasePinned(session)
        connection.pointee.owner = nil
        end(connection)
    }

    /// The private connection broke.
    func lostPinned(_ session: SessionPointer, reason: String) {
        let pins = session.pointee.pins
        let wasStreaming = session.pointee.stream != nil
        let isListening = session.pointee.subscriptions > 0 || session.pointee.shardSubscriptions > 0
        session.pointee.stream = nil
        releasePinned(session)
        if wasStreaming || isListening || !pins.isDisjoint(with: [.monitor, .tracking, .keep]) {
            log(.verbose, "Closing client id=\(session.pointee.id): its private connection was lost: \(reason)")
            closeAfterReplies(session)
            return
        }
        // A client that waits for the reply to MULTI gets an error for it and is in no transaction. One that has sent more already
        // has its EXEC under way, and what is still to come must not run on its own.
        if pins.contains(.transaction), session.pointee.isTransactionConfirmed || session.pointee.queuedCommands > 0 {
            session.pointee.isTransactionLost = true
            session.pointee.isWatchLost = pins.contains(.watch)
        } else if pins.contains(.watch) {
            session.pointee.isWatchLost = true
        }
        updateIsPlain(session)
        resume(session, [.draining, .blocked, .nodeFull, .pipelineFull])
    }

    /// Commands of a client that lost its connection inside a transaction or under WATCH. EXEC fails as a whole: with the null
    /// that tells of a changed key if there was a WATCH, since clients repeat the transaction then; else with EXECABORT.
    private func handleAfterLoss(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        func forget() {
            session.pointee.isTransactionLost = false
            session.pointee.isWatchLost = false
            updateIsPlain(session)
        }
        if session.pointee.isTransactionLost {
            switch route.handler {
            case .exec:
                if session.pointee.isWatchLost {
                    reply(session, session.pointee.protocolVersion == 3 ? "_\r\n" : "*-1\r\n")
                } else {
                    reply(
                        session,
                        error:
                            "EXECABORT Transaction discarded because the connection to the master was lost: nothing was executed"
                    )
                }
                forget()
            case .discard:
                forget()
                replyOK(session)
            case .reset, .quit:
                return answer(session, start, route.handler)
            case .multi:
                reply(session, error: "ERR MULTI calls can not be nested")
            case .watch:
                reply(session, error: "ERR WATCH inside MULTI is not allowed")
            default:
                reply(session, "+QUEUED\r\n")
            }
            return .taken
        }
        switch route.handler {
        case .multi where hasRightArity(session):
            session.pointee.isTransactionLost = true
            replyOK(session)
            return .taken
        case .unwatch, .exec, .discard, .reset:
            forget()
        case .watch:
            // More keys: the earlier ones are lost already, so the transaction is bound to fail.
            replyOK(session)
            return .taken
        default: break
        }
        session.pointee.isWatchLost = false
        defer {
            if route.handler != .unwatch && route.handler != .exec && route.handler != .discard && route.handler != .reset {
                session.pointee.isWatchLost = true
                session.pointee.isPlain = false
            }
        }
        return dispatch(session, start, length, session.pointee.lastCommand, route)
    }

    // MARK: - Requests too large to be held

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
