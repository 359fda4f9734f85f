import CLinux
import Wire

/// The machine's clocks. Only loops read them; cores are told.
enum Clock {
    @inline(__always)
    static var now: Instant { Instant(nanoseconds: switchyard_monotonic_nanoseconds()) }

    /// Milliseconds since 1970.
    @inline(__always)
    static var wallMilliseconds: Int64 { switchyard_wall_milliseconds() }

    /// Blocks this thread. A signal may cut it short, which no caller minds.
    @inline(__always)
    static func sleep(nanoseconds: UInt64) { _ = switchyard_sleep(nanoseconds) }

    /// Lets short sleeps of this thread end when they should rather than up to 50 microseconds later.
    static func sharpenTimers() { _ = switchyard_set_timer_slack(1) }

    /// Milliseconds to wait from `now` so as not to wake before `wake`; -1 for ever, at most an hour otherwise.
    static func waitMilliseconds(from now: Instant, to wake: Instant) -> Int32 {
        if wake == .never { return -1 }
        let nanoseconds = wake.nanoseconds(since: now)
        return Int32(min((nanoseconds + 999_999) / 1_000_000, 3_600_000))
    }
}
