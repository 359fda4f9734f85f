import Wire

// Bytes from nodes: whose they are, and what has to happen to them on the way.
extension Worker {
    /// A reply this long, or announced to be, makes a shared connection leave the pool, so that nobody waits behind it.
    static var hugeReply: Int { 256 << 10 }
    /// No more requests than this are asked again elsewhere because of a huge reply before theirs.
    static var movedRequests: Int { 256 }
    /// Longest frame kept whole on a connection with pushes.
    private static var frameLimit: Int { 512 << 20 }

    func readSpace(forNode connection: ConnectionPointer) -> UnsafeMutableRawBufferPointer {
        if mustPauseReading(connection) {
            connection.pointee.isReadingPaused = true
            return UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        readIsInPlace = false
        let held = connection.pointee.partial.count
        if held == 0 { return arenaSpace(carrying: nil, 0) }
        if held <= 4096 && !connection.pointee.hasPushes {
            let space = arenaSpace(carrying: UnsafePointer(connection.pointee.partial.bytes), held)
            connection.pointee.partial.removeAll()
            return space
        }
        readIsInPlace = true
        return connection.pointee.partial.space(64 << 10)
    }

    /// The client whose reply is being read does not take it as fast as it comes. Only a connection that nobody else waits for
    /// may stop.
    private func mustPauseReading(_ connection: ConnectionPointer) -> Bool {
        guard connection.pointee.role != .shared, let owner = connection.pointee.owner else { return false }
        // Messages that nobody reads are a matter of the output limit: the server must not have to hold them.
        return owner.pointee.pendingOutput > outputMark && owner.pointee.isSocketFull && !connection.pointee.hasPushes
            && (connection.pointee.role == .exclusive || !isAwaitedByOthers(connection, than: owner))
    }

    private func isAwaitedByOthers(_ connection: ConnectionPointer, than owner: SessionPointer) -> Bool {
        var next = connection.pointee.firstRun
        while let run = next {
            if let session = run.pointee.session, session != owner { return true }
            next = run.pointee.nextOfConnection
        }
        return false
    }

    func resumeReading(_ connection: ConnectionPointer) {
        guard connection.pointee.isReadingPaused, let link = connection.pointee.link else { return }
        connection.pointee.isReadingPaused = false
        effects.append(.resumeReading(link))
    }

    func receivedFromNode(_ connection: ConnectionPointer, _ count: Int) {
        let link = connection.pointee.link
        if connection.pointee.hasPushes && connection.pointee.state == .ready {
            if !readIsInPlace {
                connection.pointee.partial.append(readStart, readCarried + count)
                arenaUsed += readCarried + count
            } else {
                connection.pointee.partial.commit(count)
            }
            takeFrames(connection)
            return
        }
        if readIsInPlace {
            connection.pointee.partial.commit(count)
            // Rare: a long line. Taken from where it lies, through a copy since replies may refer to the arena only.
            let held = connection.pointee.partial.count
            let bytes = UnsafePointer(connection.pointee.partial.bytes)
            let used =
                connection.pointee.state == .ready
                ? takeReplies(connection, bytes, held, isArena: false) : takeGreeting(connection, bytes, held)
            if let link, links.connection(link) == connection, used > 0 { connection.pointee.partial.consume(min(used, held)) }
            return
        }
        let total = readCarried + count
        arenaUsed += total
        let start = UnsafePointer(readStart)
        let used =
            connection.pointee.state == .ready
            ? takeReplies(connection, start, total, isArena: true) : takeGreeting(connection, start, total)
        if used < total, let link, links.connection(link) == connection {
            connection.pointee.partial.append(start + used, total - used)
        }
    }

    // MARK: - Greeting

    private func takeGreeting(_ connection: ConnectionPointer, _ start: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var position = 0
        guard let link = connection.pointee.link else { return count }
        while position < count, links.connection(link) == connection, connection.pointee.state == .greeting {
            // Greeting replies are small: each is looked at whole, so a scanner of its own starts over every time.
            var scanner = ReplyScanner()
            var used = 0
            switch scanner.next(start + position, count - position, consumed: &used) {
            case .incomplete:
                if count - position > 64 << 10 { return failGreeting(connection, "-ERR greeting reply is too long", count) }
                return position
            case .malformed:
                return failGreeting(connection, "-ERR it does not speak RESP", count)
            case .complete: break
            }
            guard !connection.pointee.greetingSteps.isEmpty else {
                return failGreeting(connection, "-ERR unexpected bytes", count)
            }
            if let problem = takeGreetingReply(connection, UnsafeBufferPointer(start: start + position, count: used)) {
                return failGreeting(connection, problem, count)
            }
            position += used
            if connection.pointee.greetingSteps.isEmpty { becameReady(connection) }
        }
        return position
    }

    private func failGreeting(_ connection: ConnectionPointer, _ problem: String, _ count: Int) -> Int {
        let line = problem.hasPrefix("-") ? problem : "-MASTERDOWN \(problem)"
        let isRefusedByMaster = problem.hasPrefix("-WRONGPASS") && connection.pointee.node == master
        wakeGreetingWaiters(connection, failure: Array("\(line)\r\n".utf8))
        let lane = connection.pointee.lane
        lose(connection, reason: "greeting refused: \(problem)", isClosedByPeer: false)
        // Closes clients, and this connection with them if it belongs to one: so it comes last.
        if isRefusedByMaster { dismissUser(lane) }
        return count
    }

    // MARK: - Replies

    /// Hands the replies in `count` bytes from `start` to their clients; returns how many bytes were used up.
    private func takeReplies(
        _ connection: ConnectionPointer, _ start: UnsafePointer<UInt8>, _ count: Int, isArena: Bool
    ) -> Int {
        var position = 0
        guard let link = connection.pointee.link else { return count }
        replies: while position < count {
            guard let run = connection.pointee.firstRun else {
                lose(connection, reason: "sent a reply that nobody asked for", isClosedByPeer: false)
                return count
            }
            let stretch = position
            var isStuck = false
            scan: while run.pointee.remaining > 0 {
                guard position < count else { break }
                var used = 0
                let outcome = connection.pointee.scanner.next(start + position, count - position, consumed: &used)
                switch outcome {
                case .complete:
                    if connection.pointee.scanner.type == UInt8(ascii: "-"),
                        isTakenBack(connection, run, start + position, used)
                    {
                        deliver(run, start + stretch, position - stretch, isArena)
                        takeBack(run, of: connection, error: UnsafeBufferPointer(start: start + position, count: used))
                        position += used
                        guard links.connection(link) == connection else { return count }
                        continue replies
                    }
                    position += used
                    connection.pointee.replyBytes = 0
                    // Not a reply, but what comes before one (DEBUG PROTOCOL PUSH).
                    if connection.pointee.scanner.type == UInt8(ascii: ">") { continue scan }
                    run.pointee.remaining &-= 1
                case .incomplete:
                    position += used
                    connection.pointee.replyBytes += used
                    isStuck = true
                    break scan
                case .malformed:
                    lose(connection, reason: "sent something that is not RESP", isClosedByPeer: false)
                    return count
                }
            }
            deliver(run, start + stretch, position - stretch, isArena)
            if run.pointee.remaining == 0 {
                finish(run, of: connection)
                // Its client may have given the connection back, and that may have closed it.
                guard links.connection(link) == connection else { return count }
            } else if isStuck {
                noticeHugeReply(connection, run)
                return position
            }
        }
        return position
    }

    /// Passes reply bytes of a run on, or keeps them until their turn comes.
    @inline(__always)
    private func deliver(_ run: RunPointer, _ bytes: UnsafePointer<UInt8>, _ count: Int, _ isArena: Bool) {
        guard count > 0, let session = run.pointee.session, !run.pointee.isSilent else { return }
        let connection = run.pointee.connection.unsafelyUnwrapped
        session.pointee.replyBytes &+= count
        if session.pointee.firstRun == run && !run.pointee.kind.isCollected {
            if isArena { write(session, bytes, count) } else { writeCopy(session, bytes, count) }
            run.pointee.isMidReply = connection.pointee.scanner.isInsideReply
        } else {
            run.pointee.stash.append(bytes, count)
            let unfinished =
                connection.pointee.scanner.isInsideReply ? min(connection.pointee.replyBytes, run.pointee.stash.count) : 0
            run.pointee.stashWhole = run.pointee.stash.count - unfinished
        }
    }

    /// All replies of a run are here: it leaves its connection, and its client's queue when its turn comes.
    @inline(__always)
    func finish(_ run: RunPointer, of connection: ConnectionPointer) {
        connection.pointee.firstRun = run.pointee.nextOfConnection
        if connection.pointee.firstRun == nil { connection.pointee.lastRun = nil }
        run.pointee.nextOfConnection = nil
        run.pointee.connection = nil
        let requests = Int(run.pointee.requests)
        connection.pointee.outstanding -= requests
        nodes[connection.pointee.node].outstanding -= requests
        counters.record(
            nanoseconds: now.nanoseconds(since: run.pointee.issuedAt), requests: run.pointee.requests,
            commandClass: run.pointee.commandClass, node: connection.pointee.node)
        if connection.pointee.role != .exclusive {
            connection.pointee.log.consume(run.pointee.logEnd - connection.pointee.logStart)
        }
        let isDetached = connection.pointee.role == .detached
        guard let session = run.pointee.session else {
            runs.give(run)
            if isDetached { finishDetached(connection) }
            return
        }
        session.pointee.outstanding -= requests
        session.pointee.writesOutstanding -= run.pointee.writes
        if run.pointee.kind != .plain { complete(run, of: connection, for: session) }
        adjustWindow(session, requests: requests)
        if session.pointee.firstRun == run { advance(session) }
        if isDetached { finishDetached(connection) }
    }

    @inline(__always)
    private func finishDetached(_ connection: ConnectionPointer) {
        if connection.pointee.firstRun == nil { endDetached(connection) }
    }

    /// What a reply of a special kind changes, now that it is whole.
    @inline(never)
    private func complete(_ run: RunPointer, of connection: ConnectionPointer, for session: SessionPointer) {
        let type = connection.pointee.scanner.type
        switch run.pointee.kind {
        case .plain, .local, .untilMarker:
            break
        case .multi:
            guard run.pointee.detail == session.pointee.transactions else { break }
            session.pointee.isTransactionConfirmed = type == UInt8(ascii: "+")
            if !session.pointee.isTransactionConfirmed { session.pointee.pins.remove(.transaction) }
        case .select:
            if type == UInt8(ascii: "+") { switchDatabase(session, connection, run.pointee.detail) }
        case .exec:
            let isNull =
                run.pointee.stash.count < 2
                || (run.pointee.stash.bytes[0] == UInt8(ascii: "*") && run.pointee.stash.bytes[1] == UInt8(ascii: "-"))
            if !isNull && (type == UInt8(ascii: "*")) { switchDatabase(session, connection, run.pointee.detail) }
        case .cursor:
            tagCursor(run, nodes[connection.pointee.node].cursorTag)
        case .trackingInfo:
            renameRedirect(run, session)
        case .info:
            addProxySection(run, session)
        case .refusedInTransaction:
            let text =
                session.pointee.transactionRefusals.isEmpty ? "ERR refused" : session.pointee.transactionRefusals.removeFirst()
            run.pointee.stash.removeAll()
            run.pointee.stash.append(Array("-\(Self.oneLine(text))\r\n".utf8))
        }
    }

    // MARK: - Huge replies

    /// A shared connection that carries a huge reply takes no new requests: its lane opens another. Reads that wait behind the
    /// reply are asked again elsewhere.
    private func noticeHugeReply(_ connection: ConnectionPointer, _ run: RunPointer) {
        guard connection.pointee.role == .shared,
            connection.pointee.replyBytes + connection.pointee.scanner.bytesAhead > Self.hugeReply
                || (run.pointee.session.map { $0.pointee.isSocketFull && $0.pointee.pendingOutput > 4 * Self.outputHighWater }
                    ?? false)
        else { return }
        detach(connection, run)
    }

    func detach(_ connection: ConnectionPointer, _ run: RunPointer) {
        let lane = connection.pointee.lane
        if lane.pointee.shared[connection.pointee.node] == connection { lane.pointee.shared[connection.pointee.node] = nil }
        connection.pointee.role = .detached
        if let session = run.pointee.session, session.pointee.detached == nil {
            connection.pointee.owner = session
            session.pointee.detached = connection
        }
        if connection.pointee.outstanding <= Self.movedRequests { moveReadsAway(from: connection, behind: run) }
        holdOrder(connection)
        wakeWaiters(connection)
    }

    /// Clients that have requests on a connection which takes no more wait for the replies before they go on elsewhere: on two
    /// connections a later request could overtake an earlier one.
    func holdOrder(_ connection: ConnectionPointer) {
        var next = connection.pointee.firstRun
        while let run = next {
            if let session = run.pointee.session { pause(session, .draining) }
            next = run.pointee.nextOfConnection
        }
    }

    func endDetached(_ connection: ConnectionPointer) {
        if let owner = connection.pointee.owner {
            owner.pointee.detached = nil
            connection.pointee.owner = nil
        }
        connection.pointee.role = .exclusive
        end(connection)
    }

    // MARK: - Frames of connections with pushes

    /// Takes whole frames: which ones answer something and which come by themselves can only be told from the whole.
    private func takeFrames(_ connection: ConnectionPointer) {
        let link = connection.pointee.link
        while let same = link, links.connection(same) == connection, !connection.pointee.partial.isEmpty {
            let start = UnsafePointer(connection.pointee.partial.bytes)
            let count = connection.pointee.partial.count
            var used = 0
            let outcome = connection.pointee.scanner.next(
                start + connection.pointee.scanned, count - connection.pointee.scanned, consumed: &used)
            connection.pointee.scanned += used
            switch outcome {
            case .incomplete:
                if count > Self.frameLimit { lose(connection, reason: "sent a frame that is too long", isClosedByPeer: false) }
                return
            case .malformed:
                lose(connection, reason: "sent something that is not RESP", isClosedByPeer: false)
                return
            case .complete: break
            }
            let length = connection.pointee.scanned
            connection.pointee.scanned = 0
            takeFrame(connection, UnsafeBufferPointer(start: start, count: length))
            if links.connection(same) == connection { connection.pointee.partial.consume(length) }
        }
    }

    /// A RESP2 client that is subscribed, or about to be, gets messages as arrays.
    private func isSubscribed(_ session: SessionPointer, _ connection: ConnectionPointer) -> Bool {
        session.pointee.subscriptions > 0 || session.pointee.shardSubscriptions > 0
            || connection.pointee.firstRun?.pointee.kind == .untilMarker
    }

    private func countSubscription(
        _ session: SessionPointer, _ frame: UnsafeBufferPointer<UInt8>, isShard: Bool, isPattern: Bool
    ) {
        guard let count = FrameKind.lastInteger(frame) else { return }
        if isShard {
            session.pointee.shardSubscriptions = count
        } else {
            if isPattern { session.pointee.patternSubscriptions += count - session.pointee.subscriptions }
            session.pointee.subscriptions = count
        }
    }

    private func takeFrame(_ connection: ConnectionPointer, _ frame: UnsafeBufferPointer<UInt8>) {
        guard let session = connection.pointee.owner else { return }
        let start = frame.baseAddress.unsafelyUnwrapped
        let kind = FrameKind(
            frame, marker: marker, isMonitor: session.pointee.pins.contains(.monitor),
            isSubscribed: session.pointee.protocolVersion == 2 && isSubscribed(session, connection))
        switch kind {
        case .push:
            writeCopy(session, start, frame.count)
            checkOutputLimit(session)
        case .subscriptionCount(let isShard, let isPattern):
            countSubscription(session, frame, isShard: isShard, isPattern: isPattern)
            // Should the connection break before the marker, nothing tells how many confirmations are missing.
            if let run = connection.pointee.firstRun, run.pointee.kind == .untilMarker {
                run.pointee.isMidReply = true
                run.pointee.detail = 1
            }
            writeCopy(session, start, frame.count)
        case .marker:
            guard let run = connection.pointee.firstRun, run.pointee.kind == .untilMarker else {
                lose(connection, reason: "answered out of turn", isClosedByPeer: false)
                return
            }
            run.pointee.remaining = 0
            finish(run, of: connection)
        case .reply:
            guard let run = connection.pointee.firstRun else {
                writeCopy(session, start, frame.count)
                return
            }
            if run.pointee.kind == .untilMarker && run.pointee.detail == 0 {
                // An error instead of confirmations.
                run.pointee.detail = 1
                deliver(run, start, frame.count, false)
                return
            }
            if run.pointee.kind == .untilMarker {
                // The marker was refused: the node is loading, or the user may not say PING.
                run.pointee.remaining = 0
                finish(run, of: connection)
                return
            }
            run.pointee.remaining -= 1
            deliver(run, start, frame.count, false)
            if run.pointee.remaining == 0 { finish(run, of: connection) }
        }
    }
}
