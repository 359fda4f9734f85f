import Wire

// CLIENT: about the proxy's own clients, on all its threads.
extension Worker {
    func answerClient(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ handler: Handler) -> Verdict {
        switch handler {
        case .clientID: reply(session, Array(":\(session.pointee.id)\r\n".utf8))
        case .clientInfo: replyText(session, clientLine(session))
        case .clientList: return answerList(session, start)
        case .clientKill: return answerKill(session, start)
        case .clientSetName:
            let name = argument(2, start)
            guard isPlainName(name) else {
                reply(session, error: "ERR Client names cannot contain spaces, newlines or special characters.")
                return .taken
            }
            session.pointee.name = name
            replyOK(session)
        case .clientGetName:
            var bytes: [UInt8] = []
            if session.pointee.name.isEmpty {
                bytes.appendNull(session.pointee.protocolVersion == 3 ? .three : .two)
            } else {
                bytes.appendBulk(session.pointee.name)
            }
            reply(session, bytes)
        case .clientSetInfo: answerSetInfo(session, start)
        case .clientReply: answerReplyMode(session, start)
        case .clientPause: return answerPause(session, start)
        case .clientUnpause:
            guard gatherFromWorkers(session, .clientUnpause) != nil else { return .waits }
            replyOK(session)
        case .clientUnblock: return answerUnblock(session, start)
        case .clientNoEvict:
            switch text(2, start).lowercased() {
            case "on": session.pointee.isNoEvict = true
            case "off": session.pointee.isNoEvict = false
            default:
                reply(session, error: "ERR syntax error")
                return .taken
            }
            replyOK(session)
        case .clientGetRedir:
            let target = session.pointee.pins.contains(.tracking) ? Int(session.pointee.redirect) : -1
            reply(session, Array(":\(target)\r\n".utf8))
        default:
            preconditionFailure("no command of the proxy's own")
        }
        return .taken
    }

    /// Text as INFO and CLIENT LIST send it: a verbatim string in RESP3.
    func replyText(_ session: SessionPointer, _ text: String) {
        var bytes: [UInt8] = []
        bytes.appendVerbatim(text, session.pointee.protocolVersion == 3 ? .three : .two)
        reply(session, bytes)
    }

    private func answerSetInfo(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) {
        let value = argument(3, start)
        let attribute = text(2, start).lowercased()
        guard attribute == "lib-name" || attribute == "lib-ver" else {
            return reply(session, error: "ERR Unrecognized option '\(text(2, start))'")
        }
        guard isPlainName(value) else {
            return reply(session, error: "ERR \(attribute) cannot contain spaces, newlines or special characters.")
        }
        if attribute == "lib-name" { session.pointee.libraryName = value } else { session.pointee.libraryVersion = value }
        replyOK(session)
    }

    private func answerReplyMode(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) {
        switch text(2, start).lowercased() {
        case "on":
            session.pointee.replyMode = .on
            replyOK(session)
        case "off":
            session.pointee.replyMode = .off
        case "skip":
            if session.pointee.replyMode != .off { session.pointee.replyMode = .skipNext }
        default:
            reply(session, error: "ERR syntax error")
        }
        updateIsPlain(session)
    }

    private func answerPause(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        guard let milliseconds = Int(text(2, start)), milliseconds < Int.max / 1_000_000 else {
            reply(session, error: "ERR timeout is not an integer or out of range")
            return .taken
        }
        guard milliseconds >= 0 else {
            reply(session, error: "ERR timeout is negative")
            return .taken
        }
        var writesOnly = false
        if parser.argumentCount > 3 {
            switch text(3, start).lowercased() {
            case "write": writesOnly = true
            case "all": break
            default:
                reply(session, error: "ERR CLIENT PAUSE mode must be WRITE or ALL")
                return .taken
            }
        }
        let until = now.adding(milliseconds: milliseconds)
        guard gatherFromWorkers(session, .clientPause(until: until, writesOnly: writesOnly)) != nil else { return .waits }
        replyOK(session)
        return .taken
    }

    func pauseClients(until: Instant, writesOnly: Bool) -> Answer {
        // As in Redis, a second pause can lengthen the first and widen it, not the reverse.
        let isActive = pausedUntil > now
        pauseIsForWritesOnly = writesOnly && (!isActive || pauseIsForWritesOnly)
        pausedUntil = isActive ? max(pausedUntil, until) : until
        nextTick = min(nextTick, pausedUntil)
        return .count(0)
    }

