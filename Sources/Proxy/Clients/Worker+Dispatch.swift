import Wire

// From a parsed request to the connection it goes to.
extension Worker {
    /// Requests one client may have out before its next ones wait, at most and at least, and the bytes of replies that they
    /// may be expected to bring: a client with large replies gets fewer at a time.
    private static var widestWindow: Int { 16_384 }
    private static var narrowestWindow: Int { 8 }
    private static var windowBytes: Int { 4 << 20 }
    /// Unsent bytes on a connection at which requests for it wait, and at which they go on.
    static var nodeHighWater: Int { 4 << 20 }
    static var nodeLowWater: Int { 1 << 20 }

    /// Handles the request that `parser` has just found: `length` bytes from `start`.
    @inline(__always)
    func handle(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int) -> Verdict {
        let name = parser.arguments[0]
        let index = routes.find(start + Int(name.offset), Int(name.length))
        if session.pointee.isPlain && index >= 0 && pausedUntil <= now {
            let route = routes[index]
            switch route.handler {
            case .read:
                session.pointee.lastCommand = index
                session.pointee.commandCount &+= 1
                return forwardRead(session, start, length, route.commandClass)
            case .master:
                session.pointee.lastCommand = index
                session.pointee.commandCount &+= 1
                return forwardToMaster(session, start, length, route.commandClass)
            default: break
            }
        }
        return handleUnusual(session, start, length, index)
    }

    /// Everything that needs more than a look at the command's name, or a client in an unusual state.
    @inline(never)
    private func handleUnusual(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ topIndex: Int
    ) -> Verdict {
        if routes.hasRenames, let original = routes.renamed[text(0, start).lowercased()] {
            return handleRenamed(session, start, original)
        }
        let index = resolve(topIndex, start)
        return handleKnown(session, start, length, index, topIndex < 0 ? unknownRoute(start) : routes[index])
    }

    private func handleKnown(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ index: Int, _ route: RouteTable.Route
    ) -> Verdict {
        session.pointee.lastCommand = index
        session.pointee.commandCount &+= 1

        if !session.pointee.isAuthenticated, let refusal = refusalBeforeAuthentication(start, index, route) {
            reply(session, error: refusal)
            return .taken
        }
        if index < 0 && isCrossProtocol(start) {
            close(session, reason: "possible cross-protocol attack: it speaks HTTP")
            return .sessionEnded
        }
        if mustPause(session, route, index) { return .waits }
        let mode = session.pointee.replyMode
        if mode == .skipNext && route.handler != .clientReply { session.pointee.replyMode = .skipping }
        let verdict = dispatch(session, start, length, index, route)
        if verdict != .sessionEnded && session.pointee.replyMode == .skipping {
            session.pointee.replyMode = verdict == .waits ? .skipNext : .on
            updateIsPlain(session)
        }
        if verdict == .waits { session.pointee.commandCount &-= 1 }
        if verdict == .taken && session.pointee.pauseDeadline != .never {
            // It was for this request.
            session.pointee.pauseDeadline = .never
            updateIsPlain(session)
        }
        return verdict
    }

    func dispatch(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ index: Int, _ route: RouteTable.Route
    ) -> Verdict {
        switch route.handler {
        case .denied:
            return refuse(session, start, error: unknownCommandText(start))
        case .impossible:
            return refuse(
                session, start,
                error:
                    "NOPERM '\(text(0, start).lowercased())' can't be used through a proxy, whatever 'admin-commands' says: connect to the node itself"
            )
        case .administrative:
            return refuse(
                session, start,
                error: "NOPERM '\(commandName(index, start))' is an administrative command and 'admin-commands' is 'deny'")
        default: break
        }
        if session.pointee.pins != [] || session.pointee.isTransactionLost || session.pointee.isWatchLost {
            return handlePinned(session, start, length, route)
        }
        if session.pointee.pinned != nil {
            // Nothing needs the private connection any more, but requests are out on it: on another connection this one could
            // overtake them.
            let isElsewhere = route.handler == .scan || route.handler == .keyScan
            if isElsewhere && mustDrain(session) { return .waits }
            if session.pointee.pinned != nil { return handlePinned(session, start, length, route) }
        }
        switch route.handler {
        case .read: return forwardRead(session, start, length, route.commandClass)
        case .master, .container, .exec, .discard, .unwatch, .clientCaching, .clientTrackingInfo:
            return forwardToMaster(session, start, length, route.commandClass)
        case .scan, .keyScan: return forwardScan(session, start, length, route)
        case .info: return forwardInfo(session, start, length)
        case .eval, .evalReadOnly, .scriptLoad, .scriptFlush:
            return forwardScript(session, start, length, route)
        case .streamRead where !isBlockingStreamRead(start):
            return route.isWrite || !routes.commands.isReplicaEligible(index)
                ? forwardToMaster(session, start, length, .write) : forwardRead(session, start, length, .read)
        case .blocking, .streamRead, .kill: return forwardAlone(session, start, length, route)
        case .wait: return forwardWait(session, start, length)
        case .multi, .watch, .subscribe, .unsubscribe, .monitor, .clientNoTouch:
            return pinAndForward(session, start, length, route)
        case .clientTracking: return handleTracking(session, start, length, route)
        default:
            counters.requests[route.commandClass.rawValue] &+= 1
            return answer(session, start, route.handler)
        }
    }

