// Appends RESP to a byte buffer. What RESP2 lacks is written as Redis writes it there: maps become flat arrays, sets and pushes
// become arrays, booleans integers, doubles, big numbers and verbatim strings bulks
// (https://redis.io/docs/latest/develop/reference/protocol-spec/).

extension Array where Element == UInt8 {
    // MARK: Requests

    /// A command as an array of bulks.
    package mutating func appendCommand(_ arguments: [[UInt8]]) {
        precondition(!arguments.isEmpty, "a command has at least its name")
        appendLine("*", arguments.count)
        for argument in arguments { appendBulk(argument) }
    }

    /// A command as an array of bulks.
    package mutating func appendCommand(_ arguments: [String]) {
        precondition(!arguments.isEmpty, "a command has at least its name")
        appendLine("*", arguments.count)
        for argument in arguments { appendBulk(argument) }
    }

    /// A command as an array of bulks.
    package mutating func appendCommand(_ arguments: String...) {
        appendCommand(arguments)
    }

    // MARK: Replies

    /// A status such as `OK`. CR and LF, which would end it, become spaces.
    package mutating func appendSimpleString(_ text: String) {
        append(UInt8(ascii: "+"))
        appendOneLine(text.utf8)
    }

    /// An error such as `ERR syntax error`, without its dash. CR and LF, which would end it, become spaces.
    package mutating func appendError(_ text: String) {
        append(UInt8(ascii: "-"))
        appendOneLine(text.utf8)
    }

    package mutating func appendInteger(_ value: Int64) {
        appendLine(":", value)
    }

    package mutating func appendInteger(_ value: Int) {
        appendLine(":", value)
    }

    package mutating func appendBulk(_ bytes: some Collection<UInt8>) {
        appendLine("$", bytes.count)
        append(contentsOf: bytes)
        appendLineEnd()
    }

    package mutating func appendBulk(_ text: String) {
        appendBulk(text.utf8)
    }

    /// A null; in RESP2 a null bulk.
    package mutating func appendNull(_ version: RESPVersion) {
        append(contentsOf: version == .three ? "_\r\n".utf8 : "$-1\r\n".utf8)
    }

    /// A null where RESP2 has a null array, as EXEC and BLPOP answer.
    package mutating func appendNullArray(_ version: RESPVersion) {
        append(contentsOf: version == .three ? "_\r\n".utf8 : "*-1\r\n".utf8)
    }

    /// The header of an array; its elements follow.
    package mutating func appendArrayHeader(_ count: Int) {
        appendLine("*", count)
    }

    /// The header of a map of so many pairs; keys and values follow in turn.
    package mutating func appendMapHeader(_ pairCount: Int, _ version: RESPVersion) {
        if version == .three { appendLine("%", pairCount) } else { appendLine("*", pairCount * 2) }
    }

    package mutating func appendSetHeader(_ count: Int, _ version: RESPVersion) {
        appendLine(version == .three ? "~" : "*", count)
    }

    /// The header of an out-of-band message.
    package mutating func appendPushHeader(_ count: Int, _ version: RESPVersion) {
        appendLine(version == .three ? ">" : "*", count)
    }

    package mutating func appendBoolean(_ value: Bool, _ version: RESPVersion) {
        switch version {
        case .two: appendInteger(value ? 1 : 0)
        case .three: append(contentsOf: value ? "#t\r\n".utf8 : "#f\r\n".utf8)
        }
    }

    /// The shortest decimal text that means the same number, without a fraction if it has none, as Redis writes it.
    package mutating func appendDouble(_ value: Double, _ version: RESPVersion) {
        let text = Self.text(of: value)
        switch version {
        case .two: appendBulk(text)
        case .three:
            append(UInt8(ascii: ","))
            appendOneLine(text.utf8)
        }
    }

    /// `digits`: decimal, with or without a sign.
    package mutating func appendBigNumber(_ digits: [UInt8], _ version: RESPVersion) {
        switch version {
        case .two: appendBulk(digits)
        case .three:
            append(UInt8(ascii: "("))
            appendOneLine(digits)
        }
    }

    /// `format`: three bytes, such as `txt`.
    package mutating func appendVerbatim(_ text: String, format: String = "txt", _ version: RESPVersion) {
        appendVerbatim(Array(text.utf8), format: Array(format.utf8), version)
    }

    package mutating func appendVerbatim(_ bytes: [UInt8], format: [UInt8], _ version: RESPVersion) {
        precondition(format.count == 3, "the format of a verbatim string has three bytes")
        switch version {
        case .two: appendBulk(bytes)
        case .three:
            appendLine("=", bytes.count + 4)
            append(contentsOf: format)
            append(UInt8(ascii: ":"))
            append(contentsOf: bytes)
            appendLineEnd()
        }
    }

    /// A whole value.
    package mutating func append(_ value: RESPValue, _ version: RESPVersion) {
        switch value {
        case .simpleString(let bytes):
            append(UInt8(ascii: "+"))
            appendOneLine(bytes)
        case .error(let bytes):
            append(UInt8(ascii: "-"))
            appendOneLine(bytes)
        case .integer(let value): appendInteger(value)
        case .bulk(let bytes): appendBulk(bytes)
        case .null: appendNull(version)
        case .array(let elements):
            appendArrayHeader(elements.count)
            for element in elements { append(element, version) }
        case .map(let pairs):
            appendMapHeader(pairs.count, version)
            for pair in pairs {
                append(pair.key, version)
                append(pair.value, version)
            }
        case .set(let elements):
            appendSetHeader(elements.count, version)
            for element in elements { append(element, version) }
        case .push(let elements):
            appendPushHeader(elements.count, version)
            for element in elements { append(element, version) }
        case .double(let value): appendDouble(value, version)
        case .boolean(let value): appendBoolean(value, version)
        case .bigNumber(let digits): appendBigNumber(digits, version)
        case .verbatim(let format, let bytes): appendVerbatim(bytes, format: format, version)
        }
    }

    // MARK: Pieces

    private mutating func appendLineEnd() {
        append(13)
        append(10)
    }

    private mutating func appendLine(_ type: Unicode.Scalar, _ number: some BinaryInteger) {
        append(UInt8(ascii: type))
        append(contentsOf: String(number).utf8)
        appendLineEnd()
    }

    private mutating func appendOneLine(_ bytes: some Sequence<UInt8>) {
        for byte in bytes { append(byte == 13 || byte == 10 ? UInt8(ascii: " ") : byte) }
        appendLineEnd()
    }

    private static func text(of value: Double) -> String {
        if value.isNaN { return "nan" }
        if value.isInfinite { return value < 0 ? "-inf" : "inf" }
        let text = value.description
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
