/// Follows a request that is too large to be held: counts it off as its bytes pass by, without keeping any.
///
/// Starts behind the part that `RequestParser` has seen. Stricter than Redis: every line and argument must end in CR LF, since
/// the bytes go to a server as they come and both must agree on where the request ends.
package struct RequestStream: Sendable {
    package enum Outcome: Sendable, Equatable {
        /// All `consumed` bytes belong to the request, which goes on.
        case unfinished
        /// The request ended with byte `consumed`.
        case finished
        /// The client can't be followed; text after `-ERR Protocol error: `.
        case malformed(String)
    }

    /// Arguments whose header has not been seen.
    private var remainingArguments: Int
    /// Bytes of the current argument still to come, its CR LF included.
    private var remainingBytes = 0
    /// The header line being read: its digits so far, or -1 between arguments.
    private var headerValue = -1
    private var headerLength = 0
    private let bulkLimit: Int

    /// - Parameter arguments: the array's length.
    package init(arguments: Int, bulkLimit: Int) {
        remainingArguments = arguments
        self.bulkLimit = bulkLimit
    }

    /// Takes `count` bytes of the request from behind the array header on, or from where the last call ended.
    package mutating func feed(_ bytes: UnsafePointer<UInt8>, _ count: Int, consumed: inout Int) -> Outcome {
        var index = 0
        defer { consumed = index }
        while true {
            if remainingBytes > 0 {
                let step = min(remainingBytes, count - index)
                // The last two bytes of an argument are its CR LF.
                if remainingBytes - step < 2 && !endsCleanly(bytes + index, step) {
                    return .malformed("expected CRLF after an argument")
                }
                remainingBytes -= step
                index += step
                if remainingBytes > 0 { return .unfinished }
            }
            if remainingArguments == 0 { return .finished }
            while true {
                guard index < count else { return .unfinished }
                let byte = bytes[index]
                index += 1
                if let problem = readHeader(byte) { return .malformed(problem) }
                if remainingBytes > 0 { break }
            }
        }
    }

    /// Whether the bytes at the end of this step that belong to the CR LF are the right ones.
    private func endsCleanly(_ bytes: UnsafePointer<UInt8>, _ step: Int) -> Bool {
        for offset in max(0, remainingBytes - 2)..<min(remainingBytes, max(step, 0)) {
            let expected = remainingBytes - offset == 2 ? UInt8(ascii: "\r") : UInt8(ascii: "\n")
            if bytes[offset] != expected { return false }
        }
        return true
    }

    /// Takes one byte of `$<length>\r\n`; sets `remainingBytes` behind the line feed.
    private mutating func readHeader(_ byte: UInt8) -> String? {
        defer { headerLength += 1 }
        if headerLength == 0 {
            guard byte == UInt8(ascii: "$") else {
                return "expected '$', got '\(Character(Unicode.Scalar(byte)))'"
            }
            headerValue = -1
            return nil
        }
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"):
            if headerValue == 0 || headerLength > 18 { return "invalid bulk length" }
            headerValue = max(headerValue, 0) * 10 + Int(byte - UInt8(ascii: "0"))
            return headerValue > bulkLimit ? "invalid bulk length" : nil
        case UInt8(ascii: "\r"):
            // Marked by a length that no digit may follow.
            if headerValue < 0 || headerLength >= 32 { return "invalid bulk length" }
            headerLength = 32
            return nil
        case UInt8(ascii: "\n"):
            guard headerLength == 33 else { return "invalid bulk length" }
            remainingBytes = headerValue + 2
            remainingArguments -= 1
            headerLength = -1
            return nil
        default:
            return "invalid bulk length"
        }
    }
}
