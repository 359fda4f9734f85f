// A libFuzzer target for everything that looks at a peer's bytes first: `RequestParser`, `RequestStream`, `ReplyScanner`,
// `RESPDecoder` and the splitting of inline requests. `Tests/Fuzz/run` compiles it together with the sources of `Wire`.
//
// Every look is at a block of memory that ends with the last byte, so the address sanitizer sees any read beyond it.

import Glibc

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>?, _ size: Int) -> CInt {
    let input = Array(UnsafeBufferPointer(start: data, count: size))
    for limits in [RequestParser.Limits(), narrowLimits] { checkRequests(input, limits) }
    checkReplies(input)
    checkWords(input)
    checkQueue(input)
    return 0
}

/// Limits so low that a short input reaches them.
private var narrowLimits: RequestParser.Limits {
    var limits = RequestParser.Limits()
    limits.bulkLength = 24
    limits.lineLength = 24
    limits.authenticated = false
    return limits
}

private func require(_ condition: Bool, _ text: @autoclosure () -> String) {
    if condition { return }
    let line = "property violated: \(text())\n"
    _ = write(2, line, line.utf8.count)
    abort()
}

/// Calls `body` with a copy of `bytes` that ends where its memory ends.
private func withExactCopy<Result>(_ bytes: ArraySlice<UInt8>, _ body: (UnsafePointer<UInt8>, Int) -> Result) -> Result {
    let block = UnsafeMutablePointer<UInt8>.allocate(capacity: bytes.count)
    defer { block.deallocate() }
    bytes.withUnsafeBufferPointer { if let base = $0.baseAddress { block.initialize(from: base, count: $0.count) } }
    return body(UnsafePointer(block), bytes.count)
}

