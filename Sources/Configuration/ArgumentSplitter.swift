/// Splits a line into words by the quoting rules of redis.conf and redis-cli (`sdssplitargs` in the Redis sources):
///
/// - words are separated by spaces and tabs;
/// - `"..."` may contain `\n \r \t \b \a \\ \" \xHH`; a backslash before anything else stands for that character;
/// - `'...'` knows only `\'`;
/// - a closing quote must be followed by a space or the end of the line.
package enum ArgumentSplitter {
    /// Words of the line, or nil if a quote is unbalanced. Bytes are passed on as they are, valid UTF-8 or not.
    package static func split(_ line: some Collection<UInt8>) -> [[UInt8]]? {
        var words: [[UInt8]] = []
        var rest = Array(line)[...]
        while true {
            rest = rest.drop(while: isSpace)
            if rest.isEmpty { return words }
            guard let word = takeWord(&rest) else { return nil }
            words.append(word)
        }
    }

    /// The word as it must be written to be read back as one word.
    package static func quoted(_ word: String) -> String {
        let plain = !word.isEmpty && word.utf8.allSatisfy { byte in
            byte > 0x20 && byte != 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "'")
        }
        if plain, word.utf8.first != UInt8(ascii: "#") { return word }
        var result = "\""
        for scalar in word.unicodeScalars {
            switch scalar {
            case "\"", "\\": result += "\\" + String(scalar)
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.value < 0x20 || scalar.value == 0x7f:
                result += "\\x" + (scalar.value < 0x10 ? "0" : "") + String(scalar.value, radix: 16)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }

    /// `isspace` of the C locale.
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    /// Takes one word, which starts at the first byte; nil if a quote in it is unbalanced.
    private static func takeWord(_ rest: inout ArraySlice<UInt8>) -> [UInt8]? {
        var word: [UInt8] = []
        while let byte = rest.popFirst() {
            switch byte {
            case 0x20, 0x09, 0x0a, 0x0d:
                return word
            case UInt8(ascii: "\""):
                return takeDoubleQuoted(&rest, into: &word) ? word : nil
            case UInt8(ascii: "'"):
                return takeSingleQuoted(&rest, into: &word) ? word : nil
            default:
                word.append(byte)
            }
        }
        return word
    }

    private static func takeDoubleQuoted(_ rest: inout ArraySlice<UInt8>, into word: inout [UInt8]) -> Bool {
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\"") { return endsWord(rest) }
            guard byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() else {
                word.append(byte)
                continue
            }
            switch escaped {
            case UInt8(ascii: "n"): word.append(0x0a)
            case UInt8(ascii: "r"): word.append(0x0d)
            case UInt8(ascii: "t"): word.append(0x09)
            case UInt8(ascii: "b"): word.append(0x08)
            case UInt8(ascii: "a"): word.append(0x07)
            case UInt8(ascii: "x"):
                if let value = hexadecimalPair(rest) {
                    word.append(value)
                    rest = rest.dropFirst(2)
                } else {
                    word.append(escaped)
                }
            default: word.append(escaped)
            }
        }
        return false
    }

    private static func takeSingleQuoted(_ rest: inout ArraySlice<UInt8>, into word: inout [UInt8]) -> Bool {
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "'") { return endsWord(rest) }
            if byte == UInt8(ascii: "\\"), rest.first == UInt8(ascii: "'") {
                word.append(UInt8(ascii: "'"))
                rest = rest.dropFirst()
            } else {
                word.append(byte)
            }
        }
        return false
    }

    private static func endsWord(_ rest: ArraySlice<UInt8>) -> Bool { rest.first.map(isSpace) ?? true }

    private static func hexadecimalPair(_ bytes: ArraySlice<UInt8>) -> UInt8? {
        guard let high = bytes.first, let low = bytes.dropFirst().first else { return nil }
        guard let high = Character(Unicode.Scalar(high)).hexDigitValue, high < 16,
            let low = Character(Unicode.Scalar(low)).hexDigitValue, low < 16
        else { return nil }
        return UInt8(high << 4 | low)
    }
}
