import Wire

// Clients whose private connection broke inside a transaction or under WATCH.
extension Worker {
    /// Commands of a client that lost its connection inside a transaction or under WATCH. EXEC fails as a whole: with the null
    /// that tells of a changed key if there was a WATCH, since clients repeat the transaction then; else with EXECABORT.
    func handleAfterLoss(
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
}
