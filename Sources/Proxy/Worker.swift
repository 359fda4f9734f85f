import Wire

/// The proxy's data path for one thread: clients, connections to nodes, and everything in between. A core without I/O.
///
/// The driver's turn: for each readable link `readSpace`, read into it, `received`; for each closed one `closed`; then `endTurn`;
/// then for each link from `nextDirty` until nil: `output`, send, `sent`; then carry out and clear `effects`. The memory that
/// `readSpace` and `output` hand out is valid until the next call into the worker for that link; read space stays valid to the
/// end of the turn, since output may refer to it.
package final class Worker {
    /// What the driver must carry out, in order. The driver empties it.
    package var effects: [Effect] = []

    package init(index: LoopID, workerCount: Int, options: ProxyOptions, topology: Topology, seed: UInt64, now: Instant) {}

    /// The clock of this turn; the driver sets it once after waiting. Wall clock in milliseconds since 1970 goes with it.
    package func beginTurn(now: Instant, wallClockMilliseconds: Int64) {}

    /// A client connected. `clientID` is unique in the process and grows. `address` is `ip:port`, or `path:0` for a Unix socket.
    package func accepted(clientID: UInt64, address: String, localAddress: String, isLoopback: Bool) -> LinkID { LinkID(slot: 0, generation: 0) }

    /// A connection asked for with `.connect` is open; or it is not.
    package func connected(_ link: LinkID) {}
    package func connectFailed(_ link: LinkID, reason: String) {}

    /// Where the next bytes of this link go; empty while the worker wants none (the driver then remembers that the link may be
    /// readable and waits for `.resumeReading`).
    package func readSpace(_ link: LinkID) -> UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(start: nil, count: 0) }
    package func received(_ link: LinkID, count: Int) {}

    /// The peer closed its side or the connection failed; nothing more will come. The driver has closed the descriptor, and the
    /// link's identifier is dead on return.
    package func closed(_ link: LinkID, reason: String) {}

    /// Everything that was readable has been handed in: decide what is to be sent.
    package func endTurn() {}

    /// The next link with bytes to send, or nil. A link whose socket was full is offered again when the driver says `writable`.
    package func nextDirty() -> LinkID? { nil }
    /// Up to `capacity` stretches to send in order; returns how many were filled in. 0 when the link is gone or has nothing.
    package func output(_ link: LinkID, into stretches: UnsafeMutablePointer<UnsafeRawBufferPointer>, capacity: Int) -> Int { 0 }
    /// `count` bytes of what `output` offered were taken by the socket. Fewer than offered means that the socket is full.
    package func sent(_ link: LinkID, count: Int) {}
    /// The socket of a link that was full takes bytes again.
    package func writable(_ link: LinkID) {}

    package func receive(_ message: Message) {}

    /// Timers. The driver calls it when `nextWake` has come, at the latest.
    package func tick() {}
    package var nextWake: Instant { .never }

    /// True once `.drain` was received and the last client is gone.
    package var isDrained: Bool { false }
    /// Distinct clients that sent something since this was last asked; the driver's batching goes by it.
    package func takeActiveClients() -> Int { 0 }
}
