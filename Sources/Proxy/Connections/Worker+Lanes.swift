import Wire

// Lanes, and the life of connections to nodes.
extension Worker {
    /// Lanes without clients are closed after this long.
    static var laneIdleMilliseconds: Int { 60_000 }
    /// Private connections a lane keeps for later use.
    static var idleConnections: Int { 32 }
    static var maximumLanes: Int { 4096 }

    /// The lane for these settings, made if there is none yet.
    func lane(_ identity: Identity, protocolVersion: UInt8, database: Int) -> LanePointer {
        for lane in lanes
        where lane.pointee.database == database && lane.pointee.protocolVersion == protocolVersion
            && lane.pointee.identity == identity
        {
            return lane
        }
        let lane = LanePointer.allocate(capacity: 1)
        lane.initialize(to: Lane(identity: identity, protocolVersion: protocolVersion, database: database))
        lane.pointee.unusedSince = now
        lanes.append(lane)
        return lane
    }

    /// Moves a client to another lane; it must have no request out.
    func move(_ session: SessionPointer, to lane: LanePointer) {
        guard session.pointee.lane != lane else { return }
        session.pointee.lane.pointee.sessions -= 1
        session.pointee.lane.pointee.unusedSince = now
        session.pointee.lane = lane
        lane.pointee.sessions += 1
        session.pointee.database = lane.pointee.database
        session.pointee.protocolVersion = lane.pointee.protocolVersion
    }

    @inline(__always)
    func sharedConnection(_ lane: LanePointer, _ node: Int) -> ConnectionPointer {
        lane.pointee.shared[node] ?? openShared(lane, node)
    }

    @inline(never)
    private func openShared(_ lane: LanePointer, _ node: Int) -> ConnectionPointer {
        let connection = makeConnection(.shared, lane, node)
        lane.pointee.shared[node] = connection
        connect(connection)
        return connection
    }

    private func makeConnection(_ role: NodeConnection.Role, _ lane: LanePointer, _ node: Int) -> ConnectionPointer {
        let connection = ConnectionPointer.allocate(capacity: 1)
        connection.initialize(to: NodeConnection(role: role, node: node, lane: lane))
        connections.add(connection)
        nodes[node].connections += 1
        return connection
    }

    /// A private connection to the master for this client: one from the pool, or a new one.
    func takeExclusive(_ session: SessionPointer) -> ConnectionPointer? {
        guard master >= 0 else { return nil }
        let lane = session.pointee.lane
        while let idle = lane.pointee.idle.popLast() {
            guard idle.pointee.state == .ready, idle.pointee.node == master else {
                end(idle)
                continue
            }
            idle.pointee.owner = session
            return idle
        }
        let connection = makeConnection(.exclusive, lane, master)
        connection.pointee.owner = session
        connect(connection)
        return connection
    }

    /// A new private connection for nobody in particular: to see whether the master accepts what the lane stands for.
    func takeFresh(_ lane: LanePointer) -> ConnectionPointer? {
        guard master >= 0 else { return nil }
        let connection = makeConnection(.exclusive, lane, master)
        connect(connection)
        return connection
    }

    /// The client needs its private connection no more: a clean one goes to the pool.
    func giveBack(_ connection: ConnectionPointer) {
        connection.pointee.owner = nil
        let lane = connection.pointee.lane
        let isClean =
            connection.pointee.state == .ready && !connection.pointee.isTainted && connection.pointee.firstRun == nil
            && connection.pointee.database == lane.pointee.database && connection.pointee.node == master
            && lane.pointee.idle.count < Self.idleConnections
        guard isClean else {
            end(connection)
            return
        }
        connection.pointee.hasPushes = false
        if connection.pointee.isNamed {
            connection.pointee.isNamed = false
            var request: [UInt8] = []
            request.appendCommand("CLIENT", "SETNAME", "")
            tell(connection, request)
        }
        connection.pointee.since = now
        lane.pointee.idle.append(connection)
    }

