import Wire

// What happens to requests when their node does not answer: a request that cannot have run is sent elsewhere, a read is asked
// again, and a write that may have run gets an error that says so and is never sent twice.
extension Worker {
    /// How often one request is moved to another node.
    static var maximumAttempts: UInt8 { 3 }
    private static var shortestBackOffMilliseconds: Int { 50 }
    private static var longestBackOffMilliseconds: Int { 2_000 }

    /// A connection failed, or can't be trusted any more.
    func lose(_ connection: ConnectionPointer, reason: String, isClosedByPeer: Bool) {
        let node = connection.pointee.node
        if connection.pointee.state == .ready || connection.pointee.lastFailure != reason {
            log(.verbose, "Connection to \(nodes[node].endpoint) lost: \(reason)")
        }
        if let link = connection.pointee.link {
            if !isClosedByPeer { effects.append(.close(link)) }
            links.give(link)
            connection.pointee.link = nil
            answerUpstreamIDQuestions(link, 0)
        }
        // The user may have been deleted, which closes the clients that log in as it.
        let lane = connection.pointee.lane
        if isClosedByPeer && connection.pointee.state == .ready && lane.pointee.identity.user != nil
            && lane.pointee.sessions > 0
        {
            _ = takeFresh(lane)
        }
        connection.pointee.lastFailure = reason
        connection.pointee.failures += 1
        wakeGreetingWaiters(connection, failure: Array("-MASTERDOWN \(Self.oneLine(reason))\r\n".utf8))
        if connection.pointee.role == .shared && connection.pointee.lane.pointee.sessions > 0 {
            connection.pointee.state = .waiting
            connection.pointee.retryAt = now.adding(milliseconds: backOff(connection.pointee.failures))
            nextTick = min(nextTick, connection.pointee.retryAt)
            choices.forget()
            redistribute(connection, reason: reason)
            return
        }
        if isWorthRetrying(connection) {
            connection.pointee.state = .waiting
            connection.pointee.retryAt = now.adding(milliseconds: backOff(connection.pointee.failures))
            nextTick = min(nextTick, connection.pointee.retryAt)
            return
        }
        connection.pointee.state = .dead
        redistribute(connection, reason: reason)
        if let owner = connection.pointee.owner {
            connection.pointee.owner = nil
            if owner.pointee.detached == connection { owner.pointee.detached = nil }
            if owner.pointee.pinned == connection {
                owner.pointee.pinned = nil
                lostPinned(owner, reason: reason)
            }
        }
        discard(connection)
    }

    /// A private connection on which nothing was sent yet can be opened again without anybody noticing.
    private func isWorthRetrying(_ connection: ConnectionPointer) -> Bool {
        guard connection.pointee.role == .exclusive, connection.pointee.sentEnd == 0, connection.pointee.owner != nil,
            connection.pointee.node == master, let run = connection.pointee.firstRun,
            run.pointee.issuedAt.adding(milliseconds: holdMilliseconds) > now
        else { return false }
        connection.pointee.greeting.removeAll()
        connection.pointee.greetingSteps = []
        connection.pointee.scanner = ReplyScanner()
        connection.pointee.partial.removeAll()
        connection.pointee.isDirty = false
        connection.pointee.isSocketFull = false
        return true
    }

    /// Doubles with every failure, with up to half of it taken off at random so that many proxies don't come at once.
    private func backOff(_ failures: Int) -> Int {
        let full = min(Self.longestBackOffMilliseconds, Self.shortestBackOffMilliseconds << min(failures - 1, 10))
        return full - random.below(full / 2 + 1)
    }

