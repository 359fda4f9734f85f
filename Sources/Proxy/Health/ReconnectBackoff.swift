/// When to try a lost node again: exponential, with jitter so that several proxies do not come back in step.
struct ReconnectBackoff {
    static let shortestMilliseconds = 100
    static let longestMilliseconds = 5_000

    private var failures = 0

    /// Milliseconds to wait after one more failure: between half of the current ceiling and all of it.
    mutating func next(jitter: inout Jitter) -> Int {
        let ceiling = min(Self.longestMilliseconds, (2 * Self.shortestMilliseconds) << min(failures, 8))
        failures += 1
        return jitter.next(in: ceiling / 2...ceiling)
    }

    /// The node answered a full round: the next loss starts from the shortest wait again.
    mutating func reset() { failures = 0 }

    /// A small seeded generator (SplitMix64, Steele, Lea and Flood 2014): the same seed gives the same waits.
    struct Jitter {
        private var state: UInt64
        init(seed: UInt64) { state = seed }

        mutating func next(in range: ClosedRange<Int>) -> Int {
            state &+= 0x9E37_79B9_7F4A_7C15
            var word = state
            word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
            word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
            word ^= word >> 31
            return range.lowerBound + Int(word % UInt64(range.count))
        }
    }
}
