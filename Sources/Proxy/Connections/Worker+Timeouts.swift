import Wire

// Requests that have been out for too long.
extension Worker {
    /// How long a shared connection may be busy with one request before it is left to it; a script is expected to be slow.
    private static var slowMilliseconds: Int { 300 }
    private static var slowScriptMilliseconds: Int { 50 }
    /// No more connections to a node than this are left to slow requests at the same time.
    private static var slowConnections: Int { 8 }

    /// A connection whose oldest request has been out for long is left to it: those who come later get another one, on which a
    /// busy server can at least say that it is busy.
    func leaveSlow(_ connection: ConnectionPointer) {
        guard connection.pointee.role == .shared, connection.pointee.state == .ready, let run = connection.pointee.firstRun,
            connection.pointee.sentEnd > run.pointee.logStart
        else { return }
        let isScript = Int(run.pointee.commandClass) == Statistics.CommandClass.script.rawValue
        let patience = isScript ? Self.slowScriptMilliseconds : Self.slowMilliseconds
        guard run.pointee.issuedAt.adding(milliseconds: patience) <= now else { return }
        let node = connection.pointee.node
        let left = connections.pointers.count { $0.pointee.node == node && $0.pointee.role == .detached }
        guard left < Self.slowConnections else { return }
        detach(connection, run)
    }

    /// Gives up on requests that have been out for longer than `request-timeout`. The connection stays: their replies, should
    /// they still come, are dropped.
    func expireRequests(_ connection: ConnectionPointer) {
        guard options.requestTimeoutMilliseconds > 0 || connection.pointee.state != .ready else { return }
        let limit = holdMilliseconds
        guard let oldest = connection.pointee.firstRun else { return }
        if connection.pointee.state != .ready && connection.pointee.role == .shared {
            // Nothing was sent: what has waited too long is refused, the rest queues anew.
            if oldest.pointee.issuedAt.adding(milliseconds: limit) <= now {
                redistribute(connection, reason: connection.pointee.lastFailure)
            }
            return
        }
        var next: RunPointer? = oldest
        while let run = next, run.pointee.issuedAt.adding(milliseconds: limit) <= now {
            next = run.pointee.nextOfConnection
            guard let session = run.pointee.session, !run.pointee.hasNoTimeout else { continue }
            if connection.pointee.role == .exclusive {
                lose(connection, reason: "no reply within request-timeout", isClosedByPeer: false)
                return
            }
            giveUp(run, of: session, on: connection)
        }
    }

    /// A connection that was set aside and whose replies nobody waits for any more is of no use.
    func endForsaken(_ connection: ConnectionPointer) {
        guard connection.pointee.role == .detached else { return }
        var next = connection.pointee.firstRun
        while let run = next {
            if run.pointee.session != nil { return }
            next = run.pointee.nextOfConnection
        }
        endDetached(connection)
    }

    /// Answers for a run in its node's stead and leaves it to the connection, to count the late replies off.
    private func giveUp(_ run: RunPointer, of session: SessionPointer, on connection: ConnectionPointer) {
        let stand = runs.take()
        stand.pointee.session = session
        stand.pointee.requests = run.pointee.requests
        stand.pointee.remaining = run.pointee.remaining
        stand.pointee.writes = run.pointee.writes
        stand.pointee.isSilent = run.pointee.isSilent
        stand.pointee.isMidReply = run.pointee.isMidReply
        stand.pointee.stashWhole = run.pointee.stashWhole
        swap(&stand.pointee.stash, &run.pointee.stash)
        insert(stand, behind: run, of: session)
        runs.detachFromSession(run, session)
        run.pointee.session = nil
        let link = session.pointee.link
        failAll(
            stand, of: session, wasSent: true, node: connection.pointee.node,
            reason: "no reply within request-timeout of \(holdMilliseconds) ms")
        if links.session(link) == session, session.pointee.firstRun == stand { advance(session) }
    }
}