    /// The subcommand's index if the command is a container and has such a subcommand.
    private func resolve(_ index: Int, _ start: UnsafePointer<UInt8>) -> Int {
        guard index >= 0, parser.argumentCount > 1, routes.commands.traits(of: index).isContainer else { return index }
        let word = parser.arguments[1]
        let sub = routes.commands.findSubcommand(of: index, start + Int(word.offset), Int(word.length))
        return sub >= 0 ? sub : index
    }

    func unknownRoute(_ start: UnsafePointer<UInt8>) -> RouteTable.Route {
        var route = RouteTable.unknownRoute
        if text(0, start).lowercased() == "proxy" {
            route.handler = options.deniedCommands.contains("proxy") ? .denied : .proxy
            route.commandClass = .local
        }
        return route
    }

    func commandName(_ index: Int, _ start: UnsafePointer<UInt8>) -> String {
        index >= 0 ? routes.commands[index].name : text(0, start).lowercased()
    }

    private func handleRenamed(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ original: String) -> Verdict {
        var arguments = (0..<parser.argumentCount).map { argument($0, start) }
        arguments[0] = Array(original.utf8)
        var request: [UInt8] = []
        request.appendCommand(arguments)
        let outerLength = parser.length
        return request.withUnsafeBufferPointer { buffer in
            let first = buffer.baseAddress.unsafelyUnwrapped
            _ = parser.parse(first, buffer.count, .accepted)
            let index = resolve(routes.commands.find(original), first)
            var route = routes[index]
            // The old name is refused; under the new one the command is what it was.
            if route.handler == .denied && !isDenied(index, original) { route = routes.underlying(index, options) }
            let verdict = handleKnown(session, first, buffer.count, index, route)
            parser.restoreLength(outerLength)
            return verdict
        }
    }

    /// `deny-command` names it, by whatever name it is called here.
    private func isDenied(_ index: Int, _ original: String) -> Bool {
        options.deniedCommands.contains(original)
            || (index >= 0 && options.deniedCommands.contains(routes.commands[index].name))
    }

    /// What Redis says to a command it doesn't know.
    func unknownCommandText(_ start: UnsafePointer<UInt8>) -> String {
        var list = ""
        for index in 1..<max(parser.argumentCount, 1) {
            if list.utf8.count >= 128 { break }
            list += "'\(String(text(index, start).prefix(128 - list.utf8.count)))' "
        }
        return "ERR unknown command '\(text(0, start).prefix(128))', with args beginning with: \(list)"
    }

    /// Refuses a command. Inside a transaction the node has to hear of it, so that EXEC fails there as Redis would have it.
    private func refuse(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, error: String) -> Verdict {
        if session.pointee.pins.contains(.transaction) { return refuseInTransaction(session, error: error) }
        reply(session, error: error)
        return .taken
    }

    /// What Redis says to a client that has to log in first: what is wrong with the command comes before that.
    private func refusalBeforeAuthentication(
        _ start: UnsafePointer<UInt8>, _ index: Int, _ route: RouteTable.Route
    ) -> String? {
        if route.needsNoAuthentication || route.handler == .quit { return nil }
        if index < 0 && route.handler != .proxy { return isCrossProtocol(start) ? nil : unknownCommandText(start) }
        if index >= 0 && !routes.commands.traits(of: index).accepts(argumentCount: parser.argumentCount) {
            return "ERR wrong number of arguments for '\(routes.commands[index].name)' command"
        }
        let text = "NOAUTH Authentication required."
        return route.handler == .exec ? "EXECABORT Transaction discarded because of: \(text)" : text
    }

    /// Lines of an HTTP request, which a browser may be made to send: a server closes the connection on them, and ours must not
    /// be closed for a client's sake.
    private func isCrossProtocol(_ start: UnsafePointer<UInt8>) -> Bool {
        let name = text(0, start).lowercased()
        return name == "post" || name == "host:"
    }

