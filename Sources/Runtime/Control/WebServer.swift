import Proxy
import Wire

/// What the metrics port has open: connections, and rounds of questions to the workers. Plain state; `ControlLoop+Web` acts on it.
struct WebServer {
    static let connectionLimit = 64
    /// For a whole request to arrive, and again for the answer to be taken.
    static let patienceMilliseconds = 5_000
    /// For all workers to answer.
    static let answerMilliseconds = 2_000

    struct Connection {
        enum State {
            case reading(HTTPRequestParser)
            /// For the round of that number.
            case waiting(UInt64)
            case writing(PendingBytes)
        }

        let descriptor: Int32
        var state: State
        var deadline: Instant
        var wantsHeadOnly = false
    }

    /// One question to every worker on behalf of one connection.
    struct Round {
        enum Purpose { case metrics, health }

        let purpose: Purpose
        let connection: UInt32
        let deadline: Instant
        var waitingFor: Set<Int>
        var statistics: [Statistics] = []
    }

    let listeners: [Int32]
    var connections: [UInt32: Connection] = [:]
    var rounds: [UInt64: Round] = [:]
    private var lastKey: UInt32 = 0
    private var lastNumber: UInt64 = 0

    init(listeners: [Int32]) {
        self.listeners = listeners
    }

    /// Never reused while the process lives as far as that matters: a stale event finds no connection.
    mutating func nextKey() -> UInt32 {
        lastKey &+= 1
        return lastKey
    }

    mutating func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    var nextDeadline: Instant {
        var deadline = Instant.never
        for connection in connections.values { deadline = min(deadline, connection.deadline) }
        for round in rounds.values { deadline = min(deadline, round.deadline) }
        return deadline
    }
}
