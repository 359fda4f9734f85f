import Wire

/// Decides when a worker should nap before it collects events. Under load from many clients a short nap lets more requests and
/// replies gather, so that one send carries several of them: fewer sends is what costs less. With few clients a nap would only add
/// latency, hence the measure is distinct clients, not events (HOTPATH: by event rate, ten busy clients lost 40 %).
struct TurnPacing {
    /// Distinct clients per window from which on napping pays.
    static let busyClients = 16
    /// Over which clients are counted.
    static let windowNanoseconds: UInt64 = 1_000_000
    /// How long one nap lasts.
    static let napNanoseconds: UInt64 = 100_000

    private var windowStart = Instant(nanoseconds: 0)
    private(set) var isBusy = false

    /// True when the window has passed: ask the core for its active clients and call `close`.
    @inline(__always)
    func isWindowOver(now: Instant) -> Bool {
        now.nanoseconds(since: windowStart) >= Self.windowNanoseconds
    }

    /// Ends the window and judges by it. A window that lasted longer, since the loop slept or a turn was long, needs as many more
    /// clients: what counts is how many were active per millisecond.
    mutating func close(activeClients: Int, now: Instant) {
        let elapsed = now.nanoseconds(since: windowStart)
        windowStart = now
        let needed = UInt64(Self.busyClients) * max(elapsed, Self.windowNanoseconds)
        isBusy = activeClients >= Self.busyClients && UInt64(activeClients) * Self.windowNanoseconds >= needed
    }

    /// Nanoseconds to nap before collecting events; 0 for none. Work left over from the last turn, or a timer that is due before
    /// the nap would end, must not wait.
    @inline(__always)
    func nap(hasPendingWork: Bool, now: Instant, nextWake: Instant) -> UInt64 {
        guard isBusy, !hasPendingWork else { return 0 }
        return nextWake.nanoseconds(since: now) > Self.napNanoseconds ? Self.napNanoseconds : 0
    }
}
