/// Turns the words of a directive into values. Reasons continue a sentence that starts with the directive's name.
enum ValueParser {
    /// A whole decimal number within the range.
    static func integer(_ text: String, in range: ClosedRange<Int>) throws(ValueError) -> Int {
        guard let value = digits(text.utf8[...].dropSign, negative: text.utf8.first == UInt8(ascii: "-")),
            range.contains(value)
        else {
            throw ValueError("must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// A size in bytes as in redis.conf: `1k` is 1000 and `1kb` 1024, likewise `m`, `mb`, `g`, `gb`; `b` or nothing for bytes.
    static func size(_ text: String, in range: ClosedRange<Int>) throws(ValueError) -> Int {
        let (number, unit) = splitUnit(text)
        let factor: Int? = switch unit {
        case "", "b": 1
        case "k": 1000
        case "kb": 1 << 10
        case "m": 1_000_000
        case "mb": 1 << 20
        case "g": 1_000_000_000
        case "gb": 1 << 30
        default: nil
        }
        guard let factor, let value = scaled(number, by: factor), range.contains(value) else {
            let bounds = "from \(format(size: range.lowerBound)) to \(format(size: range.upperBound))"
            throw ValueError("must be a size in bytes \(bounds), such as 1048576, 64mb or 1gb")
        }
        return value
    }

    /// A duration in whole milliseconds: bare, or with `ms`, `s`, `m` or `h`.
    static func milliseconds(_ text: String, in range: ClosedRange<Int>) throws(ValueError) -> Int {
        let (number, unit) = splitUnit(text)
        let factor: Int? = switch unit {
        case "", "ms": 1
        case "s": 1000
        case "m": 60_000
        case "h": 3_600_000
        default: nil
        }
        guard let factor, let value = scaled(number, by: factor), range.contains(value) else {
            let bounds = "from \(range.lowerBound) to \(range.upperBound)"
            throw ValueError("must be a duration in milliseconds \(bounds), such as 1500, 500ms, 2s or 1m")
        }
        return value
    }

    /// A duration in whole seconds: bare, or with `s`, `m` or `h`.
    static func seconds(_ text: String, in range: ClosedRange<Int>) throws(ValueError) -> Int {
        let (number, unit) = splitUnit(text)
        let factor: Int? = switch unit {
        case "", "s": 1
        case "m": 60
        case "h": 3600
        default: nil
        }
        guard let factor, let value = scaled(number, by: factor), range.contains(value) else {
            let bounds = "from \(range.lowerBound) to \(range.upperBound)"
            throw ValueError("must be a duration in seconds \(bounds), such as 30, 30s or 5m")
        }
        return value
    }

    /// One of the names of an enumeration, without regard to case.
    static func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ text: String, of type: Choice.Type
    ) throws(ValueError) -> Choice {
        if let value = Choice(rawValue: text.lowercased()) { return value }
        throw notOneOf(Choice.allCases.map(\.rawValue), text)
    }

    /// The error for a word that is none of the names.
    static func notOneOf(_ names: [String], _ text: String) -> ValueError {
        let list = names.count == 1 ? names[0] : "one of " + names.joined(separator: ", ")
        return ValueError("must be \(list)", suggestion: Suggestion.nearest(to: text, among: names))
    }

    /// A user, zone or command: printable ASCII without spaces, as it goes into commands, logs and labels of metrics.
    static func name(_ text: String, what: String = "must be a name") throws(ValueError) -> String {
        guard (1...Limits.nameBytes).contains(text.utf8.count) else {
            throw ValueError("\(what) of 1 to \(Limits.nameBytes) bytes")
        }
        guard text.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw ValueError("\(what) of printable ASCII characters without spaces")
        }
        return text
    }

    /// A password; the error doesn't contain it.
    static func password(_ text: String) throws(ValueError) -> String {
        guard text.utf8.count <= Limits.passwordBytes else {
            throw ValueError("must have at most \(Limits.passwordBytes) bytes")
        }
        guard text != Disclosure.hidden else {
            throw ValueError("can't be '\(Disclosure.hidden)', which is how a password is shown")
        }
        return text
    }

    /// A file's path.
    static func path(_ text: String, limit: Int = Limits.pathBytes) throws(ValueError) -> String {
        guard text.utf8.count <= limit else { throw ValueError("must be a path of at most \(limit) bytes") }
        return text
    }

    /// The size with the largest unit that it is a multiple of: `64mb`, or plain bytes.
    static func format(size: Int) -> String {
        for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] where size != 0 && size & (1 << shift - 1) == 0 {
            return "\(size >> shift)\(unit)"
        }
        return "\(size)"
    }

    /// Splits after the leading digits; the unit in lower case.
    private static func splitUnit(_ text: String) -> (number: Substring.UTF8View, unit: String) {
        let number = text.utf8[...].prefix { (0x30...0x39).contains($0) }
        guard text.utf8.count - number.count <= 2 else { return (number, "?") }
        return (number, String(text[number.endIndex...]).lowercased())
    }

    private static func scaled(_ number: Substring.UTF8View, by factor: Int) -> Int? {
        guard let value = digits(number, negative: false) else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: factor)
        return overflow ? nil : product
    }

    /// Decimal digits only; nil if there are none, something else, or the number doesn't fit.
    private static func digits(_ text: Substring.UTF8View, negative: Bool) -> Int? {
        guard !text.isEmpty else { return nil }
        var value = 0
        for byte in text {
            guard (0x30...0x39).contains(byte) else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, carry) = product.addingReportingOverflow(Int(byte) - 0x30)
            if overflow || carry { return nil }
            value = sum
        }
        return negative ? -value : value
    }
}

extension Substring.UTF8View {
    /// Without a leading minus.
    fileprivate var dropSign: Substring.UTF8View { first == UInt8(ascii: "-") ? dropFirst() : self }
}
