import Wire

// Bytes to clients.
extension Worker {
    /// Unread output at which a client's further requests wait, and at which they go on. A limit that closes clients comes
    /// before one that makes them wait.
    static var outputHighWater: Int { 1 << 20 }
    var outputMark: Int { max(Self.outputHighWater, options.outputLimitNormal.hardBytes) }
    static var outputLowWater: Int { 256 << 10 }
    /// Stretches this long are sent from where they lie even when something else has to be sent before them.
    private static var referenceThreshold: Int { 16 << 10 }

    @inline(__always)
    func markDirty(_ session: SessionPointer) {
        if !session.pointee.isDirty {
            session.pointee.isDirty = true
            dirtySessions.push(session.pointee.link)
        }
    }

    /// Appends reply bytes that lie in the arena: they are sent from there if the socket takes them within this turn.
    @inline(__always)
    func write(_ session: SessionPointer, _ bytes: UnsafePointer<UInt8>, _ count: Int) {
        guard count > 0 else { return }
        statistics.bytesToClients &+= UInt64(count)
        if let reference = session.pointee.reference, reference + session.pointee.referenceCount == bytes {
            session.pointee.referenceCount += count
        } else if session.pointee.isSocketFull {
            session.pointee.output.append(bytes, count)
        } else {
            if session.pointee.referenceCount > 0 { materialise(session) }
            if session.pointee.output.isEmpty || count >= Self.referenceThreshold {
                referencing += 1
                session.pointee.reference = bytes
                session.pointee.referenceCount = count
            } else {
                session.pointee.output.append(bytes, count)
            }
        }
        markDirty(session)
        if session.pointee.pendingOutput > Self.outputHighWater { outputGrew(session) }
    }

    /// Appends bytes that lie elsewhere.
    func writeCopy(_ session: SessionPointer, _ bytes: UnsafeRawPointer, _ count: Int) {
        guard count > 0 else { return }
        statistics.bytesToClients &+= UInt64(count)
        if session.pointee.referenceCount > 0 { materialise(session) }
        session.pointee.output.append(bytes, count)
        markDirty(session)
        if session.pointee.pendingOutput > Self.outputHighWater { outputGrew(session) }
    }

    func writeCopy(_ session: SessionPointer, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { writeCopy(session, $0.baseAddress.unsafelyUnwrapped, $0.count) }
    }

    func materialise(_ session: SessionPointer) {
        guard let reference = session.pointee.reference else { return }
        session.pointee.output.append(reference, session.pointee.referenceCount)
        dropReference(session)
    }

    @inline(__always)
    func dropReference(_ session: SessionPointer) {
        session.pointee.reference = nil
        session.pointee.referenceCount = 0
        referencing -= 1
    }

    @inline(never)
    private func outputGrew(_ session: SessionPointer) {
        if session.pointee.isSocketFull && session.pointee.pendingOutput > outputMark { pause(session, .outputFull) }
    }

    func output(
        ofClient session: SessionPointer, _ stretches: UnsafeMutablePointer<UnsafeRawBufferPointer>, _ capacity: Int
    ) -> Int {
        var count = 0
        if !session.pointee.output.isEmpty {
            stretches[0] = session.pointee.output.buffer
            count = 1
        }
        if session.pointee.referenceCount > 0, count < capacity {
            stretches[count] = UnsafeRawBufferPointer(
                start: session.pointee.reference, count: session.pointee.referenceCount)
            count += 1
        }
        if count == 0 && session.pointee.isClosing && session.pointee.firstRun == nil {
            close(session, reason: "all replies are out")
        }
        return count
    }

    func sentToClient(_ session: SessionPointer, _ count: Int) {
        let fromOutput = min(count, session.pointee.output.count)
        if fromOutput > 0 { session.pointee.output.consume(fromOutput) }
        if let reference = session.pointee.reference {
            let fromReference = count - fromOutput
            if fromReference == session.pointee.referenceCount {
                dropReference(session)
            } else {
                session.pointee.reference = reference + fromReference
                session.pointee.referenceCount -= fromReference
                materialise(session)
            }
        }
        if session.pointee.output.isEmpty {
            session.pointee.softLimitSince = nil
            if session.pointee.isClosing && session.pointee.firstRun == nil {
                close(session, reason: "all replies are out")
                return
            }
        } else {
            session.pointee.isSocketFull = true
            if session.pointee.output.count > outputMark { pause(session, .outputFull) }
        }
        if session.pointee.output.count < Self.outputLowWater {
            if session.pointee.pauses.contains(.outputFull) { resume(session, .outputFull) }
            if let detached = session.pointee.detached { resumeReading(detached) }
            if let pinned = session.pointee.pinned { resumeReading(pinned) }
        }
    }