    /// CLIENT PAUSE is in force for this command.
    private func mustPause(_ session: SessionPointer, _ route: RouteTable.Route, _ index: Int) -> Bool {
        guard pausedUntil > now, route.handler != .clientUnpause, session.pointee.gather == nil else { return false }
        if pauseIsForWritesOnly {
            let flags = index >= 0 ? routes.commands.traits(of: index).flags : []
            guard flags.contains(.write) || flags.contains(.mayReplicate) || route.handler == .exec else { return false }
        }
        pause(session, .clientPause)
        return true
    }

    // MARK: - Forwarding on shared connections

    @inline(__always)
    func forwardRead(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ commandClass: Statistics.CommandClass
    ) -> Verdict {
        // A read behind a write of the same pipeline follows it to the master: elsewhere it could overtake it.
        let node =
            session.pointee.writesOutstanding > 0 ? master : readNode(session.pointee.readFrom ?? options.readFrom)
        guard node >= 0 else { return waitForNode(session, isWrite: false) }
        var connection = sharedConnection(session.pointee.lane, node)
        if connection.pointee.state == .waiting {
            let other = session.pointee.writesOutstanding > 0 ? node : readNode(insteadOf: node, session)
            if other != node { connection = sharedConnection(session.pointee.lane, other) }
        }
        return forward(session, start, length, connection, isWrite: false, commandClass)
    }

    @inline(__always)
    func forwardToMaster(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ commandClass: Statistics.CommandClass
    ) -> Verdict {
        guard master >= 0 else { return waitForNode(session, isWrite: true) }
        let connection = sharedConnection(session.pointee.lane, master)
        return forward(session, start, length, connection, isWrite: true, commandClass)
    }

    /// A node other than `failed` for this client's read, one to which its lane has a connection or may get one; `failed` itself
    /// if there is none.
    @inline(never)
    func readNode(insteadOf failed: Int, _ session: SessionPointer) -> Int {
        let policy = session.pointee.readFrom ?? options.readFrom
        var avoided = NodeSet()
        avoided.insert(failed)
        var candidate = selectReadNode(policy, avoiding: avoided)
        while candidate >= 0, sharedConnection(session.pointee.lane, candidate).pointee.state == .waiting {
            avoided.insert(candidate)
            candidate = selectReadNode(policy, avoiding: avoided)
        }
        if candidate >= 0 { return candidate }
        return nodes[failed].isMember ? failed : selectReadNode(policy, avoiding: NodeSet())
    }

    @inline(__always)
    private func forward(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ connection: ConnectionPointer,
        isWrite: Bool, _ commandClass: Statistics.CommandClass
    ) -> Verdict {
        if connection.pointee.unsent > Self.nodeHighWater { return waitForRoom(session, connection) }
        enqueue(session, start, length, connection, isWrite: isWrite, commandClass)
        if session.pointee.outstanding >= session.pointee.window { pause(session, .pipelineFull) }
        return .taken
    }

    /// Learns from the replies to `requests` requests of a client how many it may have out.
    @inline(__always)
    func adjustWindow(_ session: SessionPointer, requests: Int) {
        let sample = session.pointee.replyBytes / requests
        session.pointee.replyBytes = 0
        session.pointee.averageReply = (session.pointee.averageReply + sample) / 2
        session.pointee.window = min(
            Self.widestWindow, max(Self.narrowestWindow, Self.windowBytes / max(1, session.pointee.averageReply)))
        if session.pointee.pauses.contains(.pipelineFull), session.pointee.outstanding <= session.pointee.window / 2 {
            resume(session, .pipelineFull)
        }
    }

    // MARK: - Waiting

    /// No node can take the request at the moment. It waits as long as a request may, and is then refused.
    @inline(never)
    func waitForNode(_ session: SessionPointer, isWrite: Bool) -> Verdict {
        if session.pointee.pauseDeadline <= now {
            session.pointee.pauseDeadline = .never
            reply(
                session,
                error: isWrite
                    ? "MASTERDOWN No node is confirmed as the master; the command was not sent"
                    : "MASTERDOWN No node is eligible for reads; the command was not sent")
            return .taken
        }
        if session.pointee.pauseDeadline == .never {
            session.pointee.pauseDeadline = now.adding(milliseconds: holdMilliseconds)
        }
        pause(session, .noMaster)
        return .waits
    }

    /// How long a request that could not be sent waits for better times.
    var holdMilliseconds: Int {
        options.requestTimeoutMilliseconds > 0 ? options.requestTimeoutMilliseconds : 10_000
    }

    @inline(never)
    private func waitForRoom(_ session: SessionPointer, _ connection: ConnectionPointer) -> Verdict {
        pause(session, .nodeFull)
        connection.pointee.waiters.append(session.pointee.link)
        return .waits
    }

    /// Makes this client wait until all its requests are answered; false if they are already.
    func mustDrain(_ session: SessionPointer) -> Bool {
        guard session.pointee.firstRun != nil else { return false }
        pause(session, .draining)
        return true
    }
}
