/// The `name:value` lines of an INFO reply. Section headings (`# Replication`), empty lines and lines without a colon are skipped.
///
/// Source: Redis documentation, command INFO: lines end in CRLF, a field's name holds no colon, its value may.
struct InfoFields {
    private var values: [Substring: Substring] = [:]

    init(_ text: [UInt8]) {
        let text = String(decoding: text, as: UTF8.self)
        for line in text.utf8.split(whereSeparator: { $0 == UInt8(ascii: "\r") || $0 == UInt8(ascii: "\n") }) {
            guard line.first != UInt8(ascii: "#"), let colon = line.firstIndex(of: UInt8(ascii: ":")) else { continue }
            values[Substring(line[..<colon])] = Substring(line[line.index(after: colon)...])
        }
    }

    /// The field's text, or nil if the node did not send it.
    func text(_ name: String) -> String? {
        values[Substring(name)].map { PeerText.clean(String($0)) }
    }

    /// The field as a number, or nil if it is missing or is none.
    func integer(_ name: String) -> Int64? {
        values[Substring(name)].flatMap { Int64($0) }
    }
}

/// Text that a peer chose, on its way into our log lines and error replies.
enum PeerText {
    /// Longer texts are cut: a log line must stay one line that can be read.
    static let limit = 200

    /// `text` without control characters (which could forge log lines) and no longer than `limit` characters.
    static func clean(_ text: String) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            if count == limit { return result + "..." }
            result.unicodeScalars.append(scalar.value < 0x20 || scalar.value == 0x7f ? "?" : scalar)
            count += 1
        }
        return result
    }

    static func clean(_ bytes: [UInt8]) -> String {
        clean(String(decoding: bytes.prefix(limit * 4), as: UTF8.self))
    }
}