    // MARK: - Replies of the proxy's own

    /// Puts a reply in its place behind those of earlier requests.
    func reply(_ session: SessionPointer, _ bytes: UnsafeRawPointer, _ count: Int) {
        if session.pointee.replyMode != .on { return }
        if session.pointee.firstRun == nil {
            writeCopy(session, bytes, count)
            return
        }
        if let last = session.pointee.lastRun, last.pointee.kind == .local, last.pointee.isDone, !last.pointee.isSilent {
            last.pointee.stash.append(bytes, count)
            return
        }
        let run = runs.take()
        run.pointee.session = session
        run.pointee.kind = .local
        run.pointee.stash.append(bytes, count)
        append(run, to: session)
    }

    func reply(_ session: SessionPointer, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { reply(session, $0.baseAddress.unsafelyUnwrapped, $0.count) }
    }

    func reply(_ session: SessionPointer, _ text: StaticString) {
        reply(session, text.utf8Start, text.utf8CodeUnitCount)
    }

    /// `text` begins with the error's code.
    func reply(_ session: SessionPointer, error text: String) {
        countError(text)
        reply(session, Array("-\(Self.oneLine(text))\r\n".utf8))
    }

    func replyOK(_ session: SessionPointer) {
        reply(session, "+OK\r\n")
    }

    /// Line ends would break the protocol; Redis puts blanks in their place too.
    static func oneLine(_ text: String) -> String {
        text.utf8.contains { $0 == 10 || $0 == 13 } ? String(text.map { $0.isNewline ? " " : $0 }) : text
    }

    func countError(_ text: String) {
        let code = text.split(separator: " ", maxSplits: 1).first.map(String.init) ?? "ERR"
        statistics.proxyErrors[code, default: 0] += 1
    }

    func append(_ run: RunPointer, to session: SessionPointer) {
        if let last = session.pointee.lastRun {
            last.pointee.nextOfSession = run
        } else {
            session.pointee.firstRun = run
        }
        session.pointee.lastRun = run
    }

    /// Puts `run` behind `earlier` in its client's queue.
    func insert(_ run: RunPointer, behind earlier: RunPointer, of session: SessionPointer) {
        run.pointee.nextOfSession = earlier.pointee.nextOfSession
        earlier.pointee.nextOfSession = run
        if session.pointee.lastRun == earlier { session.pointee.lastRun = run }
    }

    /// Lets replies out whose turn has come: finished runs leave the queue, and the first unfinished one gives what it has.
    func advance(_ session: SessionPointer) {
        while let run = session.pointee.firstRun {
            if !run.pointee.stash.isEmpty, run.pointee.isDone || !run.pointee.kind.isCollected {
                if !run.pointee.isSilent {
                    writeCopy(session, UnsafeRawPointer(run.pointee.stash.bytes), run.pointee.stash.count)
                }
                // From here on the client has a part of a reply that may break off.
                run.pointee.isMidReply = !run.pointee.isDone && run.pointee.stash.count > run.pointee.stashWhole
                run.pointee.stash.removeAll()
                run.pointee.stashWhole = 0
            }
            guard run.pointee.isDone else { return }
            session.pointee.firstRun = run.pointee.nextOfSession
            if session.pointee.firstRun == nil { session.pointee.lastRun = nil }
            runs.give(run)
        }
        becameQuiet(session)
    }

    /// No request of this client is out any more.
    private func becameQuiet(_ session: SessionPointer) {
        if session.pointee.isClosing {
            markDirty(session)
            return
        }
        if session.pointee.pinned != nil { unpinIfPossible(session) }
        resume(session, [.draining, .blocked, .pipelineFull])
    }
}
