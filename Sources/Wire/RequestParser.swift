/// Finds the borders of one request in a client's bytes, as Redis's `processMultibulkBuffer` and `processInlineBuffer` see them,
/// without copying: arguments come out as offsets from the request's first byte.
///
/// Parsing starts at a request's first byte every time; `wanted` tells how many bytes must be there before another try can
/// succeed, so a caller does not parse the same prefix over and over.
package struct RequestParser: ~Copyable {
    package struct Argument: Sendable {
        package var offset: Int32
        package var length: Int32
    }

    package enum Outcome: Sendable {
        /// A whole request of `length` bytes: `argumentCount` of `arguments` hold.
        case complete
        /// A blank line or an empty array: `length` bytes to be skipped without an answer.
        case empty
        /// An inline request of `length` bytes; `inlineArguments` splits it.
        case inline
        /// More bytes are needed, `wanted` of them counted from the request's start. `argumentCount` of `arguments` are known
        /// to be complete; `expectedArguments` is the array's length, or 0 while not known.
        case incomplete
        /// `failure` says what is wrong, in Redis's words; the client can't be followed any further.
        case malformed
    }

    package struct Limits: Sendable {
        /// `proto-max-bulk-len`.
        package var bulkLength = 512 << 20
        /// Redis's PROTO_INLINE_MAX_SIZE: a line may not be longer. Redis looks at each stretch that it reads, so there a longer
        /// line passes if its end comes in the same stretch; here it never does.
        package var lineLength = 64 << 10
        /// Redis allows an unauthenticated client 10 arguments of 16384 bytes.
        package var authenticated = true

        package init() {}

        /// For requests that were accepted before, whatever the limits were.
        package static let accepted: Limits = {
            var limits = Limits()
            limits.bulkLength = Int(Int32.max)
            return limits
        }()
    }

    package private(set) var arguments: UnsafeMutablePointer<Argument>
    private var argumentCapacity = 64
    package private(set) var argumentCount = 0
    package private(set) var expectedArguments = 0
    package private(set) var length = 0
    package private(set) var wanted = 0
    /// A line or argument does not end in CR LF. Redis skips such ends unseen, other servers may not: encode the request anew.
    package private(set) var isSloppy = false
    /// Text after `-ERR Protocol error: `.
    package private(set) var failure = ""

    package init() {
        arguments = .allocate(capacity: argumentCapacity)
    }

    deinit {
        arguments.deallocate()
    }

    /// Looks at `count` bytes from `start`, which is a request's first byte.
    package mutating func parse(_ start: UnsafePointer<UInt8>, _ count: Int, _ limits: Limits) -> Outcome {
        guard count > 0 else { return needs(1) }
        guard count <= Self.largestRequest else { return parseLargest(start, limits) }
        argumentCount = 0
        expectedArguments = 0
        guard start[0] == UInt8(ascii: "*") else { return parseInline(start, count, limits) }

        var position = 1
        isSloppy = false
        let elements: Int
        switch Self.readLength(start, count, &position, limits.lineLength) {
        case .value(let value): elements = value
        case .incomplete: return needs(count + 1)
        case .tooLong: return fail("too big mbulk count string")
        case .invalid: return fail("invalid multibulk length")
        }
        if start[position - 1] != UInt8(ascii: "\n") { isSloppy = true }
        if elements > Int(Int32.max) { return fail("invalid multibulk length") }
        if elements > 10 && !limits.authenticated { return fail("unauthenticated multibulk length") }
        if elements <= 0 {
            length = position
            return .empty
        }
        expectedArguments = elements

        while argumentCount < elements {
            guard position < count else { return needs(position + 4) }
            guard start[position] == UInt8(ascii: "$") else { return missDollar(start, count, position, limits.lineLength) }
            position += 1
            let bulk: Int
            switch Self.readLength(start, count, &position, limits.lineLength) {
            case .value(let value): bulk = value
            case .incomplete: return needs(count + 1)
            case .tooLong: return fail("too big bulk count string")
            case .invalid: return fail("invalid bulk length")
            }
            if start[position - 1] != UInt8(ascii: "\n") { isSloppy = true }
            if bulk < 0 || bulk > limits.bulkLength { return fail("invalid bulk length") }
            if bulk > 16384 && !limits.authenticated { return fail("unauthenticated bulk length") }
            let end = position + bulk
            // A further argument needs at least "$0\r\n\r\n".
            guard end + 2 <= count else { return needs(end + 2 + (elements - argumentCount - 1) * 6) }
            if start[end] != UInt8(ascii: "\r") || start[end + 1] != UInt8(ascii: "\n") { isSloppy = true }
            if argumentCount == argumentCapacity { growArguments() }
            arguments[argumentCount] = Argument(
                offset: Int32(truncatingIfNeeded: position), length: Int32(truncatingIfNeeded: bulk))
            argumentCount += 1
            position = end + 2
        }
        length = position
        return .complete
    }

    /// Offsets of arguments have 32 bits.
    private static var largestRequest: Int { Int(Int32.max) }

    /// More bytes are there than offsets reach: a request that does not end within reach can't be described.
    @inline(never)
    private mutating func parseLargest(_ start: UnsafePointer<UInt8>, _ limits: Limits) -> Outcome {
        let outcome = parse(start, Self.largestRequest, limits)
        if case .incomplete = outcome { return fail("too big request") }
        return outcome
    }

    /// Redis looks at a line's first byte once it has the whole line.
    @inline(never)
    private mutating func missDollar(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ position: Int, _ limit: Int
    ) -> Outcome {
        switch Self.findLineEnd(start, count, position, limit) {
        case .value: fail("expected '$', got '\(Character(Unicode.Scalar(start[position])))'")
        case .incomplete: needs(count + 1)
        case .tooLong, .invalid: fail("too big bulk count string")
        }
    }

    /// For callers that parse a rewritten request in the middle of another: the borders of the outer one are needed again.
    package mutating func restoreLength(_ outer: Int) {
        length = outer
    }

    @inline(__always)
    private mutating func needs(_ bytes: Int) -> Outcome {
        wanted = bytes
        return .incomplete
    }

    @inline(never)
    private mutating func fail(_ text: String) -> Outcome {
        failure = text
        return .malformed
    }

    @inline(never)
    private mutating func growArguments() {
        let fresh = UnsafeMutablePointer<Argument>.allocate(capacity: argumentCapacity * 2)
        fresh.update(from: arguments, count: argumentCount)
        arguments.deallocate()
        arguments = fresh
        argumentCapacity *= 2
    }

    enum LengthLine {
        case value(Int)
        case incomplete
        case tooLong
        case invalid
    }

    /// Reads a decimal up to a CR and skips the CR and the byte after it, as Redis does; `position` ends up behind them. The
    /// number has to be written the way Redis's `string2ll` demands: no plus, no leading zero, no blank. Redis judges a line when
    /// it has the whole of it or more than `limit` bytes without a CR, its first byte included; so does this, whatever pieces
    /// it comes in.
    @inline(__always)
    static func readLength(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ position: inout Int, _ limit: Int
    ) -> LengthLine {
        // Nearly every length has one to three digits.
        var cursor = position
        var value = 0
        while cursor < count {
            let digit = start[cursor] &- UInt8(ascii: "0")
            if digit > 9 { break }
            value = value &* 10 &+ Int(digit)
            cursor += 1
            if cursor - position > 18 { break }
        }
        if cursor + 1 < count, start[cursor] == UInt8(ascii: "\r"), cursor > position, cursor - position <= 18,
            start[position] != UInt8(ascii: "0") || cursor == position + 1
        {
            position = cursor + 2
            return .value(value)
        }
        // Not by reference, so that the position can stay in a register.
        let line = findLineEnd(start, count, position - 1, limit)
        guard case .value(let end) = line else { return line }
        guard let unusual = readUnusualLength(start, position, end) else { return .invalid }
        position = end + 2
        return .value(unusual)
    }

    @inline(never)
    private static func readUnusualLength(_ start: UnsafePointer<UInt8>, _ position: Int, _ end: Int) -> Int? {
        var cursor = position
        let isNegative = cursor < end && start[cursor] == UInt8(ascii: "-")
        if isNegative { cursor += 1 }
        guard cursor < end else { return nil }
        if start[cursor] == UInt8(ascii: "0") && (end - cursor > 1 || isNegative) { return nil }
        var value = 0
        while cursor < end {
            let digit = start[cursor] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (product, isTooLarge) = value.multipliedReportingOverflow(by: 10)
            let (sum, isTooLargeNow) =
                isNegative
                ? product.subtractingReportingOverflow(Int(digit)) : product.addingReportingOverflow(Int(digit))
            if isTooLarge || isTooLargeNow { return nil }
            value = sum
            cursor += 1
        }
        return value
    }

    /// Where the CR of the line from `lineStart` on is; `.incomplete` while it, or the byte behind it, is not there.
    @inline(never)
    private static func findLineEnd(
        _ start: UnsafePointer<UInt8>, _ count: Int, _ lineStart: Int, _ limit: Int
    ) -> LengthLine {
        var end = lineStart
        while end < count && start[end] != UInt8(ascii: "\r") {
            end += 1
            if end - lineStart > limit { return .tooLong }
        }
        return end + 1 < count ? .value(end) : .incomplete
    }
}

