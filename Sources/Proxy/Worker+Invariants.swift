import Wire

// What always holds between two turns. For tests: far too slow for anything else.
extension Worker {
    /// Nil, or what is wrong. To be called after a turn was carried out to its end.
    package func checkInvariants() -> String? {
        var reachable: Set<RunPointer> = []
        for connection in connections.pointers {
            if let problem = checkConnection(connection, &reachable) {
                return
                    "connection to \(nodes[connection.pointee.node].endpoint) (\(connection.pointee.role), \(connection.pointee.state)): \(problem)"
            }
        }
        for session in sessions.snapshot {
            if let problem = checkSession(session, &reachable) { return "client \(session.pointee.id): \(problem)" }
        }
        if reachable.count != runs.inUse { return "\(runs.inUse) runs in use, \(reachable.count) reachable" }
        return checkSums()
    }

    private func checkSums() -> String? {
        for node in 0..<nodeCount {
            let mine = connections.pointers.filter { $0.pointee.node == node }
            if nodes[node].connections != mine.count {
                return "node \(nodes[node].endpoint) counts \(nodes[node].connections) connections of \(mine.count)"
            }
            let outstanding = mine.reduce(0) { $0 + $1.pointee.outstanding }
            if nodes[node].outstanding != outstanding {
                return "node \(nodes[node].endpoint) counts \(nodes[node].outstanding) outstanding requests of \(outstanding)"
            }
        }
        for lane in lanes {
            let users = sessions.snapshot.filter { $0.pointee.lane == lane }.count
            if lane.pointee.sessions != users { return "a lane counts \(lane.pointee.sessions) clients of \(users)" }
            for idle in lane.pointee.idle {
                guard connections.holds(idle) else { return "an idle connection was freed" }
                if idle.pointee.owner != nil || idle.pointee.role != .exclusive { return "an idle connection is in use" }
            }
        }
        if statistics.connectedClients != sessions.count {
            return "counts \(statistics.connectedClients) clients of \(sessions.count)"
        }
        let pinned = sessions.snapshot.filter { $0.pointee.pinned != nil }.count
        if statistics.pinnedClients != pinned { return "counts \(statistics.pinnedClients) pinned clients of \(pinned)" }
        let referencing = sessions.snapshot.filter { $0.pointee.reference != nil }.count
        if self.referencing != referencing { return "counts \(self.referencing) references to the arena of \(referencing)" }
        if master >= 0 && !nodes[master].isMember { return "the master is no member" }
        return nil
    }

    // MARK: - Connections

    private func checkConnection(_ connection: ConnectionPointer, _ reachable: inout Set<RunPointer>) -> String? {
        let lane = connection.pointee.lane
        guard lanes.contains(lane) else { return "its lane is gone" }
        switch connection.pointee.state {
        case .idle, .dead: return "its state is for moments only"
        case .waiting: if connection.pointee.link != nil { return "it waits with a link" }
        case .connecting, .greeting, .ready:
            guard let link = connection.pointee.link, links.connection(link) == connection else {
                return "its link leads elsewhere"
            }
        }
        let isShared = lane.pointee.shared[connection.pointee.node] == connection
        if isShared != (connection.pointee.role == .shared) { return "shared or not is unclear" }
        if let owner = connection.pointee.owner {
            guard links.session(owner.pointee.link) == owner else { return "its owner is gone" }
            if owner.pointee.pinned != connection && owner.pointee.detached != connection {
                return "its owner does not know it"
            }
        }
        if let problem = checkLog(connection) { return problem }
        if connection.pointee.state == .ready && connection.pointee.unsent > 0 && !connection.pointee.isDirty
            && !connection.pointee.isSocketFull
        {
            return "\(connection.pointee.unsent) unsent bytes are forgotten"
        }
        if connection.pointee.isReadingPaused && connection.pointee.owner == nil { return "its reading stopped for nobody" }
        return checkRuns(connection, &reachable)
    }

    private func checkLog(_ connection: ConnectionPointer) -> String? {
        if connection.pointee.sentEnd > connection.pointee.logEnd { return "more was sent than there was" }
        if connection.pointee.logStart > connection.pointee.sentEnd { return "the log lost unsent bytes" }
        if connection.pointee.role == .exclusive && connection.pointee.logStart != connection.pointee.sentEnd {
            return "a private connection keeps what was sent"
        }
        if connection.pointee.state != .ready && connection.pointee.sentEnd != connection.pointee.logStart {
            return "something was sent before the greeting was over"
        }
        guard connection.pointee.role != .exclusive else { return nil }
        if let first = connection.pointee.firstRun {
            if first.pointee.logStart != connection.pointee.logStart { return "the log does not begin with the first run" }
        } else if !connection.pointee.log.isEmpty {
            return "the log is not empty without requests"
        }
        return nil
    }

