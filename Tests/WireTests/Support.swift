@testable import Wire

/// What a client's bytes turn out to be.
enum RequestEvent: Equatable {
    case request([String], isSloppy: Bool)
    case inline([String])
    case empty
    case malformed(String)
    /// What was left at the end begins a request.
    case unfinished(bytes: Int)
}

/// Runs a parser over bytes that arrive in pieces, as a session does: what is left of a piece stays, and is looked at again when
/// the next one is there. Each look is at a block of memory that ends with the last byte, so a sanitizer sees a read beyond it.
func parseRequests(_ pieces: [ArraySlice<UInt8>], _ limits: RequestParser.Limits = RequestParser.Limits()) -> [RequestEvent] {
    var parser = RequestParser()
    var events: [RequestEvent] = []
    var held: [UInt8] = []
    for piece in pieces {
        held += piece
        var position = 0
        var needsMore = false
        while position < held.count && !needsMore {
            let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: held.count - position)
            _ = block.initialize(from: held[position...])
            defer { block.deallocate() }
            let start = UnsafePointer(block.baseAddress!)
            switch parser.parse(start, block.count, limits) {
            case .complete:
                events.append(.request(arguments(of: parser, start), isSloppy: parser.isSloppy))
                position += parser.length
            case .empty:
                events.append(.empty)
                position += parser.length
            case .inline:
                events.append(.inline(parser.inlineArguments(start).map { String(decoding: $0, as: UTF8.self) }))
                position += parser.length
            case .malformed:
                events.append(.malformed(parser.failure))
                return events
            case .incomplete:
                precondition(parser.wanted > block.count, "asks for bytes that are there")
                needsMore = true
            }
        }
        held.removeFirst(position)
    }
    if !held.isEmpty { events.append(.unfinished(bytes: held.count)) }
    return events
}

func parseRequests(_ text: String, _ limits: RequestParser.Limits = RequestParser.Limits()) -> [RequestEvent] {
    parseRequests([Array(text.utf8)[...]], limits)
}

private func arguments(of parser: borrowing RequestParser, _ start: UnsafePointer<UInt8>) -> [String] {
    (0..<parser.argumentCount).map { index in
        let place = parser.arguments[index]
        let bytes = UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length))
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// All ways to cut in two, and all bytes one by one.
func cuttings(_ bytes: [UInt8]) -> [[ArraySlice<UInt8>]] {
    var all = bytes.indices.map { [bytes[..<$0], bytes[$0...]] }
    all.append(bytes.indices.map { bytes[$0...$0] })
    return all
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func encoded(_ arguments: String...) -> String {
    var bytes: [UInt8] = []
    bytes.appendCommand(arguments.map { Array($0.utf8) })
    return String(decoding: bytes, as: UTF8.self)
}