/// Sizes of pieces that cover `input`, all chosen by its own bytes: everything at once, byte by byte, and some in between.
private func cuttings(_ input: [UInt8]) -> [[ArraySlice<UInt8>]] {
    var all = [[input[...]]]
    if input.count <= 64 { all.append(input.indices.map { input[$0...$0] }) }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in input { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    for _ in 0..<2 {
        var pieces: [ArraySlice<UInt8>] = []
        var position = 0
        while position < input.count {
            hash = hash &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            let bound = hash & 1 << 40 == 0 ? 8 : UInt64(input.count)
            let length = min(input.count - position, 1 + Int((hash >> 33) % bound))
            pieces.append(input[position..<(position + length)])
            position += length
        }
        all.append(pieces)
    }
    return all
}

// MARK: - Requests

private enum RequestEvent: Equatable {
    case request([[UInt8]], end: Int, isSloppy: Bool)
    case inline([[UInt8]], end: Int)
    case empty(end: Int)
    case malformed(String)
    case unfinished(bytes: Int)
}

private func requests(_ pieces: [ArraySlice<UInt8>], _ limits: RequestParser.Limits) -> [RequestEvent] {
    var parser = RequestParser()
    var events: [RequestEvent] = []
    var held: [UInt8] = []
    var offset = 0
    for piece in pieces {
        held += piece
        var position = 0
        look: while position < held.count {
            let (outcome, event) = withExactCopy(held[position...]) { start, count in
                one(&parser, start, count, limits, offset + position)
            }
            switch outcome {
            case .incomplete: break look
            case .malformed: return events + [event]
            case .complete, .empty, .inline:
                events.append(event)
                position += parser.length
            }
        }
        held.removeFirst(position)
        offset += position
    }
    return held.isEmpty ? events : events + [.unfinished(bytes: held.count)]
}

private func one(
    _ parser: inout RequestParser, _ start: UnsafePointer<UInt8>, _ count: Int, _ limits: RequestParser.Limits, _ offset: Int
) -> (RequestParser.Outcome, RequestEvent) {
    let outcome = parser.parse(start, count, limits)
    switch outcome {
    case .complete:
        require(parser.length > 0 && parser.length <= count, "a request ends within what is there")
        require(parser.argumentCount > 0 && parser.argumentCount == parser.expectedArguments, "all arguments are there")
        let words = arguments(of: parser, start, within: parser.length)
        checkReencoding(words)
        checkAgreement(parser.argumentCount, start, parser.length, limits, isSloppy: parser.isSloppy)
        return (outcome, .request(words, end: offset + parser.length, isSloppy: parser.isSloppy))
    case .inline:
        require(parser.length > 0 && parser.length <= count, "a line ends within what is there")
        let words = parser.inlineArguments(start)
        require(!words.isEmpty, "an inline request has words")
        checkReencoding(words)
        return (outcome, .inline(words, end: offset + parser.length))
    case .empty:
        require(parser.length > 0 && parser.length <= count, "a blank line ends within what is there")
        return (outcome, .empty(end: offset + parser.length))
    case .incomplete:
        require(parser.wanted > count, "asks for bytes that are there")
        _ = arguments(of: parser, start, within: count)
        return (outcome, .unfinished(bytes: count))
    case .malformed:
        require(!parser.failure.isEmpty, "says what is wrong")
        return (outcome, .malformed(parser.failure))
    }
}

private func arguments(of parser: borrowing RequestParser, _ start: UnsafePointer<UInt8>, within length: Int) -> [[UInt8]] {
    var words: [[UInt8]] = []
    var end = 0
    for index in 0..<parser.argumentCount {
        let place = parser.arguments[index]
        require(Int(place.offset) > end && place.length >= 0, "arguments follow each other")
        end = Int(place.offset) + Int(place.length)
        require(end + 2 <= length, "arguments lie within the request")
        words.append(Array(UnsafeBufferPointer(start: start + Int(place.offset), count: Int(place.length))))
    }
    return words
}

/// What is encoded parses back, and is followed by `RequestStream` to its very end, whatever comes behind it.
private func checkReencoding(_ words: [[UInt8]]) {
    var request: [UInt8] = []
    request.appendCommand(words)
    withExactCopy(request[...]) { start, count in
        var parser = RequestParser()
        guard case .complete = parser.parse(start, count, RequestParser.Limits()), parser.length == count, !parser.isSloppy
        else {
            require(false, "an encoded request parses")
            return
        }
        require(arguments(of: parser, start, within: count) == words, "an encoded request parses back")
    }
    let head = request.firstIndex(of: 10).map { $0 + 1 } ?? 0
    let body = Array(request[head...])
    for pieces in cuttings(body + [UInt8(ascii: "*"), UInt8(ascii: "$")]) {
        let (outcome, used) = follow(words.count, pieces, bulkLimit: .max)
        require(outcome == .finished && used == body.count, "a stream ends with its request")
    }
}

/// On any request that the parser takes, the stream either ends at the same byte or refuses it.
private func checkAgreement(
    _ count: Int, _ start: UnsafePointer<UInt8>, _ length: Int, _ limits: RequestParser.Limits, isSloppy: Bool
) {
    let request = Array(UnsafeBufferPointer(start: start, count: length))
    guard let carriageReturn = request.firstIndex(of: 13) else {
        require(false, "a request has a first line")
        return
    }
    let body = Array(request[(carriageReturn + 2)...])
    for pieces in cuttings(body) {
        let (outcome, used) = follow(count, pieces, bulkLimit: limits.bulkLength)
        switch outcome {
        case .finished: require(used == body.count, "a stream ends with its request")
        case .malformed: require(isSloppy, "a stream refuses only what is sloppy")
        case .unfinished: require(false, "a stream ends no later than its request")
        }
    }
}

private func follow(_ arguments: Int, _ pieces: [ArraySlice<UInt8>], bulkLimit: Int) -> (RequestStream.Outcome, Int) {
    var stream = RequestStream(arguments: arguments, bulkLimit: bulkLimit)
    var total = 0
    for piece in pieces {
        var used = 0
        let outcome = withExactCopy(piece) { stream.feed($0, $1, consumed: &used) }
        require(used >= 0 && used <= piece.count, "a stream takes no more than there is")
        total += used
        if outcome != .unfinished { return (outcome, total) }
        require(used == piece.count, "an unfinished request takes all there is")
    }
    return (.unfinished, total)
}

private func checkRequests(_ input: [UInt8], _ limits: RequestParser.Limits) {
    let ways = cuttings(input)
    let whole = requests(ways[0], limits)
    for pieces in ways.dropFirst() {
        let same = requests(pieces, limits)
        require(same == whole, "\(pieces.map(\.count)) give \(same), the whole \(whole)")
    }
    // Any bytes may come behind a first array line: the stream's verdict does not depend on the pieces either.
    let verdict = follow(3, ways[0], bulkLimit: limits.bulkLength)
    for pieces in ways.dropFirst() {
        let same = follow(3, pieces, bulkLimit: limits.bulkLength)
        require(same.0 == verdict.0, "a stream's verdict depends on the pieces")
        if case .finished = same.0 { require(same.1 == verdict.1, "a stream's end depends on the pieces") }
    }
}

// MARK: - Replies

private struct Borders: Equatable {
    var ends: [Int] = []
    var types: [UInt8] = []
    var isMalformed = false
}

private func borders(_ pieces: [ArraySlice<UInt8>]) -> Borders {
    var scanner = ReplyScanner()
    var found = Borders()
    var held: [UInt8] = []
    var offset = 0
    for piece in pieces {
        held += piece
        var position = 0
        look: while position < held.count {
            var used = 0
            let outcome = withExactCopy(held[position...]) { scanner.next($0, $1, consumed: &used) }
            switch outcome {
            case .malformed:
                found.isMalformed = true
                return found
            case .incomplete:
                position += used
                require(position <= held.count, "a scanner takes no more than there is")
                break look
            case .complete:
                position += used
                require(used >= 0 && position <= held.count, "a reply ends within what is there")
                require(!scanner.isInsideReply && scanner.bytesAhead == 0, "nothing is left of a reply that is over")
                found.ends.append(offset + position)
                found.types.append(scanner.type)
            }
        }
        held.removeFirst(position)
        offset += position
    }
    return found
}

private func checkReplies(_ input: [UInt8]) {
    let ways = cuttings(input)
    let whole = borders(ways[0])
    for pieces in ways.dropFirst() {
        let same = borders(pieces)
        require(same == whole, "\(pieces.map(\.count)) give \(same), the whole \(whole)")
    }
    // The decoder is stricter, and where it finds a value the scanner finds a reply.
    var decoder = RESPDecoder(maximumBytes: 1 << 20)
    decoder.feed(input)
    var number = 0
    while let value = try? decoder.next() {
        _ = value
        let end = input.count - decoder.pendingBytes
        require(number < whole.ends.count && whole.ends[number] == end, "scanner and decoder differ about reply \(number)")
        number += 1
    }
}

// MARK: - Words and bytes

private func checkWords(_ input: [UInt8]) {
    let words = withExactCopy(input[...]) { RequestParser.splitArguments(UnsafeBufferPointer(start: $0, count: $1)) }
    guard let words else { return }
    require(words.reduce(0) { $0 + $1.count } <= input.count, "words are no longer than their line")
}

/// The bytes are instructions to a queue, and an array says what must be in it.
private func checkQueue(_ input: [UInt8]) {
    var queue = ByteQueue()
    var model: [UInt8] = []
    for byte in input.prefix(32) {
        let amount = Int(byte >> 2) * 16
        switch byte & 3 {
        case 0:
            let fresh = [UInt8](repeating: byte, count: amount)
            queue.append(fresh)
            model += fresh
        case 1:
            let length = min(amount, model.count)
            queue.consume(length)
            model.removeFirst(length)
        case 2:
            let length = max(0, model.count - amount)
            queue.truncate(length)
            model.removeLast(model.count - length)
        default:
            let space = queue.space(amount + 1)
            require(space.count > amount, "there is as much space as was asked for")
            for index in 0..<amount { space[index] = byte }
            queue.commit(amount)
            model += [UInt8](repeating: byte, count: amount)
        }
        require(queue.count == model.count, "the queue holds as much as was put in")
        let isSame = model.isEmpty || memcmp(queue.bytes, model, model.count) == 0
        require(isSame, "the queue holds what was put in")
    }
}
