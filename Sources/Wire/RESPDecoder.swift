/// Why bytes aren't RESP, or not such as we accept. All of these are the peer's fault, and the stream can't be followed any
/// further.
package enum RESPError: Error, Hashable, Sendable {
    case unknownType(UInt8)
    /// A length or a count that isn't a decimal number, or is out of range.
    case badLength
    /// The text of an integer, a double, a boolean, a big number or a null.
    case badScalar
    /// A CR or LF where it mustn't be, or bytes other than CRLF after a bulk.
    case badLineEnd
    /// More than `RESPDecoder.maximumDepth` aggregates within each other.
    case tooDeep
    /// One value is larger than the decoder's limit.
    case tooLarge
}

/// Decodes replies of RESP2 and RESP3 from bytes that come in pieces. A value that is only partly there costs no second parsing
/// of what came before: finished parts wait on a stack.
///
/// For the control plane. Memory is bounded by the limit on one value, not by the lengths that the peer announces. After an
/// error every call of `next` throws it again.
package struct RESPDecoder: Sendable {
    /// Aggregates within each other at most.
    package static let maximumDepth = 32
    /// Bytes of one value on the wire at most, unless chosen otherwise: a COMMAND reply with its key specs takes about 200 KiB.
    package static let defaultMaximumBytes = 16 << 20
    /// Fewer bytes than these hold no value, so a count of elements can be checked against what is left of the limit.
    private static let smallestValue = 3

    /// An aggregate whose elements are still arriving. Pairs of a map count as two elements.
    private struct Frame {
        enum Kind {
            case array, map, set, push, attribute
        }

        var kind: Kind
        var missing: Int
        var elements: [RESPValue] = []
    }

    private let maximumBytes: Int
    private var buffer: [UInt8] = []
    /// Where the next unread byte is in `buffer`.
    private var position = 0
    /// Up to here the buffer was searched for the end of a line.
    private var searched = 0
    /// Bytes of the value being decoded that were consumed already.
    private var consumed = 0
    private var stack: [Frame] = []
    private var failure: RESPError?

    package init(maximumBytes: Int = RESPDecoder.defaultMaximumBytes) {
        precondition(maximumBytes > 0)
        self.maximumBytes = maximumBytes
    }

    /// Bytes that were fed and belong to no finished value yet.
    package var pendingBytes: Int { consumed + buffer.count - position }

    /// Appends bytes that arrived; `next` tells what they mean. Call `next` until it answers nil before feeding more.
    package mutating func feed(_ bytes: some Sequence<UInt8>) {
        guard failure == nil else { return }
        compact()
        buffer.append(contentsOf: bytes)
    }

    /// Appends bytes that arrived; `next` tells what they mean.
    package mutating func feed(_ bytes: UnsafeRawBufferPointer) {
        guard failure == nil else { return }
        compact()
        buffer.append(contentsOf: bytes)
    }

    /// The next whole value, or nil if more bytes are needed.
    package mutating func next() throws(RESPError) -> RESPValue? {
        if let failure { throw failure }
        do throws(RESPError) {
            return try decode()
        } catch {
            failure = error
            buffer = []
            stack = []
            position = 0
            searched = 0
            consumed = 0
            throw error
        }
    }

    private mutating func compact() {
        if position == buffer.count {
            buffer.removeAll(keepingCapacity: buffer.capacity <= 64 << 10)
        } else if position > buffer.count / 2 {
            buffer.removeFirst(position)
        } else {
            return
        }
        searched = max(0, searched - position)
        position = 0
    }

    private mutating func decode() throws(RESPError) -> RESPValue? {
        while true {
            guard let value = try part() else {
                guard pendingBytes <= maximumBytes else { throw .tooLarge }
                return nil
            }
            switch value {
            case .opened: continue
            case .value(let value):
                guard let whole = complete(value) else { continue }
                consumed = 0
                return whole
            }
        }
    }

    private enum Part {
        /// The header of an aggregate; its elements come next.
        case opened
        case value(RESPValue)
    }

    /// Puts a finished value into the aggregates that wait for it; returns one that waits for nothing and belongs to none.
    private mutating func complete(_ value: RESPValue) -> RESPValue? {
        var value = value
        while var frame = stack.popLast() {
            frame.elements.append(value)
            frame.missing -= 1
            if frame.missing > 0 {
                stack.append(frame)
                return nil
            }
            guard let finished = Self.finish(frame) else { return nil }
            value = finished
        }
        return value
    }

    /// The aggregate with all its elements, or nil for an attribute, which stands before the value that it describes.
    private static func finish(_ frame: Frame) -> RESPValue? {
        switch frame.kind {
        case .array: .array(frame.elements)
        case .set: .set(frame.elements)
        case .push: .push(frame.elements)
        case .map:
            .map(
                stride(from: 0, to: frame.elements.count, by: 2).map {
                    RESPValue.Pair(key: frame.elements[$0], value: frame.elements[$0 + 1])
                }
            )
        case .attribute: nil
        }
    }

    /// Consumes one scalar, or the header of one aggregate; nil if it isn't all there.
    private mutating func part() throws(RESPError) -> Part? {
        guard position < buffer.count else { return nil }
        let type = buffer[position]
        guard Self.isKnown(type) else { throw .unknownType(type) }
        guard let lineEnd = try findLineEnd() else { return nil }
        let line = buffer[(position + 1)..<lineEnd]
        let afterLine = lineEnd + 2

        switch type {
        case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
            if type == UInt8(ascii: "$"), Self.isMinusOne(line) {
                try consume(upTo: afterLine)
                return .value(.null)
            }
            let length = try Self.length(line)
            guard length <= maximumBytes - consumed else { throw .tooLarge }
            let end = afterLine + length
            guard buffer.count >= end + 2 else { return nil }
            guard buffer[end] == 13, buffer[end + 1] == 10 else { throw .badLineEnd }
            let bytes = Array(buffer[afterLine..<end])
            try consume(upTo: end + 2)
            return .value(try Self.bulk(type, bytes))
        case UInt8(ascii: "*"), UInt8(ascii: "%"), UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "|"):
            let isNull = type == UInt8(ascii: "*") && Self.isMinusOne(line)
            let count = isNull ? 0 : try Self.length(line)
            try consume(upTo: afterLine)
            return isNull ? .value(.null) : try open(type, count)
        default:
            let value = try Self.scalar(type, line)
            try consume(upTo: afterLine)
            return .value(value)
        }
    }

    private mutating func open(_ type: UInt8, _ count: Int) throws(RESPError) -> Part {
        let kind: Frame.Kind =
            switch type {
            case UInt8(ascii: "*"): .array
            case UInt8(ascii: "%"): .map
            case UInt8(ascii: "~"): .set
            case UInt8(ascii: ">"): .push
            default: .attribute
            }
        let isPaired = kind == .map || kind == .attribute
        guard count <= (maximumBytes - consumed) / (Self.smallestValue * (isPaired ? 2 : 1)) else { throw .tooLarge }
        guard stack.count < Self.maximumDepth else { throw .tooDeep }
        let frame = Frame(kind: kind, missing: isPaired ? count * 2 : count)
        guard frame.missing == 0 else {
            stack.append(frame)
            return .opened
        }
        guard let empty = Self.finish(frame) else { return .opened }
        return .value(empty)
    }

    private mutating func consume(upTo end: Int) throws(RESPError) {
        consumed += end - position
        position = end
        searched = end
        guard consumed <= maximumBytes else { throw .tooLarge }
    }

    /// Where the CR of the line that starts at `position` is, or nil if it hasn't come.
    private mutating func findLineEnd() throws(RESPError) -> Int? {
        var place = max(searched, position + 1)
        while place < buffer.count {
            switch buffer[place] {
            case 10: throw .badLineEnd
            case 13:
                searched = place
                guard place + 1 < buffer.count else { return nil }
                guard buffer[place + 1] == 10 else { throw .badLineEnd }
                return place
            default: place += 1
            }
        }
        searched = place
        return nil
    }
}