extension RequestParser {
    private mutating func parseInline(_ start: UnsafePointer<UInt8>, _ count: Int, _ limits: Limits) -> Outcome {
        var end = 0
        while end < count && start[end] != UInt8(ascii: "\n") {
            end += 1
            if end > limits.lineLength { return fail("too big inline request") }
        }
        guard end < count else { return needs(count + 1) }
        length = end + 1
        var last = end
        if last > 0 && start[last - 1] == UInt8(ascii: "\r") { last -= 1 }
        guard let words = Self.splitArguments(UnsafeBufferPointer(start: start, count: last)) else {
            return fail("unbalanced quotes in request")
        }
        return words.isEmpty ? .empty : .inline
    }

    /// The words of the inline request that `parse` found at `start`.
    package func inlineArguments(_ start: UnsafePointer<UInt8>) -> [[UInt8]] {
        var last = length - 1
        if last > 0 && start[last - 1] == UInt8(ascii: "\r") { last -= 1 }
        return Self.splitArguments(UnsafeBufferPointer(start: start, count: last)) ?? []
    }

    /// Splits a line into words by the rules of Redis's `sdssplitargs`: blanks separate, double quotes know escapes, single
    /// quotes only `\'`, and a closing quote must be followed by a blank or the end. Nil when quotes don't balance.
    package static func splitArguments(_ line: UnsafeBufferPointer<UInt8>) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var index = 0
        func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || (byte >= 0x09 && byte <= 0x0d) }
        while true {
            while index < line.count && isBlank(line[index]) { index += 1 }
            // sdssplitargs works on a C string: a NUL byte ends the line.
            guard index < line.count, line[index] != 0 else { return words }
            var word: [UInt8] = []
            scan: while index < line.count, line[index] != 0, !isBlank(line[index]) {
                let byte = line[index]
                index += 1
                guard byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") else {
                    word.append(byte)
                    continue
                }
                guard let after = readQuoted(line, from: index, quote: byte, into: &word) else { return nil }
                index = after
                if index < line.count && line[index] != 0 && !isBlank(line[index]) { return nil }
                break scan
            }
            words.append(word)
        }
    }

    /// Reads up to the closing `quote`; returns the index behind it, or nil when there is none.
    private static func readQuoted(
        _ line: UnsafeBufferPointer<UInt8>, from first: Int, quote: UInt8, into word: inout [UInt8]
    ) -> Int? {
        var index = first
        while index < line.count {
            let byte = line[index]
            if byte == quote { return index + 1 }
            guard byte == UInt8(ascii: "\\"), index + 1 < line.count else {
                word.append(byte)
                index += 1
                continue
            }
            let escaped = line[index + 1]
            if quote == UInt8(ascii: "'") {
                if escaped == quote {
                    word.append(quote)
                    index += 2
                } else {
                    word.append(byte)
                    index += 1
                }
                continue
            }
            if escaped == UInt8(ascii: "x"), index + 3 < line.count, let high = hexValue(line[index + 2]),
                let low = hexValue(line[index + 3])
            {
                word.append(high << 4 | low)
                index += 4
                continue
            }
            switch escaped {
            case UInt8(ascii: "n"): word.append(0x0a)
            case UInt8(ascii: "r"): word.append(0x0d)
            case UInt8(ascii: "t"): word.append(0x09)
            case UInt8(ascii: "b"): word.append(0x08)
            case UInt8(ascii: "a"): word.append(0x07)
            default: word.append(escaped)
            }
            index += 2
        }
        return nil
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
