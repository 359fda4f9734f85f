import Testing

@testable import Wire

/// Feeds pieces until the stream ends; returns how it ended and how many bytes it took.
private func run(_ arguments: Int, _ pieces: [ArraySlice<UInt8>], bulkLimit: Int = 1 << 20) -> (RequestStream.Outcome, Int) {
    var stream = RequestStream(arguments: arguments, bulkLimit: bulkLimit)
    var total = 0
    for piece in pieces {
        let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: piece.count)
        _ = block.initialize(from: piece)
        defer { block.deallocate() }
        guard let start = block.baseAddress else { continue }
        var used = 0
        let outcome = stream.feed(UnsafePointer(start), block.count, consumed: &used)
        precondition(used >= 0 && used <= block.count)
        total += used
        switch outcome {
        case .unfinished: precondition(used == block.count, "an unfinished request takes all there is")
        case .finished, .malformed: return (outcome, total)
        }
    }
    return (.unfinished, total)
}

struct RequestStreamTests {
    private static let wellFormed: [(Int, String)] = [
        (1, "$4\r\nPING\r\n"),
        (2, "$0\r\n\r\n$0\r\n\r\n"),
        (3, "$3\r\nSET\r\n$1\r\nk\r\n$12\r\n*1\r\n$4\r\nPING\r\n"),
        (2, "$1\r\n\r\r\n$2\r\n\r\n\r\n"),
    ]

    @Test(arguments: wellFormed)
    func endsWithTheRequestWhateverTheSplit(_ arguments: Int, _ text: String) {
        let request = bytes(text)
        for next in ["", "*1\r\n$4\r\nPING\r\n", "$1\r\na\r\n", "\r\n"] {
            for pieces in cuttings(request + bytes(next)) {
                let (outcome, used) = run(arguments, pieces)
                #expect(outcome == .finished)
                #expect(used == request.count)
            }
        }
    }

    @Test(arguments: wellFormed)
    func goesOnUntilTheLastByte(_ arguments: Int, _ text: String) {
        let request = bytes(text)
        for end in request.indices {
            #expect(run(arguments, [request[..<end]]) == (.unfinished, end))
        }
    }

    @Test(arguments: [
        ("x", "expected '$', got 'x'"),
        ("$1\r\na\r\nPING", "expected '$', got 'P'"),
        ("$\r\n", "invalid bulk length"),
        ("$a\r\n", "invalid bulk length"),
        ("$-1\r\n", "invalid bulk length"),
        ("$+1\r\n", "invalid bulk length"),
        ("$01\r\n", "invalid bulk length"),
        ("$00\r\n", "invalid bulk length"),
        ("$1\n", "invalid bulk length"),
        ("$1\r1\n", "invalid bulk length"),
        ("$1\r\r\n", "invalid bulk length"),
        ("$1048577\r\n", "invalid bulk length"),
        ("$9999999999999999999\r\n", "invalid bulk length"),
        ("$1\r\nab\r\n", "expected CRLF after an argument"),
        ("$1\r\na\rx", "expected CRLF after an argument"),
        ("$0\r\n\n\r", "expected CRLF after an argument"),
    ])
    func refusesWhateverTheSplit(_ text: String, _ words: String) {
        for pieces in cuttings(bytes(text)) { #expect(run(2, pieces).0 == .malformed(words), "\(pieces)") }
    }

    @Test func doesNotOverflow() {
        let text = bytes("$9999999999999999999\r\n")
        #expect(run(1, [text[...]], bulkLimit: .max).0 == .malformed("invalid bulk length"))
    }
}
