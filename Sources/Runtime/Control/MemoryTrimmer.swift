import CLinux
import Wire

/// Gives memory that `malloc` keeps after a peak of buffers back to the kernel, which it does not do by itself for anything but the
/// end of its heaps. Trimming holds an arena's lock for a moment, so it is done only when it is worth it.
struct MemoryTrimmer {
    static let checkMilliseconds = 10_000
    /// Resident bytes beyond what is allocated from which on trimming pays.
    static let worthwhileBytes = 64 << 20

    private(set) var nextCheck = Instant(nanoseconds: 0)

    /// Looks once per interval; the bytes that were given back, or nil if nothing was worth it.
    mutating func trim(now: Instant) -> Int? {
        guard nextCheck <= now else { return nil }
        nextCheck = now.adding(milliseconds: Self.checkMilliseconds)
        let before = ProcessFigures.residentBytes()
        guard before - Int(switchyard_allocated_bytes()) > Self.worthwhileBytes else { return nil }
        _ = switchyard_trim_memory()
        return max(before - ProcessFigures.residentBytes(), 0)
    }
}