// MARK: - Scalars

extension RESPDecoder {
    private static func isKnown(_ type: UInt8) -> Bool {
        switch type {
        case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: ":"), UInt8(ascii: "$"), UInt8(ascii: "*"), UInt8(ascii: "_"),
            UInt8(ascii: ","), UInt8(ascii: "#"), UInt8(ascii: "!"), UInt8(ascii: "="), UInt8(ascii: "("), UInt8(ascii: "%"),
            UInt8(ascii: "~"), UInt8(ascii: ">"), UInt8(ascii: "|"):
            true
        default: false
        }
    }

    private static func isMinusOne(_ line: ArraySlice<UInt8>) -> Bool {
        line.elementsEqual("-1".utf8)
    }

    /// A length or count: decimal digits only.
    private static func length(_ line: ArraySlice<UInt8>) throws(RESPError) -> Int {
        guard 1...18 ~= line.count, line.allSatisfy({ 0x30...0x39 ~= $0 }) else { throw .badLength }
        return line.reduce(0) { $0 * 10 + Int($1 - 0x30) }
    }

    private static func bulk(_ type: UInt8, _ bytes: [UInt8]) throws(RESPError) -> RESPValue {
        switch type {
        case UInt8(ascii: "!"): return .error(bytes)
        case UInt8(ascii: "="):
            guard bytes.count >= 4, bytes[3] == UInt8(ascii: ":") else { throw .badScalar }
            return .verbatim(format: Array(bytes[..<3]), bytes: Array(bytes[4...]))
        default: return .bulk(bytes)
        }
    }

    private static func scalar(_ type: UInt8, _ line: ArraySlice<UInt8>) throws(RESPError) -> RESPValue {
        switch type {
        case UInt8(ascii: "+"): return .simpleString(Array(line))
        case UInt8(ascii: "-"): return .error(Array(line))
        case UInt8(ascii: ":"):
            guard let value = Int64(String(decoding: line, as: UTF8.self)) else { throw .badScalar }
            return .integer(value)
        case UInt8(ascii: "_"):
            guard line.isEmpty else { throw .badScalar }
            return .null
        case UInt8(ascii: "#"):
            guard line.count == 1, let letter = line.first else { throw .badScalar }
            switch letter {
            case UInt8(ascii: "t"): return .boolean(true)
            case UInt8(ascii: "f"): return .boolean(false)
            default: throw .badScalar
            }
        case UInt8(ascii: ","): return .double(try double(line))
        default:
            let digits = line.first == UInt8(ascii: "-") || line.first == UInt8(ascii: "+") ? line.dropFirst() : line
            guard !digits.isEmpty, digits.allSatisfy({ 0x30...0x39 ~= $0 }) else { throw .badScalar }
            return .bigNumber(Array(line))
        }
    }

    private static func double(_ line: ArraySlice<UInt8>) throws(RESPError) -> Double {
        let text = String(decoding: line, as: UTF8.self)
        switch text {
        case "inf", "+inf": return .infinity
        case "-inf": return -.infinity
        case "nan", "-nan": return .nan
        default:
            // Swift's own parser also takes hexadecimal, which RESP doesn't know.
            let isDecimal = line.allSatisfy { byte in
                0x30...0x39 ~= byte || "+-.eE".utf8.contains(byte)
            }
            guard isDecimal, let value = Double(text) else { throw .badScalar }
            return value
        }
    }
}
