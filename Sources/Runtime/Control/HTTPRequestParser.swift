/// The head of an HTTP request, as far as the metrics port cares (RFC 9112, section 3).
struct HTTPRequest: Equatable {
    var method: String
    /// Without the query.
    var path: String
}

/// Collects the head of one HTTP/1 request from bytes that may arrive in any pieces. Bodies are never read: the connection is
/// closed after one answer.
struct HTTPRequestParser {
    /// Bytes of request line and header fields together.
    static let limit = 8 << 10

    enum Outcome: Equatable {
        case incomplete
        case request(HTTPRequest)
        /// The status to answer with: 400, 405, 414, 431 or 505.
        case refused(Int)
    }

    private var bytes: [UInt8] = []

    mutating func append(_ more: UnsafeRawBufferPointer) -> Outcome {
        let scanFrom = max(bytes.count - 3, 0)
        bytes.append(contentsOf: more.prefix(Self.limit + 1 - bytes.count))
        guard let end = endOfHead(from: scanFrom) else {
            guard bytes.count > Self.limit else { return .incomplete }
            return .refused(bytes.contains(UInt8(ascii: "\n")) ? 431 : 414)
        }
        return parse(bytes[..<end])
    }

    /// Where the empty line begins that ends the head. A bare LF ends a line too (RFC 9112, section 2.2).
    private func endOfHead(from start: Int) -> Int? {
        var index = start
        while index < bytes.count {
            if bytes[index] == UInt8(ascii: "\n") {
                if index + 1 < bytes.count, bytes[index + 1] == UInt8(ascii: "\n") { return index }
                if index + 2 < bytes.count, bytes[index + 1] == UInt8(ascii: "\r"), bytes[index + 2] == UInt8(ascii: "\n") {
                    return index
                }
            }
            index += 1
        }
        return nil
    }

    private func parse(_ head: ArraySlice<UInt8>) -> Outcome {
        var line = head.prefix { $0 != UInt8(ascii: "\n") }
        if line.last == UInt8(ascii: "\r") { line.removeLast() }
        guard line.allSatisfy({ $0 >= 0x20 && $0 < 0x7f }) else { return .refused(400) }
        let words = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
        guard words.count == 3, !words[0].isEmpty, words[1].first == UInt8(ascii: "/") else { return .refused(400) }
        let version = String(decoding: words[2], as: UTF8.self)
        guard version.hasPrefix("HTTP/") else { return .refused(400) }
        guard version == "HTTP/1.1" || version == "HTTP/1.0" else { return .refused(505) }
        let method = String(decoding: words[0], as: UTF8.self)
        guard method == "GET" || method == "HEAD" else { return .refused(405) }
        let path = words[1].prefix { $0 != UInt8(ascii: "?") }
        return .request(HTTPRequest(method: method, path: String(decoding: path, as: UTF8.self)))
    }
}
