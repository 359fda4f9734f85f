import CLinux
import Glibc
import Wire

/// A listening socket as a worker uses it.
struct Listener: Sendable {
    /// Owned by the worker that it is given to; a shared one by the process.
    var descriptor: Int32
    /// Several workers accept from it (a Unix socket, of which there is one).
    var isShared: Bool
    /// The path of a Unix socket.
    var path: String?
}

/// A worker's listeners and what happens when descriptors run out.
struct Acceptor {
    /// Connections accepted from one listener per turn; the rest waits in the kernel for the next.
    static let acceptsPerTurn = 64
    /// How long nothing is accepted once even the spare descriptor did not help.
    static let pauseMilliseconds = 100
    /// Complaints about descriptors are logged once in this time.
    static let complaintMilliseconds = 1_000

    private(set) var listeners: [Listener]
    var clientLimit: Int
    /// Given up for a moment when `accept` has no descriptor left, so that the waiting client can be taken and turned away; left in
    /// the queue it would keep the listener readable and the loop spinning.
    var spare: Int32 = -1
    var isClosed = false
    /// When accepting goes on, while it is paused.
    var resumption: Instant?
    var nextComplaint = Instant(nanoseconds: 0)

    init(listeners: [Listener], clientLimit: Int) {
        self.listeners = listeners
        self.clientLimit = clientLimit
        openSpare()
    }

    var isPaused: Bool { resumption != nil }

    mutating func openSpare() {
        spare = Int32(SystemCalls.uninterrupted { Int(switchyard_open_read("/dev/null")) })
    }

    mutating func closeSpare() {
        if spare >= 0 { SystemCalls.close(spare) }
        spare = -1
    }

    /// Forgets the listeners, for good.
    mutating func close() -> [Listener] {
        isClosed = true
        resumption = nil
        defer { listeners = [] }
        return listeners
    }
}
