import Wire

// Commands about the client's connection itself: HELLO, AUTH, SELECT, RESET, QUIT, PING.
extension Worker {
    /// Commands that the proxy answers.
    func answer(_ session: SessionPointer, _ start: UnsafePointer<UInt8>, _ handler: Handler) -> Verdict {
        if handler != .quit && handler != .proxy && handler != .auth && !hasRightArity(session) {
            // The server has the right words for it.
            return forwardToMaster(session, start, parser.length, .other)
        }
        switch handler {
        case .ping: answerPing(session, start)
        case .hello: return answerHello(session, start)
        case .auth: return answerAuth(session, start)
        case .select: return answerSelect(session, start)
        case .reset: return answerReset(session)
        case .quit:
            replyOK(session)
            closeAfterReplies(session)
        case .proxy: return answerProxy(session, start)
        default: return answerClient(session, start, handler)
        }
        return .taken
    }

    private func answerPing(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) {
        guard parser.argumentCount > 1 else { return reply(session, "+PONG\r\n") }
        guard parser.argumentCount == 2 else {
            return reply(session, error: "ERR wrong number of arguments for 'ping' command")
        }
        var bytes: [UInt8] = []
        bytes.appendBulk(argument(1, start))
        reply(session, bytes)
    }

    // MARK: - AUTH

    private enum Authentication {
        case accepted(Identity)
        case refused([UInt8])
        case waits
    }

    private static let wrongPassword = "WRONGPASS invalid username-password pair or user is disabled."

    private func answerAuth(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        guard parser.argumentCount >= 2 else {
            reply(session, error: "ERR wrong number of arguments for 'auth' command")
            return .taken
        }
        guard parser.argumentCount <= 3 else {
            reply(session, error: "ERR syntax error")
            return .taken
        }
        if mustDrain(session) { return .waits }
        let user = parser.argumentCount == 3 ? argument(1, start) : nil
        switch authenticate(session, user: user, password: argument(parser.argumentCount - 1, start)) {
        case .accepted(let identity):
            if isBound(session, to: identity) { return .taken }
            becomeUser(session, identity, protocolVersion: session.pointee.protocolVersion)
            replyOK(session)
        case .refused(let line):
            reply(session, line)
        case .waits:
            return .waits
        }
        return .taken
    }

    /// A private connection has logged in as somebody: the client that has it can't become somebody else.
    private func isBound(_ session: SessionPointer, to identity: Identity) -> Bool {
        guard session.pointee.pinned != nil, identity != session.pointee.lane.pointee.identity else { return false }
        reply(
            session, error: "ERR the user can't be changed while this connection has subscriptions, watched keys or tracking")
        return true
    }

    private func becomeUser(_ session: SessionPointer, _ identity: Identity, protocolVersion: UInt8) {
        session.pointee.isAuthenticated = true
        // A private connection stays what it is, on a database that may not be its lane's.
        guard session.pointee.pinned == nil else { return updateIsPlain(session) }
        move(session, to: lane(identity, protocolVersion: protocolVersion, database: session.pointee.database))
        updateIsPlain(session)
    }

    /// The user `default` is the proxy's own matter; every other user is looked up by the master.
    private func authenticate(_ session: SessionPointer, user: [UInt8]?, password: [UInt8]) -> Authentication {
        if user == nil || user == Array("default".utf8) {
            guard let required = options.requirePass else {
                if user != nil { return .accepted(.proxy) }
                return .refused(
                    errorLine(
                        "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
                    ))
            }
            if isEqual(password, Array(required.utf8)) { return .accepted(.proxy) }
            return .refused(errorLine(Self.wrongPassword))
        }
        let identity = Identity(user: user, password: password)
        if let failure = session.pointee.greetingFailure {
            session.pointee.greetingFailure = nil
            session.pointee.isGreeted = false
            forgetLane(identity)
            return .refused(failure)
        }
        if session.pointee.isGreeted {
            session.pointee.isGreeted = false
            return .accepted(identity)
        }
        guard lanes.count < Self.maximumLanes else { return .refused(errorLine("ERR too many users and databases in use")) }
        let lane = lane(identity, protocolVersion: session.pointee.protocolVersion, database: session.pointee.database)
        return awaitGreeting(session, lane) ? .waits : .refused(errorLine("MASTERDOWN No master to ask for this user"))
    }

    /// Opens a connection in a lane to see whether the master accepts what it stands for. The client's command is handled
    /// again when that is known.
    private func awaitGreeting(_ session: SessionPointer, _ lane: LanePointer) -> Bool {
        guard let connection = takeFresh(lane) else { return false }
        session.pointee.isGreeted = true
        connection.pointee.greetingWaiters.append(session.pointee.link)
        pause(session, .greeting)
        return true
    }

    private func forgetLane(_ identity: Identity) {
        for lane in lanes where lane.pointee.identity == identity { closeIfUnwanted(lane) }
    }

    /// Ends a lane that nobody uses and nobody is waiting to use.
    private func closeIfUnwanted(_ lane: LanePointer) {
        let isWanted = connections.pointers.contains {
            $0.pointee.lane == lane && (!$0.pointee.greetingWaiters.isEmpty || $0.pointee.owner != nil)
        }
        if lane.pointee.sessions == 0 && !isWanted { closeLane(lane) }
    }

    /// Takes equally long wherever the difference is.
    private func isEqual(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        guard left.count == right.count else { return false }
        var difference: UInt8 = 0
        for index in left.indices { difference |= left[index] ^ right[index] }
        return difference == 0
    }

    private func errorLine(_ text: String) -> [UInt8] {
        countError(text)
        return Array("-\(text)\r\n".utf8)
    }

