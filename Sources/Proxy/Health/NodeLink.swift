import Wire

/// The monitor's connection to one node: when it is opened, what is asked on it, and what the answers amount to.
///
///     waiting --open--> connecting --connected--> greeting --+--> asking <--> idle
///        ^                                            ^      |
///        |                                            |      +--(BUSY, LOADING)--> ungreeted
///        |                                            +----------(next round)---------+
///        +--------- lost, refused, too late, or bytes that are no RESP: from every state
///
/// The greeting (AUTH, INFO server, CONFIG GET databases, COMMAND) is pipelined and asked once per connection; a round (ROLE, PING,
/// INFO replication) follows it at once and then whenever the monitor begins one. At most one of them is unanswered at a time, so
/// the latency that PING measures is the node's and not that of our own queue.
struct NodeLink {
    /// How long a round may stay unanswered: a second until the next one would be due, and a second beyond that.
    static let answerDeadlineMilliseconds = 2_000
    /// What one unfinished reply may hold; COMMAND of Redis 7.0 takes 90 KiB.
    static let replyLimitBytes = 16 << 20

    private enum State {
        case waiting(until: Instant)
        case connecting(LinkID, deadline: Instant)
        case greeting(LinkID, deadline: Instant, GreetingReport)
        case ungreeted(LinkID)
        case idle(LinkID, hasAnswered: Bool)
        case asking(LinkID, sentAt: Instant, RoundReport)
    }

    /// What the monitor has to do about bytes that arrived.
    enum Action {
        /// All replies that have arrived are dealt with.
        case none
        /// The greeting is answered: begin a round.
        case greeted(GreetingReport)
        /// The greeting can't be answered yet; it is asked again with the next round.
        case greetLater(Refusal)
        case answered(RoundReport)
        /// The node does not let us in: close, try again later.
        case refused(Refusal, command: String)
        /// What the node sent makes no sense: close, try again later.
        case broken(String)
    }

    private var state: State
    private var expected: [Probe] = []
    private var decoder = RESPDecoder(maximumBytes: replyLimitBytes)

    init(openAt: Instant) {
        state = .waiting(until: openAt)
    }

    /// The link that the driver knows; nil while there is none.
    var link: LinkID? {
        switch state {
        case .waiting: nil
        case .connecting(let link, _), .greeting(let link, _, _), .ungreeted(let link), .idle(let link, _),
            .asking(let link, _, _):
            link
        }
    }

    /// True from `connected` on.
    var isOpen: Bool {
        switch state {
        case .waiting, .connecting: false
        case .greeting, .ungreeted, .idle, .asking: true
        }
    }

    /// When `overdue` has something to say or the connection is to be opened; `.never` if only a round or the peer can change anything.
    var nextWake: Instant {
        switch state {
        case .waiting(let until): until
        case .connecting(_, let deadline), .greeting(_, let deadline, _): deadline
        case .asking(_, let sentAt, _): sentAt.adding(milliseconds: Self.answerDeadlineMilliseconds)
        case .ungreeted, .idle: .never
        }
    }

    func isDueToOpen(now: Instant) -> Bool {
        if case .waiting(let until) = state { return until <= now }
        return false
    }

    /// Why the connection must be given up, if its time has run out. `timeout` is in milliseconds and only quoted.
    func overdue(now: Instant, timeout: Int) -> String? {
        guard nextWake <= now else { return nil }
        switch state {
        case .waiting, .ungreeted, .idle: return nil
        case .connecting: return "no connection within \(timeout) ms (connect-timeout)"
        case .greeting: return "connected, but no answer to the greeting within \(timeout) ms (connect-timeout)"
        case .asking: return "no answer to PING for \(Self.answerDeadlineMilliseconds) ms"
        }
    }

    /// The driver is being asked to connect. The deadline covers the greeting too.
    mutating func open(_ link: LinkID, deadline: Instant) {
        guard case .waiting = state else { preconditionFailure("a link is opened while the last one is alive") }
        state = .connecting(link, deadline: deadline)
        expected.removeAll(keepingCapacity: true)
        decoder = RESPDecoder(maximumBytes: Self.replyLimitBytes)
    }

    /// The link is gone or is being closed.
    mutating func lose(reopenAt: Instant) {
        state = .waiting(until: reopenAt)
        expected.removeAll(keepingCapacity: true)
    }

    /// The connection is open: returns the greeting to send, or nil if this link is not being waited for.
    mutating func connected(credentials: BackendCredentials) -> [UInt8]? {
        guard case .connecting(let link, let deadline) = state else { return nil }
        state = .greeting(link, deadline: deadline, GreetingReport())
        return ask(Self.greeting(credentials))
    }

    /// A round begins: returns what is to be sent, nil if the node still owes answers or is not connected.
    mutating func beginRound(_ number: UInt64, credentials: BackendCredentials, greetingDeadline: Instant, now: Instant)
        -> [UInt8]?
    {
        switch state {
        case .idle(let link, let hasAnswered):
            state = .asking(link, sentAt: now, RoundReport(number: number, followsGreeting: !hasAnswered))
            return ask([.role, .ping, .replicationInfo])
        case .ungreeted(let link):
            state = .greeting(link, deadline: greetingDeadline, GreetingReport())
            return ask(Self.greeting(credentials))
        case .waiting, .connecting, .greeting, .asking:
            return nil
        }
    }

