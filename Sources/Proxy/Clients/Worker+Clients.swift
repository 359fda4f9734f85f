import Wire

// Clients: from connecting to closing.
extension Worker {
    /// A client connected. `clientID` is unique in the process and grows. `address` is `ip:port`, or `path:0` for a Unix socket.
    package func accepted(clientID: UInt64, address: String, localAddress: String, isLoopback: Bool) -> LinkID {
        let link = links.take()
        let session = SessionPointer.allocate(capacity: 1)
        let lane = lane(.proxy, protocolVersion: 2, database: 0)
        lane.pointee.sessions += 1
        session.initialize(
            to: Session(
                link: link, id: clientID, address: address, localAddress: localAddress, lane: lane, now: now))
        session.pointee.isAuthenticated = options.requirePass == nil
        if isDraining { session.pointee.pauses.insert(.closing) }
        updateIsPlain(session)
        links.bind(link, session)
        sessions.add(session)
        statistics.acceptedClients += 1
        statistics.connectedClients += 1
        return link
    }

    @inline(__always)
    func updateIsPlain(_ session: SessionPointer) {
        session.pointee.updateIsPlain()
    }

    func pause(_ session: SessionPointer, _ reason: PauseReasons) {
        session.pointee.pauses.insert(reason)
        session.pointee.isPlain = false
    }

    /// Takes a reason to wait away; when it was the last one, the client's requests go on before the turn ends.
    func resume(_ session: SessionPointer, _ reason: PauseReasons) {
        guard !session.pointee.pauses.isDisjoint(with: reason) else { return }
        session.pointee.pauses.subtract(reason)
        guard session.pointee.pauses.isEmpty else { return }
        updateIsPlain(session)
        resumable.push(session.pointee.link)
    }

    /// Answers in the order of the requests and then closes.
    func closeAfterReplies(_ session: SessionPointer) {
        pause(session, .closing)
        session.pointee.input.removeAll()
        markDirty(session)
    }

    /// Closes at once. The reason is for the log.
    func close(_ session: SessionPointer, reason: @autoclosure () -> String) {
        log(.verbose, "Closing client id=\(session.pointee.id) addr=\(session.pointee.address): \(reason())")
        effects.append(.close(session.pointee.link))
        forget(session)
    }

    /// Nobody waits any more for what the client has asked for.
    func abandonRuns(_ session: SessionPointer) {
        var next = session.pointee.firstRun
        while let run = next {
            next = run.pointee.nextOfSession
            run.pointee.session = nil
            run.pointee.nextOfSession = nil
            // A run that stands in a connection's queue is given back when its last reply has passed.
            if run.pointee.connection == nil { runs.give(run) }
        }
        session.pointee.firstRun = nil
        session.pointee.lastRun = nil
        session.pointee.outstanding = 0
        session.pointee.writesOutstanding = 0
    }

    /// The client is gone: its requests may still run, their replies have nobody to go to.
    func forget(_ session: SessionPointer) {
        abandonRuns(session)
        if session.pointee.reference != nil { dropReference(session) }
        if let pinned = session.pointee.pinned {
            session.pointee.pinned = nil
            statistics.pinnedClients -= 1
            pinned.pointee.owner = nil
            // Closing it cancels a blocking command and ends a transaction, as the client's own close would. One that is being
            // lost is freed by who loses it.
            if pinned.pointee.state != .dead { end(pinned) }
        }
        if let detached = session.pointee.detached {
            detached.pointee.owner = nil
            resumeReading(detached)
        }
        session.pointee.lane.pointee.sessions -= 1
        session.pointee.lane.pointee.unusedSince = now
        sessions.remove(session)
        links.give(session.pointee.link)
        statistics.connectedClients -= 1
        session.deinitialize(count: 1)
        session.deallocate()
    }

    // MARK: - Bytes in

    /// An input this small is carried over in the shared buffer; a larger one is read on in place.
    private static var carriedInput: Int { 16 << 10 }
    /// Bytes of requests that are kept for a client whose turn has not come.
    private static var pausedInput: Int { 256 << 10 }

    func readSpace(forClient session: SessionPointer) -> UnsafeMutableRawBufferPointer {
        readIsInPlace = false
        let held = session.pointee.input.count
        if session.pointee.pauses.isEmpty {
            if held == 0 { return arenaSpace(carrying: nil, 0) }
            if held < Self.carriedInput {
                let space = arenaSpace(carrying: UnsafePointer(session.pointee.input.bytes), held)
                session.pointee.input.removeAll()
                return space
            }
        } else if session.pointee.isClosing {
            // Read and dropped, so that the close that follows does not reset what the client has not read yet.
            return arenaSpace(carrying: nil, 0)
        } else if held >= Self.pausedInput {
            return UnsafeMutableRawBufferPointer(start: nil, count: 0)
        }
        readIsInPlace = true
        let missing = max(session.pointee.wanted - held, Self.carriedInput)
        return session.pointee.input.space(min(missing, Self.maximumInputStep))
    }

    /// A client that announces much does not get the memory before it has sent some of it.
    private static var maximumInputStep: Int { 256 << 10 }