    // MARK: - Opening

    func connect(_ connection: ConnectionPointer) {
        let link = links.take()
        links.bind(link, connection)
        connection.pointee.link = link
        connection.pointee.state = .connecting
        connection.pointee.since = now
        connection.pointee.retryAt = .never
        effects.append(.connect(link, nodes[connection.pointee.node].endpoint))
    }

    /// The connection is open: says who we are and what we want; requests follow when all of it was accepted.
    func greet(_ connection: ConnectionPointer) {
        let lane = connection.pointee.lane
        var bytes: [UInt8] = []
        var steps: [NodeConnection.GreetingStep] = []
        let user = lane.pointee.identity.user ?? options.backendUser.map { Array($0.utf8) }
        let password =
            lane.pointee.identity.user != nil ? lane.pointee.identity.password : options.backendPassword.map { Array($0.utf8) }
        if let password {
            bytes.appendCommand([Array("AUTH".utf8)] + (user.map { [$0] } ?? []) + [password])
            steps.append(.authenticate)
        }
        if lane.pointee.protocolVersion == 3 {
            bytes.appendCommand("HELLO", "3")
            steps.append(.hello)
        }
        if connection.pointee.role == .shared {
            bytes.appendCommand("CLIENT", "SETNAME", "switchyard-\(loop.index)")
            steps.append(.name)
        }
        if lane.pointee.database != 0 {
            bytes.appendCommand("SELECT", String(lane.pointee.database))
            steps.append(.select)
        }
        if connection.pointee.node == master {
            bytes.appendCommand("ROLE")
            steps.append(.role)
        }
        if connection.pointee.role == .exclusive {
            bytes.appendCommand("CLIENT", "ID")
            steps.append(.clientID)
        }
        connection.pointee.state = .greeting
        connection.pointee.greeting.append(bytes)
        connection.pointee.greetingSteps = steps
        markDirty(connection)
    }

    /// One reply to the greeting. Returns why the connection can't be used, if so.
    func takeGreetingReply(_ connection: ConnectionPointer, _ reply: UnsafeBufferPointer<UInt8>) -> String? {
        let step = connection.pointee.greetingSteps.removeFirst()
        let isError = reply[0] == UInt8(ascii: "-")
        let line = String(decoding: reply.prefix { $0 != 13 }, as: UTF8.self)
        switch step {
        case .authenticate, .hello, .select:
            if isError { return line }
        case .name:
            break
        case .role:
            if reply.count > 11, reply[0] == UInt8(ascii: "*") {
                let head = String(decoding: reply.prefix(32), as: UTF8.self)
                if !head.contains("\r\nmaster\r\n") { return "its ROLE says that it is no master" }
            }
        case .clientID:
            if !isError { connection.pointee.upstreamID = Int(line.dropFirst()) ?? 0 }
        }
        return nil
    }

    func becameReady(_ connection: ConnectionPointer) {
        connection.pointee.state = .ready
        connection.pointee.failures = 0
        connection.pointee.since = now
        if connection.pointee.node == master { connection.pointee.lane.pointee.isValidated = true }
        wakeGreetingWaiters(connection, failure: nil)
        answerUpstreamIDQuestions(connection)
        markDirty(connection)
        if connection.pointee.role == .exclusive && connection.pointee.owner == nil { giveBack(connection) }
    }

    func wakeGreetingWaiters(_ connection: ConnectionPointer, failure: [UInt8]?) {
        let waiters = connection.pointee.greetingWaiters
        connection.pointee.greetingWaiters = []
        for link in waiters {
            guard let session = links.session(link) else { continue }
            session.pointee.greetingFailure = failure
            resume(session, .greeting)
        }
    }

    // MARK: - Sending

