import Wire

/// What is counted for every request, in manual memory: an array's checks would cost more than the counting.
final class Counters {
    private static let classes = Statistics.CommandClass.allCases.count
    /// Buckets, the infinite one, sum and count.
    private static let row = Statistics.bucketCount + 3

    let requests: UnsafeMutablePointer<UInt64>
    private let byClass: UnsafeMutablePointer<UInt64>
    private let byNode: UnsafeMutablePointer<UInt64>

    init() {
        requests = .allocate(capacity: Self.classes)
        requests.initialize(repeating: 0, count: Self.classes)
        byClass = .allocate(capacity: Self.classes * Self.row)
        byClass.initialize(repeating: 0, count: Self.classes * Self.row)
        byNode = .allocate(capacity: Worker.maximumNodes * Self.row)
        byNode.initialize(repeating: 0, count: Worker.maximumNodes * Self.row)
    }

    deinit {
        requests.deallocate()
        byClass.deallocate()
        byNode.deallocate()
    }

    /// Records that `requests` requests took so long together.
    @inline(__always)
    func record(nanoseconds: UInt64, requests: Int32, commandClass: UInt8, node: Int) {
        let microseconds = nanoseconds / 1000
        // Bucket i ends at 2^i * 16 microseconds, itself included.
        let scaled = (microseconds + 15) / 16
        let bucket = scaled <= 1 ? 0 : min(Statistics.bucketCount, 64 - (scaled - 1).leadingZeroBitCount)
        let amount = UInt64(truncatingIfNeeded: requests)
        add(byClass + Int(commandClass) * Self.row, bucket, microseconds, amount)
        add(byNode + node * Self.row, bucket, microseconds, amount)
    }

    @inline(__always)
    private func add(
        _ row: UnsafeMutablePointer<UInt64>, _ bucket: Int, _ microseconds: UInt64, _ amount: UInt64
    ) {
        row[bucket] &+= amount
        row[Statistics.bucketCount + 1] &+= microseconds &* amount
        row[Statistics.bucketCount + 2] &+= amount
    }

    func histogram(ofClass index: Int) -> Statistics.Histogram { histogram(byClass + index * Self.row) }
    func histogram(ofNode index: Int) -> Statistics.Histogram { histogram(byNode + index * Self.row) }

    /// The slot belongs to another node from now on.
    func clear(node: Int) {
        (byNode + node * Self.row).update(repeating: 0, count: Self.row)
    }

    private func histogram(_ row: UnsafeMutablePointer<UInt64>) -> Statistics.Histogram {
        var histogram = Statistics.Histogram()
        for bucket in 0...Statistics.bucketCount { histogram.buckets[bucket] = row[bucket] }
        histogram.sumMicroseconds = row[Statistics.bucketCount + 1]
        histogram.count = row[Statistics.bucketCount + 2]
        return histogram
    }
}
