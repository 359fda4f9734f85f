import Wire

// From a request that has its connection to both queues that it stands in: the client's and the connection's.
extension Worker {
    /// Appends a request to a connection and to the client's queue of what it is owed. The run that ends both queues grows by
    /// it when there is one; otherwise a new one begins.
    @discardableResult
    @inline(__always)
    func enqueue(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ connection: ConnectionPointer,
        isWrite: Bool, _ commandClass: Statistics.CommandClass
    ) -> RunPointer {
        counters.requests[commandClass.rawValue] &+= 1
        let run: RunPointer
        if let last = connection.pointee.lastRun, last == session.pointee.lastRun, last.pointee.issuedAt == now,
            last.pointee.kind == .plain, !last.pointee.isSilent, session.pointee.replyMode == .on, last.pointee.attempts == 0
        {
            run = last
            run.pointee.requests &+= 1
            run.pointee.remaining &+= 1
        } else {
            run = beginRun(session, connection, commandClass)
        }
        if isWrite {
            run.pointee.writes &+= 1
            session.pointee.writesOutstanding &+= 1
            nodes[connection.pointee.node].statistics.writes &+= 1
        } else {
            nodes[connection.pointee.node].statistics.reads &+= 1
        }
        session.pointee.outstanding &+= 1
        add(start, length, to: connection, run)
        return run
    }

    /// A run of its own for one request of a special kind: it is never extended.
    @discardableResult
    func enqueueSpecial(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ connection: ConnectionPointer,
        _ kind: Run.Kind, _ commandClass: Statistics.CommandClass, isWrite: Bool = false, detail: Int = 0
    ) -> RunPointer {
        counters.requests[commandClass.rawValue] &+= 1
        let run = beginRun(session, connection, commandClass)
        run.pointee.kind = kind
        run.pointee.detail = detail
        if isWrite {
            run.pointee.writes = 1
            session.pointee.writesOutstanding += 1
            nodes[connection.pointee.node].statistics.writes &+= 1
        } else {
            nodes[connection.pointee.node].statistics.reads &+= 1
        }
        session.pointee.outstanding += 1
        add(start, length, to: connection, run)
        return run
    }

    /// Sends a request of the proxy's own whose reply nobody waits for.
    func tell(_ connection: ConnectionPointer, _ request: [UInt8]) {
        let run = runs.take()
        run.pointee.requests = 1
        run.pointee.remaining = 1
        run.pointee.issuedAt = now
        run.pointee.hasNoTimeout = true
        run.pointee.logStart = connection.pointee.logEnd
        append(run, to: connection)
        request.withUnsafeBufferPointer { add($0.baseAddress.unsafelyUnwrapped, $0.count, to: connection, run) }
    }

    /// Puts one request's bytes at the end of a connection's log, as the newest of `run`, which ends the connection's queue.
    @inline(__always)
    func add(_ bytes: UnsafePointer<UInt8>, _ length: Int, to connection: ConnectionPointer, _ run: RunPointer) {
        connection.pointee.log.append(bytes, length)
        connection.pointee.logEnd &+= length
        run.pointee.logEnd = connection.pointee.logEnd
        connection.pointee.outstanding &+= 1
        nodes[connection.pointee.node].outstanding &+= 1
        markDirty(connection)
    }

    /// A new run for one request at the end of both queues.
    @inline(__always)
    func beginRun(
        _ session: SessionPointer, _ connection: ConnectionPointer, _ commandClass: Statistics.CommandClass
    ) -> RunPointer {
        let run = runs.take()
        run.pointee.session = session
        run.pointee.commandClass = UInt8(truncatingIfNeeded: commandClass.rawValue)
        run.pointee.isSilent = session.pointee.replyMode != .on
        run.pointee.requests = 1
        run.pointee.remaining = 1
        run.pointee.issuedAt = now
        run.pointee.logStart = connection.pointee.logEnd
        append(run, to: session)
        append(run, to: connection)
        return run
    }

    @inline(__always)
    func append(_ run: RunPointer, to connection: ConnectionPointer) {
        run.pointee.connection = connection
        if let last = connection.pointee.lastRun {
            last.pointee.nextOfConnection = run
        } else {
            connection.pointee.firstRun = run
        }
        connection.pointee.lastRun = run
    }
}
