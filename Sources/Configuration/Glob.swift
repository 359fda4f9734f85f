/// A glob as in CONFIG GET and KEYS: `*`, `?`, `[abc]`, `[a-z]`, `[^abc]` and `\` before a character to take literally. ASCII case
/// is ignored. An unfinished class ends with the pattern.
struct Glob {
    private let pattern: [UInt8]

    init(_ pattern: String) { self.pattern = pattern.utf8.map(Glob.lowercased) }

    /// Whether all of the text matches. Takes at most pattern times text steps: only the last `*` is ever tried again, since
    /// whatever an earlier one could match in addition, the later one can too.
    func matches(_ text: String) -> Bool {
        let text = text.utf8.map(Glob.lowercased)
        var textIndex = 0
        var patternIndex = 0
        var retry: (pattern: Int, text: Int)?
        while textIndex < text.count {
            if patternIndex < pattern.count, pattern[patternIndex] == UInt8(ascii: "*") {
                patternIndex += 1
                retry = (patternIndex, textIndex)
            } else if let next = step(at: patternIndex, matching: text[textIndex]) {
                patternIndex = next
                textIndex += 1
            } else if let last = retry {
                retry = (last.pattern, last.text + 1)
                patternIndex = last.pattern
                textIndex = last.text + 1
            } else {
                return false
            }
        }
        return pattern[patternIndex...].allSatisfy { $0 == UInt8(ascii: "*") }
    }

    /// Where the pattern goes on if its element at `index` matches the byte.
    private func step(at index: Int, matching byte: UInt8) -> Int? {
        guard index < pattern.count else { return nil }
        switch pattern[index] {
        case UInt8(ascii: "?"):
            return index + 1
        case UInt8(ascii: "["):
            return stepClass(from: index + 1, matching: byte)
        case UInt8(ascii: "\\") where index + 1 < pattern.count:
            return pattern[index + 1] == byte ? index + 2 : nil
        default:
            return pattern[index] == byte ? index + 1 : nil
        }
    }

    private func stepClass(from start: Int, matching byte: UInt8) -> Int? {
        var index = start
        let negated = index < pattern.count && pattern[index] == UInt8(ascii: "^")
        if negated { index += 1 }
        var found = false
        while index < pattern.count, pattern[index] != UInt8(ascii: "]") {
            if pattern[index] == UInt8(ascii: "\\"), index + 1 < pattern.count {
                found = found || pattern[index + 1] == byte
                index += 2
            } else if index + 2 < pattern.count, pattern[index + 1] == UInt8(ascii: "-") {
                let (first, last) = (pattern[index], pattern[index + 2])
                found = found || (min(first, last)...max(first, last)).contains(byte)
                index += 3
            } else {
                found = found || pattern[index] == byte
                index += 1
            }
        }
        return found != negated ? min(index + 1, pattern.count) : nil
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }
}
