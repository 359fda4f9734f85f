import Wire

/// All connections of one worker by slot, clients and nodes alike. Slots are reused; generations tell old events from new ones.
struct LinkTable: ~Copyable {
    struct Slot {
        var generation: UInt32 = 0
        var session: SessionPointer?
        var connection: ConnectionPointer?
    }

    private(set) var slots: UnsafeMutablePointer<Slot>
    private(set) var count = 0
    private var capacity = 256
    private var free: [UInt32] = []
    /// Given back in this turn: the driver may not have closed their descriptors yet.
    private var resting: [UInt32] = []

    init() {
        slots = .allocate(capacity: capacity)
    }

    deinit {
        slots.deallocate()
    }

    /// The driver has carried out all effects: slots that were given back may be used again.
    mutating func recycle() {
        guard !resting.isEmpty else { return }
        free.append(contentsOf: resting)
        resting.removeAll(keepingCapacity: true)
    }

    mutating func take() -> LinkID {
        if let slot = free.popLast() {
            return LinkID(slot: slot, generation: slots[Int(slot)].generation)
        }
        if count == capacity {
            let fresh = UnsafeMutablePointer<Slot>.allocate(capacity: capacity * 2)
            fresh.moveInitialize(from: slots, count: count)
            slots.deallocate()
            slots = fresh
            capacity *= 2
        }
        (slots + count).initialize(to: Slot())
        count += 1
        return LinkID(slot: UInt32(count - 1), generation: 0)
    }

    mutating func bind(_ link: LinkID, _ session: SessionPointer) {
        slots[Int(link.slot)].session = session
    }

    mutating func bind(_ link: LinkID, _ connection: ConnectionPointer) {
        slots[Int(link.slot)].connection = connection
    }

    mutating func give(_ link: LinkID) {
        let slot = Int(link.slot)
        precondition(slots[slot].generation == link.generation, "a link is given back once")
        slots[slot].generation &+= 1
        slots[slot].session = nil
        slots[slot].connection = nil
        resting.append(link.slot)
    }

    @inline(__always)
    func session(_ link: LinkID) -> SessionPointer? {
        guard link.slot < count, slots[Int(link.slot)].generation == link.generation else { return nil }
        return slots[Int(link.slot)].session
    }

    @inline(__always)
    func connection(_ link: LinkID) -> ConnectionPointer? {
        guard link.slot < count, slots[Int(link.slot)].generation == link.generation else { return nil }
        return slots[Int(link.slot)].connection
    }
}

/// A growable stack of links in manual memory.
struct LinkStack: ~Copyable {
    private var base: UnsafeMutablePointer<LinkID>
    private(set) var count = 0
    private var capacity = 64

    init() {
        base = .allocate(capacity: capacity)
    }

    deinit {
        base.deallocate()
    }

    @inline(__always)
    mutating func push(_ link: LinkID) {
        if count == capacity { grow() }
        base[count] = link
        count += 1
    }

    @inline(__always)
    mutating func pop() -> LinkID? {
        guard count > 0 else { return nil }
        count -= 1
        return base[count]
    }

    private mutating func grow() {
        let fresh = UnsafeMutablePointer<LinkID>.allocate(capacity: capacity * 2)
        fresh.moveInitialize(from: base, count: count)
        base.deallocate()
        base = fresh
        capacity *= 2
    }
}
