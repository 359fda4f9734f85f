import Glibc

/// Bytes that wait for a socket to take them. For control traffic, where a copy costs nothing that matters.
struct PendingBytes {
    private var bytes: [UInt8] = []
    private var sentCount = 0

    enum Outcome: Equatable {
        case allSent
        /// The socket is full; an edge to write tells when to go on.
        case waiting
        /// The `errno` of the connection that broke.
        case failed(Int32)
    }

    init(_ bytes: [UInt8] = []) {
        self.bytes = bytes
    }

    mutating func append(_ more: [UInt8]) {
        bytes += more
    }

    mutating func send(to descriptor: Int32) -> Outcome {
        while sentCount < bytes.count {
            let result = bytes.withUnsafeBytes { all in
                SystemCalls.send(descriptor, UnsafeRawBufferPointer(rebasing: all[sentCount...]))
            }
            if result == -Int(EAGAIN) { return .waiting }
            if result < 0 { return .failed(Int32(-result)) }
            sentCount += result
        }
        bytes.removeAll(keepingCapacity: true)
        sentCount = 0
        return .allSent
    }
}
