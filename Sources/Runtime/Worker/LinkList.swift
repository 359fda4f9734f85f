import Wire

/// A list of links in manual memory, walked and compacted in place.
struct LinkList: ~Copyable {
    private var words: UnsafeMutablePointer<UInt64>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 256) {
        precondition(capacity > 0)
        words = .allocate(capacity: capacity)
        self.capacity = capacity
    }

    deinit { words.deallocate() }

    var isEmpty: Bool {
        @inline(__always) get { count == 0 }
    }

    @inline(__always)
    mutating func append(_ link: LinkID) {
        if count == capacity { grow() }
        words[count] = link.word
        count += 1
    }

    @inline(__always)
    subscript(index: Int) -> LinkID {
        get {
            precondition(index < count)
            return LinkID(word: words[index])
        }
        set {
            precondition(index < count)
            words[index] = newValue.word
        }
    }

    /// Drops entries from `start` up to `end`, moving down what was appended after them.
    mutating func drop(from start: Int, to end: Int) {
        precondition(start <= end && end <= count)
        guard start < end else { return }
        (words + start).update(from: words + end, count: count - end)
        count -= end - start
    }

    private mutating func grow() {
        let larger = UnsafeMutablePointer<UInt64>.allocate(capacity: capacity * 2)
        larger.moveInitialize(from: words, count: count)
        words.deallocate()
        words = larger
        capacity *= 2
    }
}
