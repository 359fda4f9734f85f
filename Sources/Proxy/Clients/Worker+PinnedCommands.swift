import Wire

// Commands of a client with a connection of its own.
extension Worker {
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
}
