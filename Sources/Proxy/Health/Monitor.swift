import Wire

/// Health checks and role confirmation of all nodes: a core without I/O, driven by the control loop.
package struct Monitor {
    /// What the driver must carry out, in order (`connect`, `close`, `log`). The driver empties it.
    package var effects: [Effect] = []
    /// Bytes to send; the driver empties it.
    package var outgoing: [(LinkID, [UInt8])] = []

    package init(options: ProxyOptions, seed: UInt64, now: Instant) {}

    package mutating func connected(_ link: LinkID, now: Instant) {}
    package mutating func connectFailed(_ link: LinkID, reason: String, now: Instant) {}
    package mutating func received(_ link: LinkID, bytes: UnsafeRawBufferPointer, now: Instant) {}
    package mutating func closed(_ link: LinkID, reason: String, now: Instant) {}
    package mutating func tick(now: Instant) {}
    package var nextWake: Instant { .never }

    /// The options changed while running.
    package mutating func apply(_ options: ProxyOptions, now: Instant) {}

    /// A new snapshot if anything that a worker acts on, or reports, changed since the last call.
    package mutating func takeTopology() -> Topology? { nil }
    /// The newest picture with offsets and latencies, for PROXY TOPOLOGY and the metrics.
    package var currentTopology: Topology { Topology() }
}
