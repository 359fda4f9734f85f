import Wire

// Timers and limits.
extension Worker {
    private static var tickMilliseconds: Int { 50 }
    private static var slowTickMilliseconds: Int { 1_000 }

    /// Timers. The driver calls it when `nextWake` has come, at the latest.
    package func tick() {
        guard nextTick <= now else { return }
        nextTick = now.adding(milliseconds: Self.tickMilliseconds)
        if pausedUntil.nanoseconds != 0 && pausedUntil <= now { _ = unpauseClients() }
        tickConnections()
        tickSessions()
        if nextSlowTick <= now {
            nextSlowTick = now.adding(milliseconds: Self.slowTickMilliseconds)
            for lane in lanes {
                let stale = lane.pointee.idle.prefix {
                    $0.pointee.since.adding(milliseconds: Self.laneIdleMilliseconds) <= now
                }
                for connection in stale { end(connection) }
            }
            for lane in lanes.dropFirst() where lane.pointee.sessions == 0 {
                guard !connections.pointers.contains(where: { $0.pointee.lane == lane && $0.pointee.owner != nil }) else {
                    continue
                }
                if lane.pointee.unusedSince.adding(milliseconds: Self.laneIdleMilliseconds) <= now { closeLane(lane) }
            }
        }
        resumeSessions()
    }

    private func tickConnections() {
        for connection in connections.pointers {
            // An earlier step of this loop may have freed it.
            guard connections.holds(connection) else { continue }
            switch connection.pointee.state {
            case .waiting:
                if connection.pointee.role == .exclusive && connection.pointee.node != master {
                    lose(connection, reason: "not the master any more", isClosedByPeer: false)
                    continue
                }
                if connection.pointee.retryAt <= now { connect(connection) }
            case .connecting, .greeting:
                if connection.pointee.since.adding(milliseconds: options.connectTimeoutMilliseconds) <= now {
                    lose(connection, reason: "no connection within connect-timeout", isClosedByPeer: false)
                    continue
                }
            case .idle, .ready, .dead: break
            }
            if connections.holds(connection) { expireRequests(connection) }
            if connections.holds(connection) { leaveSlow(connection) }
            if connections.holds(connection) { endForsaken(connection) }
        }
    }

    private func tickSessions() {
        var buffers = 0
        for connection in connections.pointers {
            buffers += connection.pointee.log.capacity + connection.pointee.partial.capacity
        }
        let idleLimit = options.timeoutSeconds * 1000
        for session in sessions.snapshot {
            buffers += memory(of: session)
            if session.pointee.pauses.contains(.noMaster), session.pointee.pauseDeadline <= now { resume(session, .noMaster) }
            if isDraining && session.pointee.firstRun == nil && session.pointee.pauses.isEmpty && session.pointee.input.isEmpty
            {
                closeAfterReplies(session)
                continue
            }
            if idleLimit > 0, now.milliseconds(since: session.pointee.lastActive) > idleLimit, session.pointee.firstRun == nil,
                session.pointee.pins.isDisjoint(with: [.subscription, .monitor])
            {
                close(session, reason: "idle for longer than 'timeout'")
                continue
            }
            checkOutputLimit(session)
        }
        bufferBytes = buffers
        let share = options.maxMemoryBuffers / max(1, workerCount)
        if buffers > share { shedLoad(excess: buffers - share) }
    }

    private func memory(of session: SessionPointer) -> Int {
        var bytes = session.pointee.input.capacity + session.pointee.output.capacity
        var next = session.pointee.firstRun
        while let run = next {
            bytes += run.pointee.stash.capacity
            next = run.pointee.nextOfSession
        }
        return bytes
    }

    /// Buffers take more than `maxmemory-buffers`: the clients with the largest go first.
    private func shedLoad(excess: Int) {
        var excess = excess
        let largest = sessions.snapshot.map { ($0, memory(of: $0)) }.sorted { $0.1 > $1.1 }
        for (session, bytes) in largest {
            guard excess > 0, bytes > 64 << 10 else { return }
            log(
                .warning,
                "Closing client id=\(session.pointee.id) addr=\(session.pointee.address): its buffers take \(bytes) bytes and all buffers together more than maxmemory-buffers"
            )
            statistics.closedForLimits += 1
            close(session, reason: "maxmemory-buffers")
            excess -= bytes
        }
    }

    /// `client-output-buffer-limit`: as in Redis, at once over the hard limit, and after a while over the soft one.
    func checkOutputLimit(_ session: SessionPointer) {
        let limit = session.pointee.pins.contains(.subscription) ? options.outputLimitPubsub : options.outputLimitNormal
        let pending = session.pointee.pendingOutput
        var isOver = limit.hardBytes > 0 && pending > limit.hardBytes
        if limit.softBytes > 0 && pending > limit.softBytes {
            let since = session.pointee.softLimitSince ?? now
            session.pointee.softLimitSince = since
            if now.milliseconds(since: since) >= limit.softSeconds * 1000 { isOver = true }
        } else {
            session.pointee.softLimitSince = nil
        }
        guard isOver else { return }
        log(
            .warning,
            "Client id=\(session.pointee.id) addr=\(session.pointee.address) closed for overcoming of output buffer limits: \(pending) bytes wait for it"
        )
        statistics.closedForLimits += 1
        close(session, reason: "client-output-buffer-limit")
    }

    /// Ends all connections of a lane that no client uses, and the lane.
    func closeLane(_ lane: LanePointer) {
        precondition(lane.pointee.sessions == 0, "a lane in use is not closed")
        guard lane != lanes[0] else { return }
        for connection in connections.pointers {
            guard connections.holds(connection), connection.pointee.lane == lane else { continue }
            end(connection)
        }
        lanes.removeAll { $0 == lane }
        lane.deinitialize(count: 1)
        lane.deallocate()
    }

    func currentStatistics() -> Statistics {
        var copy = statistics
        for kind in Statistics.CommandClass.allCases {
            copy.requests[kind.rawValue] = counters.requests[kind.rawValue]
            copy.latency[kind.rawValue] = counters.histogram(ofClass: kind.rawValue)
        }
        copy.bufferBytes = bufferBytes
        for node in 0..<nodeCount where nodes[node].isMember {
            var part = nodes[node].statistics
            part.outstanding = nodes[node].outstanding
            part.connections = nodes[node].connections
            part.latency = counters.histogram(ofNode: node)
            copy.nodes.append(part)
        }
        return copy
    }
}