    private static func greeting(_ credentials: BackendCredentials) -> [Probe] {
        (credentials.probe.map { [$0] } ?? []) + [.serverInfo, .databases, .commands]
    }

    private mutating func ask(_ probes: [Probe]) -> [UInt8] {
        precondition(expected.isEmpty, "probes are asked while others are unanswered")
        expected = probes
        var bytes: [UInt8] = []
        for probe in probes { probe.append(to: &bytes) }
        return bytes
    }

    /// Takes bytes in; `nextAction` tells what they mean.
    mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        decoder.feed(bytes)
    }

    /// The next thing that the received bytes ask for. To be called until it returns `.none`, or until the link was lost.
    mutating func nextAction(now: Instant) -> Action {
        while true {
            let reply: RESPValue
            do {
                guard let next = try decoder.next() else { return .none }
                reply = next
            } catch {
                return .broken("sent bytes that are no RESP reply (\(error))")
            }
            let action = take(reply, now: now)
            if case .none = action { continue }
            return action
        }
    }

    private mutating func take(_ reply: RESPValue, now: Instant) -> Action {
        guard !expected.isEmpty else {
            if case .error(let text) = reply { return .broken("said without being asked: \(PeerText.clean(text))") }
            return .broken("sent a reply without being asked")
        }
        let probe = expected.removeFirst()
        switch state {
        case .greeting(let link, let deadline, var report):
            if let action = report.take(reply, to: probe) { return action }
            state = .greeting(link, deadline: deadline, report)
            guard expected.isEmpty else { return .none }
            if let refusal = report.postponed {
                state = .ungreeted(link)
                return .greetLater(refusal)
            }
            state = .idle(link, hasAnswered: false)
            return .greeted(report)
        case .asking(let link, let sentAt, var report):
            if let action = report.take(reply, to: probe, elapsed: now.nanoseconds(since: sentAt)) { return action }
            state = .asking(link, sentAt: sentAt, report)
            guard expected.isEmpty else { return .none }
            state = .idle(link, hasAnswered: true)
            return .answered(report)
        case .waiting, .connecting, .ungreeted, .idle:
            preconditionFailure("answers are expected in a state that asks nothing")
        }
    }
}

extension GreetingReport {
    /// Notes one answer. An action means that the connection can't go on.
    fileprivate mutating func take(_ reply: RESPValue, to probe: Probe) -> NodeLink.Action? {
        if case .error(let text) = reply { return takeError(text, to: probe) }
        switch probe {
        case .authenticate:
            guard reply.text == "OK" else { return .broken("answered AUTH with something else than OK") }
        case .serverInfo:
            guard let text = reply.bytes else { return .broken("answered INFO with something else than text") }
            server = ServerReport(InfoFields(text))
        case .databases:
            databases = reply[field: "databases"]?.integerValue.flatMap { $0 > 0 ? Int(exactly: $0) : nil }
        case .commands:
            do {
                commands = try LearnedCommands(reply: reply)
            } catch {
                commandsRefusal = PeerText.clean("\(error)")
            }
        case .role, .ping, .replicationInfo:
            preconditionFailure("\(probe.name) is no part of the greeting")
        }
        return nil
    }

    private mutating func takeError(_ text: [UInt8], to probe: Probe) -> NodeLink.Action? {
        let refusal = Refusal(text)
        switch refusal {
        case .credentials:
            return .refused(refusal, command: probe.name)
        case .busy, .loading:
            postponed = postponed ?? refusal
            return nil
        case .permission, .masterDown, .misconfigured, .other:
            break
        }
        switch probe {
        case .authenticate:
            // Redis 6 and later: "-ERR AUTH <password> called without any password configured for the default user"; Redis 5:
            // "-ERR Client sent AUTH, but no password is set". Such a node lets everybody in.
            let lowered = PeerText.clean(text).lowercased()
            guard lowered.contains("without any password") || lowered.contains("no password is set") else {
                return .refused(refusal, command: probe.name)
            }
            hasNoPassword = true
            return nil
        case .serverInfo:
            return .refused(refusal, command: probe.name)
        case .databases:
            return nil
        case .commands:
            commandsRefusal = PeerText.clean(text)
            return nil
        case .role, .ping, .replicationInfo:
            preconditionFailure("\(probe.name) is no part of the greeting")
        }
    }
}

extension RoundReport {
    /// Notes one answer. An action means that the connection can't go on.
    fileprivate mutating func take(_ reply: RESPValue, to probe: Probe, elapsed: UInt64) -> NodeLink.Action? {
        if probe == .ping { latencyNanoseconds = elapsed }
        if case .error(let text) = reply {
            let refusal = Refusal(text)
            if case .credentials = refusal { return .refused(refusal, command: probe.name) }
            note(refusal, of: probe.name)
            return nil
        }
        switch probe {
        case .ping:
            guard reply.text == "PONG" else { return .broken("answered PING with something else than PONG") }
        case .role:
            guard let role = RoleReport(reply) else { return .broken("answered ROLE with an unknown shape") }
            self.role = role
        case .replicationInfo:
            guard let text = reply.bytes else { return .broken("answered INFO with something else than text") }
            replication = ReplicationReport(InfoFields(text))
        case .authenticate, .serverInfo, .databases, .commands:
            preconditionFailure("\(probe.name) is no part of a round")
        }
        return nil
    }
}
