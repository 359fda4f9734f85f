/// A growable first-in first-out run of bytes, always contiguous, that owns its memory.
///
/// Memory is taken on the first append and given back as soon as the queue is empty and larger than `keptCapacity`, so that one
/// large value does not stay behind in every connection it has passed through.
package struct ByteQueue: ~Copyable {
    /// An empty queue keeps at most this many bytes of memory.
    package let keptCapacity: Int

    @usableFromInline
    var base: UnsafeMutableRawPointer?
    @usableFromInline
    var capacityValue = 0
    @usableFromInline
    var head = 0
    @usableFromInline
    var tail = 0

    @inlinable
    package init(keeping keptCapacity: Int = 4096) {
        self.keptCapacity = keptCapacity
    }

    @inlinable
    deinit {
        base?.deallocate()
    }

    /// Bytes held.
    @inlinable
    package var count: Int { tail - head }
    @inlinable
    package var isEmpty: Bool { tail == head }
    /// Bytes of memory taken, used or not.
    @inlinable
    package var capacity: Int { capacityValue }

    /// The first byte; only meaningful while the queue is not empty, and only until the next mutation.
    @inlinable
    package var bytes: UnsafeMutablePointer<UInt8> {
        base.unsafelyUnwrapped.assumingMemoryBound(to: UInt8.self) + head
    }

    @inlinable
    package var buffer: UnsafeRawBufferPointer {
        isEmpty ? UnsafeRawBufferPointer(start: nil, count: 0) : UnsafeRawBufferPointer(start: bytes, count: count)
    }

    @inlinable
    package mutating func append(_ source: UnsafeRawPointer, _ length: Int) {
        guard length > 0 else { return }
        if capacityValue - tail < length { makeRoom(length) }
        (base.unsafelyUnwrapped + tail).copyMemory(from: source, byteCount: length)
        tail += length
    }

    @inlinable
    package mutating func append(_ source: [UInt8]) {
        source.withUnsafeBytes { raw in
            if let start = raw.baseAddress { append(start, raw.count) }
        }
    }

    package mutating func append(_ source: StaticString) {
        append(source.utf8Start, source.utf8CodeUnitCount)
    }

    /// At least `length` writable bytes after the last one; what was written is added with `commit`.
    @inlinable
    package mutating func space(_ length: Int) -> UnsafeMutableRawBufferPointer {
        if capacityValue - tail < length { makeRoom(length) }
        return UnsafeMutableRawBufferPointer(start: base.unsafelyUnwrapped + tail, count: capacityValue - tail)
    }

    @inlinable
    package mutating func commit(_ length: Int) {
        precondition(length >= 0 && tail + length <= capacityValue)
        tail += length
    }

    /// Drops the first `length` bytes.
    @inlinable
    package mutating func consume(_ length: Int) {
        precondition(length >= 0 && length <= count)
        head += length
        if head == tail { reset() }
    }

    /// Drops all but the first `length` bytes.
    package mutating func truncate(_ length: Int) {
        precondition(length >= 0 && length <= count)
        tail = head + length
        if head == tail { reset() }
    }

    @inlinable
    package mutating func removeAll() {
        head = tail
        reset()
    }

    @inlinable
    mutating func reset() {
        head = 0
        tail = 0
        if capacityValue > keptCapacity { release() }
    }

    @usableFromInline
    mutating func release() {
        base?.deallocate()
        base = nil
        capacityValue = 0
    }

    @usableFromInline
    @inline(never)
    mutating func makeRoom(_ length: Int) {
        let held = count
        if let base, held + length <= capacityValue, head >= capacityValue / 2 {
            base.copyMemory(from: base + head, byteCount: held)
        } else {
            var wanted = max(512, capacityValue)
            while wanted < held + length { wanted += max(wanted / 2, 512) }
            let fresh = UnsafeMutableRawPointer.allocate(byteCount: wanted, alignment: 16)
            if let base {
                fresh.copyMemory(from: base + head, byteCount: held)
                base.deallocate()
            }
            base = fresh
            capacityValue = wanted
        }
        head = 0
        tail = held
    }
}
