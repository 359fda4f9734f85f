import Synchronization

/// Clients over all threads: their number, against `maxclients`, and their ids.
final class ClientCounter: Sendable {
    private let connected = Atomic<Int>(0)
    private let lastID = Atomic<UInt64>(0)
    private let rejected = Atomic<UInt64>(0)

    /// Counts one more client, or refuses because there are `limit` already.
    func admit(limit: Int) -> Bool {
        if connected.add(1, ordering: .relaxed).newValue <= limit { return true }
        connected.subtract(1, ordering: .relaxed)
        rejected.add(1, ordering: .relaxed)
        return false
    }

    func leave() {
        let left = connected.subtract(1, ordering: .relaxed).newValue
        precondition(left >= 0, "more clients left than came")
    }

    /// Unique in the process and growing; the first is 1.
    func nextID() -> UInt64 { lastID.add(1, ordering: .relaxed).newValue }

    /// Clients turned away for `maxclients` since the start.
    var rejectedCount: UInt64 { rejected.load(ordering: .relaxed) }
}