    private func checkRuns(_ connection: ConnectionPointer, _ reachable: inout Set<RunPointer>) -> String? {
        var last: RunPointer?
        var outstanding = 0
        var next = connection.pointee.firstRun
        while let run = next {
            next = run.pointee.nextOfConnection
            guard reachable.insert(run).inserted else { return "its runs form a ring" }
            if run.pointee.connection != connection { return "a run of it belongs to another" }
            if run.pointee.remaining <= 0 { return "a finished run stayed" }
            if run.pointee.remaining > run.pointee.requests { return "a run waits for more than was asked" }
            if last != nil && run.pointee.remaining != run.pointee.requests { return "a later run has replies" }
            if let before = last, before.pointee.logEnd != run.pointee.logStart { return "the log has a gap between runs" }
            if run.pointee.logEnd <= run.pointee.logStart { return "a run without bytes" }
            if let session = run.pointee.session, links.session(session.pointee.link) != session {
                return "a run's client is gone"
            }
            outstanding += Int(run.pointee.requests)
            last = run
        }
        if connection.pointee.lastRun != last { return "its last run is another" }
        if let last, last.pointee.logEnd != connection.pointee.logEnd { return "the last run does not end with the log" }
        if connection.pointee.outstanding != outstanding {
            return "counts \(connection.pointee.outstanding) outstanding requests of \(outstanding)"
        }
        return nil
    }

    // MARK: - Clients

    private func checkSession(_ session: SessionPointer, _ reachable: inout Set<RunPointer>) -> String? {
        guard links.session(session.pointee.link) == session else { return "its link leads elsewhere" }
        guard lanes.contains(session.pointee.lane) else { return "its lane is gone" }
        if let problem = checkQueue(session, &reachable) { return problem }
        if session.pointee.pendingOutput > 0 && !session.pointee.isDirty && !session.pointee.isSocketFull {
            return "\(session.pointee.pendingOutput) bytes of output are forgotten"
        }
        if let pinned = session.pointee.pinned {
            guard connections.holds(pinned) else { return "its private connection was freed" }
            if pinned.pointee.owner != session || pinned.pointee.role != .exclusive {
                return "its private connection is not private"
            }
        } else if !session.pointee.pins.isEmpty {
            return "pinned to nothing: \(session.pointee.pins)"
        }
        if let detached = session.pointee.detached {
            guard connections.holds(detached) else { return "its detached connection was freed" }
            if detached.pointee.owner != session { return "its detached connection belongs to another" }
        }
        if session.pointee.isPlain {
            var copy = session.pointee.isPlain
            copy = session.pointee.pauses.isEmpty && session.pointee.pins.isEmpty && session.pointee.replyMode == .on
            if !copy { return "is not as plain as it says" }
        }
        return checkPauses(session)
    }

    private func checkQueue(_ session: SessionPointer, _ reachable: inout Set<RunPointer>) -> String? {
        var seen: Set<RunPointer> = []
        var last: RunPointer?
        var outstanding = 0
        var writes: Int32 = 0
        var next = session.pointee.firstRun
        while let run = next {
            next = run.pointee.nextOfSession
            guard seen.insert(run).inserted else { return "its runs form a ring" }
            if run.pointee.session != session { return "a run of it belongs to another" }
            if run.pointee.stashWhole > run.pointee.stash.count && run.pointee.stash.count > 0 { return "a run's stash shrank" }
            if run.pointee.connection == nil {
                if !run.pointee.isDone { return "a run waits for nothing" }
                if last == nil { return "a finished run is not let out" }
                reachable.insert(run)
            } else {
                if !reachable.contains(run) { return "a run is in no connection's queue" }
                outstanding += Int(run.pointee.requests)
                writes += run.pointee.writes
            }
            last = run
        }
        if session.pointee.lastRun != last { return "its last run is another" }
        if session.pointee.outstanding != outstanding {
            return "counts \(session.pointee.outstanding) outstanding requests of \(outstanding)"
        }
        if session.pointee.writesOutstanding != writes {
            return "counts \(session.pointee.writesOutstanding) outstanding writes of \(writes)"
        }
        return nil
    }

    /// A client that waits has something that will wake it.
    private func checkPauses(_ session: SessionPointer) -> String? {
        let pauses = session.pointee.pauses
        let isBusy = session.pointee.firstRun != nil
        if pauses.contains(.closing) {
            return !isBusy && session.pointee.pendingOutput == 0 ? "should be closed" : nil
        }
        if !isBusy && !pauses.isDisjoint(with: [.draining, .blocked, .pipelineFull]) {
            return "waits for replies, and none is out"
        }
        if pauses.contains(.asking) && (session.pointee.gather?.missing ?? 0) == 0 { return "waits for answers that are there" }
        if pauses.contains(.outputFull) && session.pointee.output.isEmpty { return "waits to send nothing" }
        if pauses.contains(.noMaster) && session.pointee.pauseDeadline == .never { return "waits for a master without end" }
        if pauses.contains(.greeting),
            !connections.pointers.contains(where: { $0.pointee.greetingWaiters.contains(session.pointee.link) })
        {
            return "waits for a greeting that nobody makes"
        }
        if pauses.contains(.nodeFull) {
            let isPromised =
                session.pointee.pinned != nil
                || connections.pointers.contains { $0.pointee.waiters.contains(session.pointee.link) }
            if !isPromised { return "waits for room that nobody promised" }
        }
        guard pauses.isEmpty, session.pointee.stream == nil, !session.pointee.input.isEmpty,
            session.pointee.input.count >= session.pointee.wanted
        else { return nil }
        limits.authenticated = session.pointee.isAuthenticated
        switch parser.parse(UnsafePointer(session.pointee.input.bytes), session.pointee.input.count, limits) {
        case .incomplete: return nil
        case .complete, .empty, .inline, .malformed: return "requests are there and nobody takes them"
        }
    }
}