    /// Empties a connection's queue: every request is sent again elsewhere, waits for a better connection, or is answered with
    /// an error. Replies that were complete are kept.
    func redistribute(_ connection: ConnectionPointer, reason: String) {
        var next = connection.pointee.firstRun
        connection.pointee.firstRun = nil
        connection.pointee.lastRun = nil
        var log = ByteQueue(keeping: connection.pointee.log.keptCapacity)
        swap(&log, &connection.pointee.log)
        let logStart = connection.pointee.logEnd - log.count
        let sentEnd = connection.pointee.sentEnd
        connection.pointee.logEnd = 0
        connection.pointee.sentEnd = 0
        if connection.pointee.link == nil {
            // Otherwise it is being opened, and goes on with that.
            connection.pointee.scanner = ReplyScanner()
            connection.pointee.partial.removeAll()
            connection.pointee.scanned = 0
            connection.pointee.replyBytes = 0
            connection.pointee.greeting.removeAll()
            connection.pointee.isSocketFull = false
            connection.pointee.isDirty = false
        }
        nodes[connection.pointee.node].outstanding -= connection.pointee.outstanding
        connection.pointee.outstanding = 0
        wakeWaiters(connection)
        // What a client wanted on a connection of its own (MULTI, SUBSCRIBE, BLPOP) must not run on one that others share.
        let isRetained = connection.pointee.role != .exclusive
        while let run = next {
            next = run.pointee.nextOfConnection
            run.pointee.nextOfConnection = nil
            run.pointee.connection = nil
            guard let session = run.pointee.session else {
                runs.give(run)
                continue
            }
            let link = session.pointee.link
            if isRetained {
                let offset = run.pointee.logStart - logStart
                reissueAll(
                    run, of: session, bytes: UnsafePointer(log.bytes) + offset,
                    count: run.pointee.logEnd - run.pointee.logStart,
                    sentBytes: max(0, sentEnd - run.pointee.logStart), from: connection, reason: reason)
            } else {
                failAll(
                    run, of: session, wasSent: run.pointee.logStart < sentEnd, node: connection.pointee.node, reason: reason)
            }
            if links.session(link) == session, session.pointee.firstRun == run { advance(session) }
        }
    }

    /// Takes a run that is in no connection's queue any more, and gives each request that is not answered a new place.
    private func reissueAll(
        _ run: RunPointer, of session: SessionPointer, bytes: UnsafePointer<UInt8>, count: Int, sentBytes: Int,
        from connection: ConnectionPointer, reason: String
    ) {
        guard settle(run, of: session, reason: reason) else { return }
        let answered = Int(run.pointee.requests - run.pointee.remaining)
        var position = 0
        var behind = run
        let limits = RequestParser.Limits.accepted
        for request in 0..<Int(run.pointee.requests) {
            guard case .complete = parser.parse(bytes + position, count - position, limits) else {
                preconditionFailure("a retained request is whole")
            }
            let length = parser.length
            defer { position += length }
            if request < answered { continue }
            behind = reissue(
                session, bytes + position, length, behind: behind, model: run, wasSent: position + length <= sentBytes,
                avoiding: connection.pointee.node, reason: reason)
        }
        close(run, of: session)
    }

    /// Whether the request that `parser` has just found only reads, so that it may be asked twice and elsewhere.
    func parsedRequestIsRead(_ bytes: UnsafePointer<UInt8>) -> Bool {
        let name = parser.arguments[0]
        var index = routes.commands.find(bytes + Int(name.offset), Int(name.length))
        if index >= 0, parser.argumentCount > 1, routes.commands.traits(of: index).isContainer {
            let word = parser.arguments[1]
            let sub = routes.commands.findSubcommand(of: index, bytes + Int(word.offset), Int(word.length))
            if sub >= 0 { index = sub }
        }
        return index >= 0 && routes.commands.isReplicaEligible(index)
    }

    /// Gives one request of a failed run a new place behind `behind`; returns the run that stands for it now.
    func reissue(
        _ session: SessionPointer, _ bytes: UnsafePointer<UInt8>, _ length: Int, behind: RunPointer, model: RunPointer,
        wasSent: Bool, avoiding failed: Int, reason: String
    ) -> RunPointer {
        let isRead = parsedRequestIsRead(bytes)
        let expires = model.pointee.issuedAt.adding(milliseconds: holdMilliseconds)
        let failedAt = nodes[failed].endpoint
        func refusal(_ text: String) -> RunPointer {
            insertError(session, text, behind: behind, silent: model.pointee.isSilent)
        }
        if !isRead && wasSent {
            return refusal(
                "UNKNOWNOUTCOME \(failedAt) did not answer (\(reason)): the command may or may not have been executed")
        }
        if expires <= now {
            return refusal(
                isRead
                    ? "MASTERDOWN \(failedAt) did not answer within \(holdMilliseconds) ms"
                    : "MASTERDOWN no connection to \(failedAt) within \(holdMilliseconds) ms (\(reason)): the command was not sent"
            )
        }
        if wasSent && model.pointee.attempts >= Self.maximumAttempts {
            return refusal("MASTERDOWN \(failedAt) did not answer (\(reason)), nor did others before it")
        }
        if model.pointee.kind == .cursor && model.pointee.detail != 0 {
            return refusal("ERR the node that this cursor belongs to does not answer: start again with cursor 0")
        }
        let target: Int
        if isRead && session.pointee.writesOutstanding > model.pointee.writes && master >= 0 {
            // Behind a write of the same pipeline, wherever that is now.
            target = master
        } else if isRead {
            target = readNode(insteadOf: failed, session)
        } else {
            target = master
        }
        guard target >= 0 else {
            return refusal("MASTERDOWN no node can take the command; it was not executed")
        }
        nodes[target].statistics.retries += 1
        return place(
            session, bytes, length, on: sharedConnection(session.pointee.lane, target), behind: behind, model: model,
            isWrite: !isRead)
    }