    @inline(__always)
    func markDirty(_ connection: ConnectionPointer) {
        if !connection.pointee.isDirty, let link = connection.pointee.link {
            connection.pointee.isDirty = true
            dirtyConnections.push(link)
        }
    }

    func output(
        ofNode connection: ConnectionPointer, _ stretches: UnsafeMutablePointer<UnsafeRawBufferPointer>
    ) -> Int {
        switch connection.pointee.state {
        case .greeting:
            guard !connection.pointee.greeting.isEmpty else { return 0 }
            stretches[0] = connection.pointee.greeting.buffer
            return 1
        case .ready:
            let unsent = connection.pointee.unsent
            guard unsent > 0 else { return 0 }
            let sent = connection.pointee.log.count - unsent
            stretches[0] = UnsafeRawBufferPointer(start: connection.pointee.log.bytes + sent, count: unsent)
            return 1
        case .idle, .connecting, .waiting, .dead:
            return 0
        }
    }

    func sentToNode(_ connection: ConnectionPointer, _ count: Int) {
        if connection.pointee.state == .greeting {
            connection.pointee.greeting.consume(count)
            if !connection.pointee.greeting.isEmpty { connection.pointee.isSocketFull = true }
            return
        }
        connection.pointee.sentEnd += count
        if connection.pointee.unsent > 0 { connection.pointee.isSocketFull = true }
        if connection.pointee.role == .exclusive {
            // Never repeated, so nothing is kept.
            connection.pointee.log.consume(connection.pointee.sentEnd - connection.pointee.logStart)
            if let owner = connection.pointee.owner, owner.pointee.pauses.contains(.nodeFull),
                connection.pointee.unsent < Self.nodeLowWater
            {
                resume(owner, .nodeFull)
            }
        }
        if !connection.pointee.waiters.isEmpty && connection.pointee.unsent < Self.nodeLowWater { wakeWaiters(connection) }
    }

    func wakeWaiters(_ connection: ConnectionPointer) {
        let waiters = connection.pointee.waiters
        connection.pointee.waiters = []
        for link in waiters {
            if let session = links.session(link) { resume(session, .nodeFull) }
        }
    }

    // MARK: - Ending

    /// The master refuses a user who was let in before: the clients that came as that user are closed, as Redis does.
    func dismissUser(_ lane: LanePointer) {
        guard lane.pointee.identity.user != nil else { return }
        for session in sessions.snapshot where session.pointee.lane == lane && !session.pointee.isGreeted {
            close(session, reason: "its user was deleted or changed its password")
        }
    }

    /// Closes a connection that has nothing more to do, or whose client is gone.
    func end(_ connection: ConnectionPointer) {
        if let link = connection.pointee.link { effects.append(.close(link)) }
        discard(connection)
    }

    /// Takes a connection out of all tables and frees it. Runs that are left have no client any more, or were moved.
    func discard(_ connection: ConnectionPointer) {
        var next = connection.pointee.firstRun
        while let run = next {
            next = run.pointee.nextOfConnection
            run.pointee.connection = nil
            run.pointee.nextOfConnection = nil
            if run.pointee.session == nil { runs.give(run) }
        }
        nodes[connection.pointee.node].outstanding -= connection.pointee.outstanding
        nodes[connection.pointee.node].connections -= 1
        if let link = connection.pointee.link {
            links.give(link)
            answerUpstreamIDQuestions(link, 0)
        }
        if let owner = connection.pointee.owner, owner.pointee.detached == connection { owner.pointee.detached = nil }
        let lane = connection.pointee.lane
        if lane.pointee.shared[connection.pointee.node] == connection { lane.pointee.shared[connection.pointee.node] = nil }
        lane.pointee.idle.removeAll { $0 == connection }
        wakeWaiters(connection)
        wakeGreetingWaiters(connection, failure: Array("-MASTERDOWN connection closed\r\n".utf8))
        connections.remove(connection)
        connection.deinitialize(count: 1)
        connection.deallocate()
    }
}
