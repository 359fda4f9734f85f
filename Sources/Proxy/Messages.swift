import Wire

/// Names an event loop of the process: the control loop, or a worker by index.
package struct LoopID: Hashable, Sendable {
    package var index: Int
    package init(index: Int) { self.index = index }
    /// Health checks, metrics, signals and configuration.
    package static let control = LoopID(index: -1)
}

/// What one event loop may send another. Every payload is a value: nothing is shared.
package enum Message: Sendable {
    /// From the control loop: what the nodes look like now.
    case topology(Topology)
    /// From the control loop: the options changed (SIGHUP or PROXY CONFIG SET).
    case options(ProxyOptions)
    /// From the control loop: stop accepting, let every client finish what it has asked for, then close it.
    case drain
    /// Asks the receiver something; the answer goes to `from` and carries the same number.
    case question(Question, number: UInt64, from: LoopID)
    case answer(Answer, number: UInt64, from: LoopID)
    /// To the control loop: a node's answer does not fit its supposed role, so look at all of them now.
    case suspicion
}

/// Something that one loop has to ask the others, since it owns only its own clients.
package enum Question: Sendable {
    /// Worker: its counters. Answer: `.statistics`.
    case statistics
    /// Worker: CLIENT LIST lines of its matching clients. Answer: `.text`.
    case clientList(ClientFilter)
    /// Worker: CLIENT KILL. Answer: `.count` of clients closed.
    case clientKill(ClientFilter)
    /// Worker: CLIENT UNBLOCK of its client with that id. Answer: `.count` 0 or 1.
    case clientUnblock(clientID: UInt64, withError: Bool)
    /// Worker: CLIENT PAUSE until the instant. Answer: `.count(0)`.
    case clientPause(until: Instant, writesOnly: Bool)
    /// Worker: CLIENT UNPAUSE. Answer: `.count(0)`.
    case clientUnpause
    /// Worker: the id that the master knows that client's private connection by. Answer: `.count`, 0 if there is no such client.
    case clientUpstreamID(clientID: UInt64)
    /// Control: PROXY CONFIG GET; glob patterns. Answer: `.pairs`.
    case configGet(patterns: [String])
    /// Control: PROXY CONFIG SET. Answer: `.none` or `.failure` with a text fit for an error reply.
    case configSet([Pair])
    /// Control: the newest topology with all of its detail. Answer: `.topology`.
    case topologyDetail

    package struct Pair: Sendable, Hashable {
        package var name: String
        package var value: String
        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }
}

package enum Answer: Sendable {
    case none
    case count(Int)
    case text([UInt8])
    case pairs([Question.Pair])
    case statistics(Statistics)
    case topology(Topology)
    case failure(String)
}

/// Which clients CLIENT LIST or CLIENT KILL means. A nil field matches all.
package struct ClientFilter: Sendable, Hashable {
    package var ids: [UInt64]?
    package var address: String?
    package var localAddress: String?
    package var user: String?
    /// `normal`, `pubsub`, `master`, `replica`.
    package var kind: String?
    /// Client not to match (SKIPME yes).
    package var except: UInt64?
    /// Milliseconds a client must at least have been connected.
    package var minimumAgeSeconds: Int?

    package init() {}
}

/// What a core asks its driver to do, besides sending the bytes that `Worker.output` offers.
package enum Effect: Sendable {
    /// Open a connection to a node; answered by `connected` or `connectFailed`.
    case connect(LinkID, Endpoint)
    /// Close at once; unsent bytes are dropped. The core has already forgotten the link.
    case close(LinkID)
    /// Reading of this link was refused (an empty `readSpace`) and is wanted again.
    case resumeReading(LinkID)
    case post(Message, to: LoopID)
    case log(LogLevel, String)
}
