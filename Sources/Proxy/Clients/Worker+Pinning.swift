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

    func forwardBlocking(
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
    func enqueuePinned(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route,
        kind: Run.Kind = .plain, detail: Int = 0
    ) -> RunPointer {
        guard let connection = session.pointee.pinned else { preconditionFailure("the client is pinned") }
        guard kind != .plain || route.handler == .blocking else {
            return enqueue(session, start, length, connection, isWrite: route.isWrite, route.commandClass)
        }
        return enqueueSpecial(
            session, start, length, connection, kind, route.commandClass, isWrite: route.isWrite, detail: detail)
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
    func releasePinned(_ session: SessionPointer) {
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
}
