/// Finds where replies end in a server's bytes, RESP2 and RESP3 alike, without decoding them.
///
/// Nesting needs no stack: an aggregate of n elements adds n to the elements still to come, and a reply is over when none is.
/// A bulk string that is longer than what has arrived leaves only a count of bytes to skip, and so does a long line.
/// Follows https://redis.io/docs/latest/develop/reference/protocol-spec/.
package struct ReplyScanner: Sendable {
    package enum Outcome: Sendable {
        /// A reply ended behind `consumed` bytes.
        case complete
        /// All that can be told apart was consumed; what is left over is the beginning of a line.
        case incomplete
        /// Not RESP.
        case malformed
    }

    /// Elements still to come; 0 between replies.
    @usableFromInline
    var elements = 0
    /// Bytes of the current bulk string still to come, CR LF included; `lineMark` within a long line.
    @usableFromInline
    var skip = 0
    @usableFromInline
    static var lineMark: Int { -1 }
    /// First byte of the reply being read (`+`, `-`, `$`, `*`, `>`, ...).
    package private(set) var type: UInt8 = 0
    /// Unfinished lines (of a status, an error, a number) are left over for the next call up to this length; longer ones are
    /// consumed as they come.
    @usableFromInline
    static var keptLine: Int { 64 << 10 }
    /// More elements than any server could send: the sum can't overflow below it.
    @usableFromInline
    static var elementLimit: Int { 1 << 48 }

    package init() {}

    /// Whether a reply has begun and is not over.
    @inlinable
    package var isInsideReply: Bool { elements != 0 }
    /// Bytes known to be still to come for the current bulk string.
    package var bytesAhead: Int { max(skip, 0) }

    /// Reads on in the current reply, or begins the next one, in `count` bytes from `start`. `consumed` is how many of them
    /// belong to it.
    package mutating func next(_ start: UnsafePointer<UInt8>, _ count: Int, consumed: inout Int) -> Outcome {
        var index = 0
        let beginsHere = elements == 0
        if beginsHere {
            guard count > 0 else {
                consumed = 0
                return .incomplete
            }
            elements = 1
            type = start[0]
        } else if skip == Self.lineMark {
            guard Self.passLine(start, count, &index) else {
                consumed = index
                return .incomplete
            }
            skip = 0
            elements -= 1
        }
        while elements > 0 {
            if skip > 0 {
                let step = min(skip, count - index)
                index += step
                skip -= step
                if skip > 0 { break }
                elements -= 1
                continue
            }
            guard index < count else { break }
            let lineStart = index
            let kind = start[index]
            switch kind {
            case UInt8(ascii: "$"), UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "~"), UInt8(ascii: ">"),
                UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "|"):
                index += 1
                guard let length = Self.readLength(start, count, &index) else {
                    if count - lineStart > 32 { return .malformed }
                    index = lineStart
                    return leave(index, beginsHere, &consumed)
                }
                if length < -1 { return .malformed }
                switch kind {
                case UInt8(ascii: "$"), UInt8(ascii: "="), UInt8(ascii: "!"):
                    if length < 0 { elements -= 1 } else { skip = length + 2 }
                case UInt8(ascii: "%"):
                    elements += 2 * max(length, 0) - 1
                    if elements > Self.elementLimit { return .malformed }
                case UInt8(ascii: "|"):
                    // An attribute comes before the element it describes.
                    elements += 2 * max(length, 0)
                    if elements > Self.elementLimit { return .malformed }
                default:
                    elements += max(length, 0) - 1
                    if elements > Self.elementLimit { return .malformed }
                }
            case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "_"), UInt8(ascii: ","),
                UInt8(ascii: "#"), UInt8(ascii: "("):
                index += 1
                while index < count && start[index] != UInt8(ascii: "\n") { index += 1 }
                guard index < count else {
                    if count - lineStart > Self.keptLine { return passLong(index, &consumed) }
                    return leave(lineStart, beginsHere, &consumed)
                }
                index += 1
                elements -= 1
            default:
                return .malformed
            }
        }
        consumed = index
        return elements == 0 ? .complete : .incomplete
    }

    @inline(never)
    private mutating func passLong(_ index: Int, _ consumed: inout Int) -> Outcome {
        skip = Self.lineMark
        consumed = index
        return .incomplete
    }

    /// Stops before an unfinished line. A reply of which nothing was consumed has not begun.
    private mutating func leave(_ index: Int, _ beginsHere: Bool, _ consumed: inout Int) -> Outcome {
        if beginsHere && index == 0 { elements = 0 }
        consumed = index
        return .incomplete
    }

    /// Goes on behind the line feed; false if there is none yet.
    @inline(never)
    private static func passLine(_ start: UnsafePointer<UInt8>, _ count: Int, _ index: inout Int) -> Bool {
        while index < count && start[index] != UInt8(ascii: "\n") { index += 1 }
        guard index < count else { return false }
        index += 1
        return true
    }

    /// A length line's number, or nil while the line is not complete; -2 stands for anything that is no length.
    @inline(__always)
    private static func readLength(_ start: UnsafePointer<UInt8>, _ count: Int, _ index: inout Int) -> Int? {
        var cursor = index
        var value = 0
        var isNegative = false
        if cursor < count && start[cursor] == UInt8(ascii: "-") {
            isNegative = true
            cursor += 1
        }
        let first = cursor
        while cursor < count {
            let digit = start[cursor] &- UInt8(ascii: "0")
            if digit > 9 { break }
            value = value &* 10 &+ Int(digit)
            cursor += 1
            if cursor - first > 12 { return -2 }
        }
        guard cursor + 1 < count else { return nil }
        guard cursor > first, start[cursor] == UInt8(ascii: "\r"), start[cursor + 1] == UInt8(ascii: "\n") else { return -2 }
        index = cursor + 2
        return isNegative ? -value : value
    }
}
