/// Finds command names, whatever their case, without allocating or counting references: open addressing over memory of its own.
///
/// A name of up to 24 bytes is three words, loaded so that they may overlap; together with the length they tell the name
/// exactly. A longer one has its first 16 and last 8 bytes in the words and is compared in full after they match. Subcommands
/// live in the same table, told apart by their container.
package struct NameIndex: ~Copyable, @unchecked Sendable {
    /// Longer names are in no table.
    package static let maximumNameLength = 64
    @usableFromInline static let maximumWordsLength = 24

    @usableFromInline
    struct Slot {
        @usableFromInline var words: Words
        /// Length in the low 8 bits, container + 1 above; 0 in an empty slot.
        @usableFromInline var tag: UInt32
        @usableFromInline var index: Int32

        init(words: Words, tag: UInt32, index: Int32) {
            self.words = words
            self.tag = tag
            self.index = index
        }
    }

    @usableFromInline
    struct Words: Equatable {
        @usableFromInline var first: UInt64
        @usableFromInline var second: UInt64
        @usableFromInline var third: UInt64

        /// The words of a name of 1 to `maximumNameLength` bytes, its ASCII letters in lower case.
        @inlinable
        init(_ name: UnsafePointer<UInt8>, _ length: Int) {
            let bytes = UnsafeRawPointer(name)
            second = 0
            third = 0
            if length >= 8 {
                first = Self.lowercased(bytes.loadUnaligned(as: UInt64.self))
                let last = Self.lowercased(bytes.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self))
                if length >= 16 {
                    second = Self.lowercased(bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                    third = last
                } else {
                    second = last
                }
            } else if length >= 4 {
                let low = UInt64(bytes.loadUnaligned(as: UInt32.self))
                let high = UInt64(bytes.loadUnaligned(fromByteOffset: length - 4, as: UInt32.self))
                first = Self.lowercased(low | high << 32)
            } else {
                first = Self.lowercased(UInt64(name[0]) | UInt64(name[length >> 1]) << 8 | UInt64(name[length - 1]) << 16)
            }
        }

        /// Eight bytes with `A` to `Z` made lower case, all others kept: carries out of the low seven bits mark the range.
        @inlinable
        static func lowercased(_ word: UInt64) -> UInt64 {
            let lowSeven = word & 0x7f7f_7f7f_7f7f_7f7f
            let fromA = lowSeven &+ 0x3f3f_3f3f_3f3f_3f3f
            let aboveZ = lowSeven &+ 0x2525_2525_2525_2525
            let isUpper = (fromA ^ aboveZ) & ~word & 0x8080_8080_8080_8080
            return word | isUpper >> 2
        }

        /// Three products that don't wait for each other, and one that mixes them; the high bits are the best.
        @inlinable
        func hash(_ tag: UInt32) -> UInt64 {
            let mixed = (first ^ UInt64(tag) << 40) &+ second &* 0xc2b2_ae3d_27d4_eb4f &+ third &* 0x1656_67b1_9e37_79f9
            return (mixed ^ mixed >> 29) &* 0x9e37_79b9_7f4a_7c15
        }
    }

    @usableFromInline let slots: UnsafeMutablePointer<Slot>
    @usableFromInline let mask: Int
    /// Leaves as many high bits of a hash as the mask has.
    @usableFromInline let shift: UInt64
    /// All names in lower case, `maximumNameLength` bytes each, by index.
    @usableFromInline let names: UnsafeMutablePointer<UInt8>

    /// Names by index, each with the index of its container or -1. Names are unique within their container and hold 1 to
    /// `maximumNameLength` bytes.
    package init(_ entries: [(name: [UInt8], container: Int)]) {
        precondition(entries.count < 1 << 16, "too many names")
        var capacity = 16
        while capacity < entries.count * 2 { capacity *= 2 }
        slots = .allocate(capacity: capacity)
        slots.initialize(repeating: Slot(words: Words([0], 1), tag: 0, index: -1), count: capacity)
        mask = capacity - 1
        shift = UInt64(64 - capacity.trailingZeroBitCount)
        names = .allocate(capacity: max(entries.count, 1) * Self.maximumNameLength)
        names.initialize(repeating: 0, count: max(entries.count, 1) * Self.maximumNameLength)
        for (index, entry) in entries.enumerated() {
            insert(entry.name, container: entry.container, index: index)
        }
    }

    deinit {
        slots.deallocate()
        names.deallocate()
    }

    private func insert(_ name: [UInt8], container: Int, index: Int) {
        precondition(1...Self.maximumNameLength ~= name.count, "a command's name has \(name.count) bytes")
        precondition(
            name.withUnsafeBufferPointer { find($0.baseAddress!, name.count, container: container) } < 0, "a name comes twice")
        let target = names + index * Self.maximumNameLength
        for (offset, byte) in name.enumerated() { target[offset] = Self.lowercased(byte) }
        let words = Words(target, name.count)
        let tag = Self.tag(length: name.count, container: container)
        var place = Int(truncatingIfNeeded: words.hash(tag) &>> shift)
        while slots[place].tag != 0 { place = (place + 1) & mask }
        slots[place] = Slot(words: words, tag: tag, index: Int32(index))
    }

    @inlinable
    static func tag(length: Int, container: Int) -> UInt32 {
        UInt32(truncatingIfNeeded: (container + 1) << 8 | length)
    }

    @inlinable
    static func lowercased(_ byte: UInt8) -> UInt8 {
        byte &- 0x41 < 26 ? byte | 0x20 : byte
    }

    /// The index of that name within `container` (-1: at the top), or -1.
    @inlinable
    package func find(_ name: UnsafePointer<UInt8>, _ length: Int, container: Int) -> Int {
        guard length > 0, length <= Self.maximumNameLength else { return -1 }
        let words = Words(name, length)
        let tag = Self.tag(length: length, container: container)
        var place = Int(truncatingIfNeeded: words.hash(tag) &>> shift)
        while slots[place].tag != 0 {
            if slots[place].tag == tag, slots[place].words == words {
                let index = Int(slots[place].index)
                if length <= Self.maximumWordsLength || isSame(name, length, index) { return index }
            }
            place = (place + 1) & mask
        }
        return -1
    }

    @usableFromInline
    func isSame(_ name: UnsafePointer<UInt8>, _ length: Int, _ index: Int) -> Bool {
        let known = names + index * Self.maximumNameLength
        return (0..<length).allSatisfy { Self.lowercased(name[$0]) == known[$0] }
    }
}