    // MARK: - HELLO

    private func answerHello(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        var version = session.pointee.protocolVersion
        if parser.argumentCount > 1 {
            guard let wanted = Int(text(1, start)) else {
                reply(session, error: "ERR Protocol version is not an integer or out of range")
                return .taken
            }
            guard wanted == 2 || wanted == 3 else {
                reply(session, error: "NOPROTO unsupported protocol version")
                return .taken
            }
            version = UInt8(wanted)
        }
        var credentials: (user: [UInt8], password: [UInt8])?
        var name: [UInt8]?
        var index = 2
        while index < parser.argumentCount {
            let option = text(index, start).uppercased()
            if option == "AUTH" && index + 2 < parser.argumentCount {
                credentials = (argument(index + 1, start), argument(index + 2, start))
                index += 3
            } else if option == "SETNAME" && index + 1 < parser.argumentCount {
                let wanted = argument(index + 1, start)
                guard isPlainName(wanted) else {
                    reply(
                        session, error: "ERR Client names cannot contain spaces, newlines or special characters.")
                    return .taken
                }
                name = wanted
                index += 2
            } else {
                reply(session, error: "ERR Syntax error in HELLO option '\(text(index, start))'")
                return .taken
            }
        }
        if mustDrain(session) { return .waits }
        if session.pointee.pinned != nil && version != session.pointee.protocolVersion {
            reply(
                session,
                error: "ERR the protocol can't be changed while this connection has subscriptions, watched keys or tracking")
            return .taken
        }
        var identity = session.pointee.lane.pointee.identity
        if let credentials {
            switch authenticate(session, user: credentials.user, password: credentials.password) {
            case .accepted(let accepted):
                if isBound(session, to: accepted) { return .taken }
                identity = accepted
            case .refused(let line):
                reply(session, line)
                return .taken
            case .waits: return .waits
            }
            session.pointee.isAuthenticated = true
        }
        guard session.pointee.isAuthenticated else {
            reply(
                session,
                error:
                    "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
            )
            return .taken
        }
        if let name { session.pointee.name = name }
        session.pointee.protocolVersion = version
        becomeUser(session, identity, protocolVersion: version)
        reply(session, helloReply(session))
        return .taken
    }

    private func helloReply(_ session: SessionPointer) -> [UInt8] {
        let version: RESPVersion = session.pointee.protocolVersion == 3 ? .three : .two
        let state = master >= 0 ? nodes[master].state : nil
        var bytes: [UInt8] = []
        bytes.appendMapHeader(7, version)
        for (key, value) in [("server", "redis"), ("version", state?.version.isEmpty == false ? state!.version : "7.0.0")] {
            bytes.appendBulk(key)
            bytes.appendBulk(value)
        }
        bytes.appendBulk("proto")
        bytes.appendInteger(Int(session.pointee.protocolVersion))
        bytes.appendBulk("id")
        bytes.appendInteger(Int(session.pointee.id))
        for (key, value) in [("mode", "standalone"), ("role", "master")] {
            bytes.appendBulk(key)
            bytes.appendBulk(value)
        }
        bytes.appendBulk("modules")
        bytes.appendArrayHeader(0)
        return bytes
    }

    // MARK: - SELECT, RESET

    private func answerSelect(_ session: SessionPointer, _ start: UnsafePointer<UInt8>) -> Verdict {
        guard let database = Int(text(1, start)) else {
            reply(session, error: "ERR value is not an integer or out of range")
            return .taken
        }
        guard database >= 0, database < 1 << 20 else {
            reply(session, error: "ERR DB index is out of range")
            return .taken
        }
        if mustDrain(session) { return .waits }
        let current = session.pointee.lane
        if let failure = session.pointee.greetingFailure {
            session.pointee.greetingFailure = nil
            session.pointee.isGreeted = false
            closeIfUnwanted(
                lane(current.pointee.identity, protocolVersion: current.pointee.protocolVersion, database: database))
            reply(session, failure)
            return .taken
        }
        guard lanes.count < Self.maximumLanes else {
            reply(session, error: "ERR too many users and databases in use")
            return .taken
        }
        let target = lane(
            current.pointee.identity, protocolVersion: current.pointee.protocolVersion, database: database)
        if target == current || target.pointee.isValidated || database == 0 || session.pointee.isGreeted {
            session.pointee.isGreeted = false
            move(session, to: target)
            replyOK(session)
            return .taken
        }
        guard awaitGreeting(session, target) else { return waitForNode(session, isWrite: true) }
        return .waits
    }

    private func answerReset(_ session: SessionPointer) -> Verdict {
        if session.pointee.pinned == nil && mustDrain(session) { return .waits }
        if session.pointee.pinned != nil {
            // What is still out belongs to the state that is given up, but its replies are owed.
            if mustDrain(session) { return .waits }
            dropPinned(session)
        }
        session.pointee.isTransactionLost = false
        session.pointee.isWatchLost = false
        session.pointee.name = []
        session.pointee.readFrom = nil
        session.pointee.replyMode = .on
        session.pointee.isNoEvict = false
        session.pointee.protocolVersion = 2
        move(session, to: lane(.proxy, protocolVersion: 2, database: 0))
        session.pointee.database = 0
        session.pointee.isAuthenticated = options.requirePass == nil
        updateIsPlain(session)
        reply(session, "+RESET\r\n")
        return .taken
    }

    /// What Redis accepts as a client's name: printable ASCII without blanks.
    func isPlainName(_ name: [UInt8]) -> Bool {
        name.allSatisfy { $0 >= 0x21 && $0 <= 0x7e }
    }
}