    func unpauseClients() -> Answer {
        pausedUntil = Instant(nanoseconds: 0)
        sessions.forEach { self.resume($0, .clientPause) }
        return .count(0)
    }

    private func answerUnblock(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        guard let id = UInt64(text(2, start)), id < UInt64(Int64.max) else {
            reply(session, error: "ERR value is not an integer or out of range")
            return .taken
        }
        var withError = false
        if parser.argumentCount > 3 {
            switch text(3, start).lowercased() {
            case "timeout": break
            case "error": withError = true
            default:
                reply(session, error: "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
                return .taken
            }
        }
        guard let answers = gatherFromWorkers(session, .clientUnblock(clientID: id, withError: withError)) else {
            return .waits
        }
        reply(session, Array(":\(sum(answers))\r\n".utf8))
        return .taken
    }

    /// Passes CLIENT UNBLOCK on with the id by which the master knows the blocked connection.
    func unblock(_ clientID: UInt64, withError: Bool) -> Int {
        guard let session = sessions.find(id: clientID), session.pointee.pauses.contains(.blocked),
            let pinned = session.pointee.pinned, pinned.pointee.upstreamID > 0
        else { return 0 }
        var request: [UInt8] = []
        request.appendCommand("CLIENT", "UNBLOCK", String(pinned.pointee.upstreamID), withError ? "ERROR" : "TIMEOUT")
        tell(sharedConnection(lanes[0], pinned.pointee.node), request)
        return 1
    }

    func sum(_ answers: [Answer]) -> Int {
        answers.reduce(0) { if case .count(let count) = $1 { $0 + count } else { $0 } }
    }

    // MARK: - LIST and KILL

    private static let kinds = ["normal", "master", "replica", "slave", "pubsub"]

    private func answerList(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        var filter = ClientFilter()
        if parser.argumentCount > 2 {
            let option = text(2, start).lowercased()
            if option == "type" && parser.argumentCount == 4 {
                let kind = text(3, start).lowercased()
                guard Self.kinds.contains(kind) else {
                    reply(session, error: "ERR Unknown client type '\(text(3, start))'")
                    return .taken
                }
                filter.kind = kind
            } else if option == "id" && parser.argumentCount > 3 {
                let ids = (3..<parser.argumentCount).map { UInt64(text($0, start)) ?? 0 }
                guard ids.allSatisfy({ $0 > 0 }) else {
                    reply(session, error: "ERR Invalid client ID")
                    return .taken
                }
                filter.ids = ids
            } else {
                reply(session, error: "ERR syntax error")
                return .taken
            }
        }
        guard let answers = gatherFromWorkers(session, .clientList(filter)) else { return .waits }
        var lines: [Substring] = []
        for answer in answers {
            if case .text(let bytes) = answer { lines += String(decoding: bytes, as: UTF8.self).split(separator: "\n") }
        }
        lines.sort { Self.listedID($0) < Self.listedID($1) }
        replyText(session, lines.map { "\($0)\n" }.joined())
        return .taken
    }

    private static func listedID(_ line: Substring) -> UInt64 { UInt64(line.dropFirst(3).prefix { $0 != " " }) ?? 0 }

    func clientLines(_ filter: ClientFilter) -> [UInt8] {
        var text = ""
        sessions.forEach { if self.matches($0, filter) { text += self.clientLine($0) } }
        return Array(text.utf8)
    }

    private func matches(_ session: SessionPointer, _ filter: ClientFilter) -> Bool {
        if let ids = filter.ids, !ids.contains(session.pointee.id) { return false }
        if let address = filter.address, address != session.pointee.address { return false }
        if let address = filter.localAddress, address != session.pointee.localAddress { return false }
        if let user = filter.user, user != userName(session) { return false }
        if session.pointee.id == filter.except { return false }
        if let age = filter.minimumAgeSeconds, now.milliseconds(since: session.pointee.connectedAt) < age * 1000 {
            return false
        }
        switch filter.kind {
        case nil: return true
        case "normal": return !session.pointee.pins.contains(.subscription)
        case "pubsub": return session.pointee.pins.contains(.subscription)
        default: return false
        }
    }

    func userName(_ session: SessionPointer) -> String {
        session.pointee.lane.pointee.identity.user.map { String(decoding: $0, as: UTF8.self) } ?? "default"
    }

    /// One line in the format of Redis's CLIENT LIST. Where Redis tells of memory it means its own; here it is the proxy's.
    func clientLine(_ session: SessionPointer) -> String {
        let pins = session.pointee.pins
        var flags = ""
        if pins.contains(.monitor) { flags += "O" }
        if pins.contains(.subscription) { flags += "P" }
        if pins.contains(.transaction) { flags += "x" }
        if session.pointee.pauses.contains(.blocked) { flags += "b" }
        if pins.contains(.tracking) { flags += "t" }
        if session.pointee.isNoEvict { flags += "e" }
        if flags.isEmpty { flags = "N" }
        let output = session.pointee.pendingOutput
        let command = session.pointee.lastCommand >= 0 ? routes.commands[session.pointee.lastCommand].name : "NULL"
        let held = session.pointee.input.capacity + session.pointee.output.capacity
        func word(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
        return
            "id=\(session.pointee.id) addr=\(session.pointee.address) laddr=\(session.pointee.localAddress) fd=\(session.pointee.link.slot)"
            + " name=\(word(session.pointee.name)) age=\(now.milliseconds(since: session.pointee.connectedAt) / 1000)"
            + " idle=\(now.milliseconds(since: session.pointee.lastActive) / 1000) flags=\(flags) db=\(session.pointee.database)"
            + " sub=\(session.pointee.subscriptions - session.pointee.patternSubscriptions) psub=\(session.pointee.patternSubscriptions) ssub=\(session.pointee.shardSubscriptions)"
            + " multi=\(pins.contains(.transaction) ? session.pointee.queuedCommands : -1) watch=\(pins.contains(.watch) ? 1 : 0)"
            + " qbuf=\(session.pointee.input.count) qbuf-free=\(session.pointee.input.capacity - session.pointee.input.count)"
            + " argv-mem=0 multi-mem=0 rbs=\(session.pointee.output.capacity) rbp=\(session.pointee.output.capacity)"
            + " obl=\(output) oll=0 omem=\(output) tot-mem=\(held + MemoryLayout<Session>.size) events=r cmd=\(command)"
            + " user=\(userName(session)) redir=\(pins.contains(.tracking) ? Int(session.pointee.redirect) : -1) resp=\(session.pointee.protocolVersion)"
            + " lib-name=\(word(session.pointee.libraryName)) lib-ver=\(word(session.pointee.libraryVersion))\n"
    }

    private func answerKill(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        var filter = ClientFilter()
        let isOldForm = parser.argumentCount == 3
        var skipsSelf = true
        if isOldForm {
            filter.address = text(2, start)
            skipsSelf = false
        } else if let problem = readKillFilter(start, &filter, &skipsSelf) {
            reply(session, error: problem)
            return .taken
        }
        if skipsSelf { filter.except = session.pointee.id }
        // It closes itself last, after its reply.
        let includesSelf = matches(session, filter)
        filter.except = session.pointee.id
        guard let answers = gatherFromWorkers(session, .clientKill(filter)) else { return .waits }
        let count = sum(answers) + (includesSelf ? 1 : 0)
        if isOldForm {
            if count == 0 { reply(session, error: "ERR No such client") } else { replyOK(session) }
        } else {
            reply(session, Array(":\(count)\r\n".utf8))
        }
        if includesSelf { closeAfterReplies(session) }
        return .taken
    }

    private func readKillFilter(
        _ start: UnsafePointer<UInt8>, _ filter: inout ClientFilter, _ skipsSelf: inout Bool
    ) -> String? {
        guard parser.argumentCount % 2 == 0 else { return "ERR syntax error" }
        for index in stride(from: 2, to: parser.argumentCount, by: 2) {
            let value = text(index + 1, start)
            switch text(index, start).lowercased() {
            case "id":
                guard let id = UInt64(value), id > 0 else { return "ERR client-id should be greater than 0" }
                filter.ids = [id]
            case "addr": filter.address = value
            case "laddr": filter.localAddress = value
            case "user": filter.user = value
            case "type":
                guard Self.kinds.contains(value.lowercased()) else { return "ERR Unknown client type '\(value)'" }
                filter.kind = value.lowercased()
            case "maxage":
                guard let age = Int(value), age > 0, age < 1 << 40 else {
                    return "ERR maxage is not an integer or out of range"
                }
                filter.minimumAgeSeconds = age
            case "skipme":
                switch value.lowercased() {
                case "yes": skipsSelf = true
                case "no": skipsSelf = false
                default: return "ERR syntax error"
                }
            default: return "ERR syntax error"
            }
        }
        return nil
    }

    func killClients(_ filter: ClientFilter) -> Int {
        var victims: [SessionPointer] = []
        sessions.forEach { if self.matches($0, filter) { victims.append($0) } }
        for victim in victims { close(victim, reason: "CLIENT KILL") }
        return victims.count
    }

    // MARK: - TRACKING

    /// Puts the id that the redirected-to client has here in place of the one that the master knows it by.
    func renameRedirect(_ run: RunPointer, _ session: SessionPointer) {
        guard session.pointee.redirect > 0 else { return }
        let reply = Array(UnsafeBufferPointer(start: run.pointee.stash.bytes, count: run.pointee.stash.count))
        let key = Array("redirect\r\n:".utf8)
        guard
            let found = (0..<max(0, reply.count - key.count)).first(where: { reply[$0..<($0 + key.count)].elementsEqual(key) }),
            let end = reply[(found + key.count)...].firstIndex(of: 13)
        else { return }
        var changed = ByteQueue()
        changed.append(Array(reply[..<(found + key.count)]))
        changed.append(Array(String(session.pointee.redirect).utf8))
        changed.append(Array(reply[end...]))
        run.pointee.stash = changed
    }

    /// CLIENT TRACKING needs the reads it tracks on its own connection. A REDIRECT names one of the proxy's clients: the master
    /// is told that client's private connection instead.
    func handleTracking(
        _ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ length: Int, _ route: RouteTable.Route
    ) -> Verdict {
        var arguments = (0..<parser.argumentCount).map { argument($0, start) }
        var redirectedTo: UInt64 = 0
        let isOn = parser.argumentCount > 2 && text(2, start).lowercased() == "on"
        let redirect = (3..<max(parser.argumentCount, 3)).first { text($0, start).lowercased() == "redirect" }
        if !isOn, let redirect, redirect + 1 < arguments.count {
            // Means nothing together with OFF, and the master does not know our clients' ids.
            arguments.removeSubrange(redirect...(redirect + 1))
        }
        if !isOn && !session.pointee.pins.contains(.tracking) {
            guard master >= 0 else { return waitForNode(session, isWrite: true) }
            var request: [UInt8] = []
            request.appendCommand(arguments)
            request.withUnsafeBufferPointer {
                _ = enqueue(
                    session, $0.baseAddress.unsafelyUnwrapped, $0.count, sharedConnection(session.pointee.lane, master),
                    isWrite: true, .other)
            }
            return .taken
        }
        if session.pointee.pinned == nil && mustDrain(session) { return .waits }
        if isOn, let redirect, redirect + 1 < arguments.count, let target = UInt64(text(redirect + 1, start)) {
            guard let upstream = gatherUpstreamID(session, target) else { return .waits }
            guard upstream > 0 else {
                reply(session, error: "ERR The client ID you want redirect to does not exist")
                return .taken
            }
            arguments[redirect + 1] = Array(String(upstream).utf8)
            redirectedTo = target
        }
        if let verdict = pin(session) { return verdict }
        guard let connection = session.pointee.pinned else { preconditionFailure("pinned a line above") }
        if isOn {
            session.pointee.pins.insert(.tracking)
            session.pointee.redirect = redirectedTo
            connection.pointee.hasPushes = true
        } else {
            session.pointee.pins.remove(.tracking)
        }
        connection.pointee.isTainted = true
        var request: [UInt8] = []
        request.appendCommand(arguments)
        request.withUnsafeBufferPointer {
            _ = enqueue(session, $0.baseAddress.unsafelyUnwrapped, $0.count, connection, isWrite: true, .other)
        }
        return .taken
    }
}
