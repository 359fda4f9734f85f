/// A point on the monotonic clock, in nanoseconds since an arbitrary start. Cores never read a clock: the driver passes `now` in.
package struct Instant: Comparable, Hashable, Sendable {
    package var nanoseconds: UInt64

    @inlinable
    package init(nanoseconds: UInt64) {
        self.nanoseconds = nanoseconds
    }

    /// Later than every instant a driver will ever report.
    package static let never = Instant(nanoseconds: .max)

    @inlinable
    package static func < (left: Instant, right: Instant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }

    // Spelled out, since Comparable's own are generic calls from another module.
    @inlinable
    package static func <= (left: Instant, right: Instant) -> Bool {
        left.nanoseconds <= right.nanoseconds
    }

    @inlinable
    package static func > (left: Instant, right: Instant) -> Bool {
        left.nanoseconds > right.nanoseconds
    }

    @inlinable
    package static func >= (left: Instant, right: Instant) -> Bool {
        left.nanoseconds >= right.nanoseconds
    }

    /// This instant moved by `milliseconds`, saturating at the ends of the clock.
    @inlinable
    package func adding(milliseconds: Int) -> Instant {
        guard milliseconds >= 0 else {
            let back = UInt64(-milliseconds) * 1_000_000
            return Instant(nanoseconds: nanoseconds > back ? nanoseconds - back : 0)
        }
        let (sum, overflow) = nanoseconds.addingReportingOverflow(UInt64(milliseconds) * 1_000_000)
        return overflow ? .never : Instant(nanoseconds: sum)
    }

    /// Nanoseconds from `earlier` to here; 0 when `earlier` is not earlier.
    @inlinable
    package func nanoseconds(since earlier: Instant) -> UInt64 {
        nanoseconds > earlier.nanoseconds ? nanoseconds - earlier.nanoseconds : 0
    }

    /// Whole milliseconds from `earlier` to here; 0 when `earlier` is not earlier.
    @inlinable
    package func milliseconds(since earlier: Instant) -> Int {
        Int(nanoseconds(since: earlier) / 1_000_000)
    }
}