    func receivedFromClient(_ session: SessionPointer, _ count: Int) {
        statistics.bytesFromClients &+= UInt64(count)
        if session.pointee.lastActive != now {
            session.pointee.lastActive = now
            activeClients += 1
        }
        if session.pointee.isClosing { return }
        if readIsInPlace {
            session.pointee.input.commit(count)
            // Fewer bytes than the last try found missing can't make a difference.
            if session.pointee.pauses.isEmpty && session.pointee.input.count >= session.pointee.wanted { takeRequests(session) }
            return
        }
        let total = readCarried + count
        arenaUsed += total
        let start = UnsafePointer(readStart)
        let link = session.pointee.link
        let used = takeRequests(session, start, total)
        if used < total, links.session(link) == session, !session.pointee.isClosing {
            session.pointee.input.append(start + used, total - used)
        }
    }

    /// Takes the requests that have been waiting in `input`.
    func takeRequests(_ session: SessionPointer) {
        guard !session.pointee.input.isEmpty else { return }
        let link = session.pointee.link
        let used = takeRequests(session, UnsafePointer(session.pointee.input.bytes), session.pointee.input.count)
        if links.session(link) == session, used > 0, !session.pointee.isClosing { session.pointee.input.consume(used) }
    }

    /// Clients whose pause is over go on, in the order in which it ended.
    func resumeSessions() {
        while let link = resumable.pop() {
            guard let session = links.session(link), session.pointee.pauses.isEmpty else { continue }
            takeRequests(session)
            if let same = links.session(link), same.pointee.pauses.isEmpty { effects.append(.resumeReading(link)) }
        }
    }

    /// What became of one request.
    enum Verdict {
        case taken
        /// It stays where it is and is looked at again when the client's pauses are over.
        case waits
        /// The session is no more.
        case sessionEnded
    }

    /// Takes whole requests from the start of `bytes`, and pieces of one that is passed through; returns how many bytes.
    @discardableResult
    private func takeRequests(_ session: SessionPointer, _ bytes: UnsafePointer<UInt8>, _ count: Int) -> Int {
        var position = 0
        session.pointee.wanted = 0
        while position < count {
            if session.pointee.stream != nil {
                guard let used = passThrough(session, bytes + position, count - position) else { return count }
                position += used
                if !session.pointee.pauses.isEmpty { return position }
                if session.pointee.stream != nil { return position }
                continue
            }
            limits.authenticated = session.pointee.isAuthenticated
            switch parser.parse(bytes + position, count - position, limits) {
            case .complete:
                let verdict =
                    parser.isSloppy
                    ? handleReencoded(session, bytes + position, parser.length)
                    : handle(session, bytes + position, parser.length)
                switch verdict {
                case .taken: position += parser.length
                case .waits: return position
                case .sessionEnded: return count
                }
                if !session.pointee.pauses.isEmpty { return position }
            case .empty:
                position += parser.length
            case .inline:
                let length = parser.length
                switch handleInline(session, bytes + position) {
                case .taken: position += length
                case .waits: return position
                case .sessionEnded: return count
                }
                if !session.pointee.pauses.isEmpty { return position }
            case .incomplete:
                session.pointee.wanted = parser.wanted
                switch holdOrPassThrough(session, bytes + position, count - position) {
                case .taken: return count
                case .waits: return position
                case .sessionEnded: return count
                }
            case .malformed:
                refuseProtocol(session, parser.failure)
                return count
            }
        }
        return position
    }

    func refuseProtocol(_ session: SessionPointer, _ text: String) {
        statistics.protocolErrors += 1
        reply(session, error: "ERR Protocol error: \(text)")
        closeAfterReplies(session)
    }

    /// A request as the nodes want it, made from one that was written differently (inline, or with odd line ends).
    private func handleArguments(_ session: SessionPointer, _ arguments: [[UInt8]]) -> Verdict {
        var request: [UInt8] = []
        request.appendCommand(arguments)
        return request.withUnsafeBufferPointer { buffer in
            let start = buffer.baseAddress.unsafelyUnwrapped
            guard case .complete = parser.parse(start, buffer.count, .accepted) else {
                preconditionFailure("an encoded request parses")
            }
            return handle(session, start, buffer.count)
        }
    }

    private func handleInline(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        handleArguments(session, parser.inlineArguments(start))
    }

    private func handleReencoded(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int) -> Verdict {
        let arguments = (0..<parser.argumentCount).map { argument($0, start) }
        let verdict = handleArguments(session, arguments)
        // The caller advances by the length of what the client sent.
        parser.restoreLength(length)
        return verdict
    }

    /// Argument `index` of the request that was parsed last.
    func argument(_ index: Int, _ start: UnsafePointer<UInt8>) -> [UInt8] {
        let place = parser.arguments[index]
        return Array(UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length)))
    }

    /// Argument `index` as text; bytes that are no UTF-8 become replacement characters.
    func text(_ index: Int, _ start: UnsafePointer<UInt8>) -> String {
        let place = parser.arguments[index]
        return String(
            decoding: UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length)), as: UTF8.self)
    }
}
