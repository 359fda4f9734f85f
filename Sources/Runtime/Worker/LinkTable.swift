import Wire

/// What a worker's driver knows of one link.
struct LinkFlags: OptionSet {
    let rawValue: UInt16

    /// The slot is taken, possibly before there is a descriptor (a name is being resolved).
    static let taken = LinkFlags(rawValue: 1 << 0)
    /// `connect` was called and its outcome is not known.
    static let connecting = LinkFlags(rawValue: 1 << 1)
    /// A client: counted against `maxclients`.
    static let accepted = LinkFlags(rawValue: 1 << 2)
    /// There may be bytes to read: set by an edge, cleared by a read that emptied the socket.
    static let readable = LinkFlags(rawValue: 1 << 3)
    /// Stands in the list of links to read.
    static let listed = LinkFlags(rawValue: 1 << 4)
    /// The core handed out no read space and will say `.resumeReading`.
    static let refused = LinkFlags(rawValue: 1 << 5)
    /// The socket took less than was offered; the next edge to write goes to the core.
    static let sendBlocked = LinkFlags(rawValue: 1 << 6)
    /// The peer has finished sending, so a short read must be followed by another.
    static let finished = LinkFlags(rawValue: 1 << 7)
    /// Nothing can be sent any more, and once the rest is read the link is closed.
    static let broken = LinkFlags(rawValue: 1 << 8)
    /// Bytes came in, and none went out since.
    static let owesReply = LinkFlags(rawValue: 1 << 9)
    /// The peer finished sending right after a request; kept open a little for the reply.
    static let lingering = LinkFlags(rawValue: 1 << 10)
}

struct LinkEntry {
    /// -1 while there is none.
    var descriptor: Int32 = -1
    var generation: UInt32 = 0
    var flags: LinkFlags = []
    /// Monotonic nanoseconds of the turn in which bytes last arrived.
    var lastReceived: UInt64 = 0
}

/// Links by slot in memory that never moves except to grow. A stale identifier (an event for a connection that is gone, whose slot
/// or descriptor serves another by now) finds nothing.
struct LinkTable: ~Copyable {
    /// A core that hands out a slot past this has lost count.
    static let slotLimit = 1 << 22

    private var entries: UnsafeMutablePointer<LinkEntry>
    private var capacity: Int

    init(capacity: Int = 256) {
        precondition(capacity > 0)
        entries = .allocate(capacity: capacity)
        entries.initialize(repeating: LinkEntry(), count: capacity)
        self.capacity = capacity
    }

    deinit { entries.deallocate() }

    /// The link's entry, valid until the next `insert`; nil when the link is not, or no longer, in the table.
    @inline(__always)
    func find(_ link: LinkID) -> UnsafeMutablePointer<LinkEntry>? {
        let slot = Int(link.slot)
        guard slot < capacity else { return nil }
        let entry = entries + slot
        guard entry.pointee.generation == link.generation, entry.pointee.flags.contains(.taken) else { return nil }
        return entry
    }

    /// Takes the link's slot, which must be free.
    mutating func insert(_ link: LinkID, descriptor: Int32, flags: LinkFlags) {
        let slot = Int(link.slot)
        precondition(slot < Self.slotLimit, "link slot out of range")
        if slot >= capacity { grow(to: slot + 1) }
        precondition(!entries[slot].flags.contains(.taken), "link slot is in use")
        entries[slot] = LinkEntry(descriptor: descriptor, generation: link.generation, flags: flags.union(.taken))
    }

    func remove(_ link: LinkID) {
        guard let entry = find(link) else { return }
        entry.pointee.flags = []
        entry.pointee.descriptor = -1
    }

    private mutating func grow(to needed: Int) {
        var larger = capacity
        while larger < needed { larger *= 2 }
        let moved = UnsafeMutablePointer<LinkEntry>.allocate(capacity: larger)
        moved.moveInitialize(from: entries, count: capacity)
        (moved + capacity).initialize(repeating: LinkEntry(), count: larger - capacity)
        entries.deallocate()
        entries = moved
        capacity = larger
    }
}
