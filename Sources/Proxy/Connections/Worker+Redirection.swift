import Wire

// Requests that move to another node although their connection is well.
extension Worker {
    /// Whether this error says that the node did not run the command and another one could.
    @inline(never)
    func isTakenBack(
        _ connection: ConnectionPointer, _ run: RunPointer, _ line: UnsafePointer<UInt8>, _ count: Int
    ) -> Bool {
        guard connection.pointee.role != .exclusive, run.pointee.session != nil,
            run.pointee.attempts < Self.maximumAttempts,
            run.pointee.kind == .plain || (run.pointee.kind == .cursor && run.pointee.detail == 0)
        else { return false }
        func says(_ prefix: StaticString) -> Bool {
            let start = prefix.utf8Start
            return count > prefix.utf8CodeUnitCount
                && (0..<prefix.utf8CodeUnitCount).allSatisfy { start[$0] == line[$0] }
        }
        if says("-LOADING ") || says("-MASTERDOWN ") || says("-READONLY ") { return true }
        // Only the master's word counts on these.
        return connection.pointee.node != master && (says("-NOSCRIPT ") || says("-NOPERM "))
    }

    /// The supposed master says that it can't execute writes. The connection takes no new requests; what it still answers like
    /// this joins the others in waiting for the next connection, which has to pass the question for its ROLE.
    private func doubtMaster(_ connection: ConnectionPointer) {
        effects.append(.post(.suspicion, to: .control))
        let lane = connection.pointee.lane
        guard connection.pointee.role == .shared, lane.pointee.shared[connection.pointee.node] == connection else { return }
        lane.pointee.shared[connection.pointee.node] = nil
        connection.pointee.role = .detached
        holdOrder(connection)
        wakeWaiters(connection)
    }

    /// The reply to the run's next request is dropped, and that request is sent to another node: the master for a script that
    /// only it may have. The run is split around it.
    func takeBack(_ run: RunPointer, of connection: ConnectionPointer, error: UnsafeBufferPointer<UInt8>) {
        guard let session = run.pointee.session else { preconditionFailure("only a client's request is taken back") }
        let answered = run.pointee.requests - run.pointee.remaining
        var position = run.pointee.logStart - connection.pointee.logStart
        let limits = RequestParser.Limits.accepted
        for request in 0...answered {
            let bytes = UnsafePointer(connection.pointee.log.bytes) + position
            guard case .complete = parser.parse(bytes, connection.pointee.log.count - position, limits) else {
                preconditionFailure("a retained request is whole")
            }
            if request < answered { position += parser.length }
        }
        let request = Array(
            UnsafeBufferPointer(start: UnsafePointer(connection.pointee.log.bytes) + position, count: parser.length))
        let requestEnd = connection.pointee.logStart + position + parser.length

        let isRead = parsedRequestIsRead(UnsafePointer(connection.pointee.log.bytes) + position)
        let code = String(decoding: error.prefix { $0 != 32 }, as: UTF8.self)
        let target: Int
        if code == "-NOSCRIPT" || code == "-NOPERM" || code == "-READONLY" || !isRead {
            if connection.pointee.node == master { doubtMaster(connection) }
            target = master
        } else {
            target = readNode(insteadOf: connection.pointee.node, session)
        }
        var last: RunPointer
        if target >= 0 {
            nodes[target].statistics.retries += 1
            last = request.withUnsafeBufferPointer {
                place(
                    session, $0.baseAddress.unsafelyUnwrapped, $0.count,
                    on: sharedConnection(session.pointee.lane, target), behind: run, model: run, isWrite: !isRead)
            }
        } else {
            let text = String(decoding: error.dropFirst().prefix { $0 != 13 }, as: UTF8.self)
            last = insertError(session, text, behind: run, silent: run.pointee.isSilent)
        }
        if run.pointee.remaining > 1 {
            let rest = runs.take()
            rest.pointee.session = session
            rest.pointee.connection = connection
            rest.pointee.commandClass = run.pointee.commandClass
            rest.pointee.isSilent = run.pointee.isSilent
            rest.pointee.attempts = run.pointee.attempts
            rest.pointee.issuedAt = run.pointee.issuedAt
            rest.pointee.requests = run.pointee.remaining - 1
            rest.pointee.remaining = run.pointee.remaining - 1
            rest.pointee.logStart = requestEnd
            rest.pointee.logEnd = run.pointee.logEnd
            rest.pointee.nextOfConnection = run.pointee.nextOfConnection
            run.pointee.nextOfConnection = rest
            if connection.pointee.lastRun == run { connection.pointee.lastRun = rest }
            insert(rest, behind: last, of: session)
            run.pointee.requests -= rest.pointee.requests
            // How many of the writes are behind the split is not known: all of them count until the rest is done.
            rest.pointee.writes = run.pointee.writes
            session.pointee.writesOutstanding += run.pointee.writes
            last = rest
        }
        run.pointee.logEnd = requestEnd
        run.pointee.remaining = 0
        run.pointee.kind = .plain
        finish(run, of: connection)
    }

    /// Asks the reads of other clients that wait behind `first` again elsewhere; their replies here will be dropped.
    func moveReadsAway(from connection: ConnectionPointer, behind first: RunPointer) {
        var next = first.pointee.nextOfConnection
        while let run = next {
            next = run.pointee.nextOfConnection
            guard let session = run.pointee.session, session != first.pointee.session, session.pointee.writesOutstanding == 0,
                !run.pointee.kind.isCollected
            else { continue }
            let answer = runs.take()
            answer.pointee.session = session
            insert(answer, behind: run, of: session)
            runs.detachFromSession(run, session)
            run.pointee.session = nil
            session.pointee.outstanding -= Int(run.pointee.requests)
            var behind = answer
            var position = run.pointee.logStart - connection.pointee.logStart
            for _ in 0..<run.pointee.requests {
                let bytes = UnsafePointer(connection.pointee.log.bytes) + position
                guard
                    case .complete = parser.parse(bytes, connection.pointee.log.count - position, RequestParser.Limits.accepted)
                else { preconditionFailure("a retained request is whole") }
                let length = parser.length
                behind = reissue(
                    session, bytes, length, behind: behind, model: run, wasSent: false, avoiding: connection.pointee.node,
                    reason: "busy with a large reply")
                position += length
            }
            if session.pointee.firstRun == answer { advance(session) }
        }
    }
}
