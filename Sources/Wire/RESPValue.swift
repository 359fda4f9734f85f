/// The protocol that a connection speaks: 2 until the client asks for 3 with HELLO.
package enum RESPVersion: UInt8, Hashable, Sendable {
    case two = 2
    case three = 3
}

/// A decoded reply of RESP2 or RESP3 (https://redis.io/docs/latest/develop/reference/protocol-spec/). For the control plane: a
/// tree costs far too much for the data path. Attributes are dropped on decoding.
package indirect enum RESPValue: Hashable, Sendable {
    package struct Pair: Hashable, Sendable {
        package var key: RESPValue
        package var value: RESPValue

        package init(key: RESPValue, value: RESPValue) {
            self.key = key
            self.value = value
        }
    }

    case simpleString([UInt8])
    /// `-` or `!`: the text without its type byte.
    case error([UInt8])
    case integer(Int64)
    case bulk([UInt8])
    /// `_`, or a null bulk or a null array of RESP2.
    case null
    case array([RESPValue])
    case map([Pair])
    case set([RESPValue])
    case push([RESPValue])
    case double(Double)
    case boolean(Bool)
    /// Decimal digits, possibly with a sign.
    case bigNumber([UInt8])
    /// `format` has three bytes, such as `txt`.
    case verbatim(format: [UInt8], bytes: [UInt8])
}

extension RESPValue {
    /// Bytes of a simple, bulk or verbatim string; nil for anything else, an error included.
    package var bytes: [UInt8]? {
        switch self {
        case .simpleString(let bytes), .bulk(let bytes), .verbatim(_, let bytes): bytes
        default: nil
        }
    }

    /// `bytes` as text; what isn't UTF-8 is replaced.
    package var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// The text of an error reply; what isn't UTF-8 is replaced.
    package var errorText: String? {
        guard case .error(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// An integer, also one that came as a string of digits.
    package var integerValue: Int64? {
        switch self {
        case .integer(let value): value
        default: text.flatMap { Int64($0) }
        }
    }

    /// Elements of an array, a set or a push.
    package var elements: [RESPValue]? {
        switch self {
        case .array(let elements), .set(let elements), .push(let elements): elements
        default: nil
        }
    }

    /// Pairs of a map, or of the flat array that RESP2 sends in its place.
    package var pairs: [Pair]? {
        switch self {
        case .map(let pairs): return pairs
        case .array(let elements):
            guard elements.count.isMultiple(of: 2) else { return nil }
            return stride(from: 0, to: elements.count, by: 2).map { Pair(key: elements[$0], value: elements[$0 + 1]) }
        default: return nil
        }
    }

    /// The first value with that key in a map, or in the flat array that RESP2 sends in its place.
    package subscript(field name: String) -> RESPValue? {
        pairs?.first { $0.key.text == name }?.value
    }
}
