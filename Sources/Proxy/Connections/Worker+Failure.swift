import Wire

// What happens to requests when their node does not answer: a request that cannot have run is sent elsewhere, a read is asked
// again, and a write that may have run gets an error that says so and is never sent twice.
extension Worker {
    /// How often one request is moved to another node.
    private static var maximumAttempts: UInt8 { 3 }
    /// How long a shared connection may be busy with one request before it is left to it; a script is expected to be slow.
    private static var slowMilliseconds: Int { 300 }
    private static var slowScriptMilliseconds: Int { 50 }
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
        var log = ByteQueue()
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
    private func parsedRequestIsRead(_ bytes: UnsafePointer<UInt8>) -> Bool {
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
    private func reissue(
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
    private func place(
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
        connection.pointee.log.append(bytes, length)
        connection.pointee.logEnd += length
        run.pointee.logEnd = connection.pointee.logEnd
        connection.pointee.outstanding += 1
        nodes[connection.pointee.node].outstanding += 1
        session.pointee.outstanding += 1
        session.pointee.writesOutstanding += run.pointee.writes
        markDirty(connection)
        return run
    }

    private func insertError(_ session: SessionPointer, _ text: String, behind: RunPointer, silent: Bool) -> RunPointer {
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
    private func failAll(_ run: RunPointer, of session: SessionPointer, wasSent: Bool, node: Int, reason: String) {
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

    // MARK: - Replies that mean 'ask somebody else'

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

    /// A connection whose oldest request has been out for long is left to it: those who come later get another one, on which a
    /// busy server can at least say that it is busy.
    func leaveSlow(_ connection: ConnectionPointer) {
        guard connection.pointee.role == .shared, connection.pointee.state == .ready, let run = connection.pointee.firstRun,
            connection.pointee.sentEnd > run.pointee.logStart
        else { return }
        let isScript = Int(run.pointee.commandClass) == Statistics.CommandClass.script.rawValue
        let patience = isScript ? Self.slowScriptMilliseconds : Self.slowMilliseconds
        guard run.pointee.issuedAt.adding(milliseconds: patience) <= now else { return }
        detach(connection, run)
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

    // MARK: - Moving requests without a failure

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

    // MARK: - Time-outs

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

extension RunPool {
    /// Takes a run out of the middle of its client's queue.
    func detachFromSession(_ run: RunPointer, _ session: SessionPointer) {
        if session.pointee.firstRun == run {
            session.pointee.firstRun = run.pointee.nextOfSession
            if session.pointee.firstRun == nil { session.pointee.lastRun = nil }
        } else {
            var previous = session.pointee.firstRun
            while let candidate = previous, candidate.pointee.nextOfSession != run {
                previous = candidate.pointee.nextOfSession
            }
            guard let before = previous else { preconditionFailure("a run stands in its client's queue") }
            before.pointee.nextOfSession = run.pointee.nextOfSession
            if session.pointee.lastRun == run { session.pointee.lastRun = before }
        }
        run.pointee.nextOfSession = nil
    }
}