    /// A run for one request on `connection` whose replies come behind those of `behind`.
    func place(
        _ session: SessionPointer, _ bytes: UnsafePointer<UInt8>, _ length: Int, on connection: ConnectionPointer,
        behind: RunPointer, model: RunPointer, isWrite: Bool
    ) -> RunPointer {
        let run = runs.take()
        run.pointee.session = session
        run.pointee.kind = model.pointee.kind
        run.pointee.detail = model.pointee.detail
        run.pointee.commandClass = model.pointee.commandClass
        run.pointee.isSilent = model.pointee.isSilent
        run.pointee.attempts = model.pointee.attempts == .max ? .max : model.pointee.attempts + 1
        run.pointee.issuedAt = model.pointee.issuedAt
        run.pointee.requests = 1
        run.pointee.remaining = 1
        run.pointee.writes = isWrite ? 1 : 0
        run.pointee.logStart = connection.pointee.logEnd
        insert(run, behind: behind, of: session)
        append(run, to: connection)
        session.pointee.outstanding += 1
        session.pointee.writesOutstanding += run.pointee.writes
        add(bytes, length, to: connection, run)
        return run
    }

    func insertError(_ session: SessionPointer, _ text: String, behind: RunPointer, silent: Bool) -> RunPointer {
        countError(text)
        let run = runs.take()
        run.pointee.session = session
        run.pointee.kind = .local
        run.pointee.isSilent = silent
        run.pointee.stash.append(Array("-\(Self.oneLine(text))\r\n".utf8))
        insert(run, behind: behind, of: session)
        return run
    }

    /// Drops the unfinished part of a reply that was being read. False when the client has seen some of it and had to be closed.
    private func settle(_ run: RunPointer, of session: SessionPointer, reason: String) -> Bool {
        if run.pointee.isMidReply && !run.pointee.isSilent {
            runs.detachFromSession(run, session)
            runs.give(run)
            close(session, reason: "a reply broke off in the middle: \(reason)")
            return false
        }
        if run.pointee.stash.count > run.pointee.stashWhole { run.pointee.stash.truncate(run.pointee.stashWhole) }
        return true
    }

    /// Ends a run whose remaining requests have new places.
    private func close(_ run: RunPointer, of session: SessionPointer) {
        session.pointee.outstanding -= Int(run.pointee.requests)
        session.pointee.writesOutstanding -= run.pointee.writes
        run.pointee.remaining = 0
        run.pointee.kind = .plain
    }

    /// Answers everything that a run still owes with an error.
    func failAll(_ run: RunPointer, of session: SessionPointer, wasSent: Bool, node: Int, reason: String) {
        guard settle(run, of: session, reason: reason) else { return }
        let isRead = run.pointee.writes == 0
        let text =
            wasSent && !isRead
            ? "UNKNOWNOUTCOME \(nodes[node].endpoint) did not answer (\(reason)): the command may or may not have been executed"
            : wasSent
                ? "MASTERDOWN \(nodes[node].endpoint) did not answer (\(reason))"
                : "MASTERDOWN no connection to \(nodes[node].endpoint) (\(reason)): the command was not sent"
        var behind = run
        for _ in 0..<max(0, run.pointee.remaining) {
            behind = insertError(session, text, behind: behind, silent: run.pointee.isSilent)
        }
        close(run, of: session)
    }
}
