/// Names one connection of one event loop: a slot in its tables and the generation of that slot, so that an event that was queued
/// for a closed connection can't reach the connection that took its slot.
package struct LinkID: Hashable, Sendable {
    package var slot: UInt32
    package var generation: UInt32

    @inlinable
    package init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }

    /// Both halves in one word, as epoll's user data carries them.
    @inlinable
    package var word: UInt64 { UInt64(generation) << 32 | UInt64(slot) }

    @inlinable
    package init(word: UInt64) {
        slot = UInt32(truncatingIfNeeded: word)
        generation = UInt32(truncatingIfNeeded: word >> 32)
    }
}

/// Where a node listens: a host name or address and a TCP port.
package struct Endpoint: Hashable, Sendable, CustomStringConvertible {
    package var host: String
    package var port: Int

    package init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// `host:port`, with an IPv6 host in brackets.
    package var description: String { host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
