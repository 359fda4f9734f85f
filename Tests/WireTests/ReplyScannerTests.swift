import Testing

@testable import Wire

/// Where replies end in bytes that arrive in pieces: what the scanner leaves over comes again with the next piece.
private func borders(_ pieces: [ArraySlice<UInt8>]) -> (ends: [Int], types: [UInt8], isMalformed: Bool) {
    var scanner = ReplyScanner()
    var ends: [Int] = []
    var types: [UInt8] = []
    var offset = 0
    var held: [UInt8] = []
    for piece in pieces {
        held += piece
        var position = 0
        var needsMore = false
        while position < held.count && !needsMore {
            let block = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: held.count - position)
            _ = block.initialize(from: held[position...])
            defer { block.deallocate() }
            var used = 0
            let outcome = scanner.next(UnsafePointer(block.baseAddress!), block.count, consumed: &used)
            precondition(used >= 0 && used <= block.count)
            switch outcome {
            case .complete:
                precondition(!scanner.isInsideReply && scanner.bytesAhead == 0)
                ends.append(offset + position + used)
                types.append(scanner.type)
            case .incomplete: needsMore = true
            case .malformed: return (ends, types, true)
            }
            position += used
        }
        offset += position
        held.removeFirst(position)
    }
    return (ends, types, false)
}

struct ReplyScannerTests {
    private static let replies = [
        "+OK\r\n", "+\r\n", "-ERR no\r\n", ":-42\r\n", "$5\r\nhe\r\no\r\n", "$0\r\n\r\n", "$-1\r\n", "*-1\r\n", "_\r\n",
        "*0\r\n",
        "*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n", "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n", "%0\r\n", "~1\r\n:1\r\n",
        ">2\r\n+message\r\n+x\r\n", ",3.25\r\n", "#t\r\n", "(123456789012345678901234567890\r\n", "!7\r\nERR a\r\n\r\n",
        "=8\r\ntxt:a\r\nb\r\n", "|1\r\n+ttl\r\n:3\r\n:5\r\n", "*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:1\r\n|0\r\n:2\r\n",
        "*1\r\n*1\r\n*1\r\n%1\r\n+k\r\n~2\r\n_\r\n#f\r\n",
    ]

    @Test func findsEveryReply() {
        for reply in Self.replies {
            let found = borders([bytes(reply)[...]])
            #expect(found.ends == [reply.utf8.count] && !found.isMalformed, "\(reply)")
            #expect(found.types == [reply.utf8.first!])
        }
    }

    @Test func findsTheSameBordersWhateverTheSplit() {
        let all = bytes(Self.replies.joined())
        var ends: [Int] = []
        for reply in Self.replies { ends.append((ends.last ?? 0) + reply.utf8.count) }
        for pieces in cuttings(all) {
            let found = borders(pieces)
            #expect(found.ends == ends && !found.isMalformed)
        }
    }

    @Test func findsTheSameBordersInPiecesOfEverySize() {
        let all = bytes(Self.replies.joined())
        let whole = borders([all[...]])
        for size in 2...40 {
            let pieces = stride(from: 0, to: all.count, by: size).map { all[$0..<min($0 + size, all.count)] }
            #expect(borders(pieces).ends == whole.ends)
        }
    }

    /// A status may be as long as a script likes.
    @Test func passesLongLinesInPieces() {
        let line = [UInt8(ascii: "+")] + [UInt8](repeating: UInt8(ascii: "x"), count: 300_000) + bytes("\r\n")
        let all = bytes("*2\r\n") + line + line + bytes(":1\r\n")
        let ends = [all.count - 4, all.count]
        for size in [all.count, 100_000, 65_537, 65_536, 4_096] {
            let pieces = stride(from: 0, to: all.count, by: size).map { all[$0..<min($0 + size, all.count)] }
            #expect(borders(pieces).ends == ends, "pieces of \(size)")
        }
    }

    @Test func leavesOnlyACountOfALongBulk() {
        var scanner = ReplyScanner()
        var used = 0
        let head = bytes("$1000000\r\nabc")
        let outcome = head.withUnsafeBufferPointer { scanner.next($0.baseAddress!, $0.count, consumed: &used) }
        guard case .incomplete = outcome else {
            Issue.record("it is not complete")
            return
        }
        #expect(used == head.count)
        #expect(scanner.bytesAhead == 1_000_002 - 3)
        #expect(scanner.isInsideReply)
    }

    @Test(arguments: [
        "PING\r\n", "\r\n", "$abc\r\n", "$\r\n", "$-2\r\n", "*-2\r\n", "$1\n1\r\n", "$1\rx", "$9999999999999\r\n",
        "*1\r\nx\r\n", "$?\r\n",
        "* 1\r\n", "$-\r\n", "\0",
    ])
    func refusesWhateverTheSplit(_ text: String) {
        for pieces in cuttings(bytes(text)) { #expect(borders(pieces).isMalformed, "\(pieces)") }
    }

    @Test func refusesMoreElementsThanCanBe() {
        var scanner = ReplyScanner()
        let head = bytes("%999999999999\r\n")
        for _ in 0..<1_000 {
            var used = 0
            let outcome = head.withUnsafeBufferPointer { scanner.next($0.baseAddress!, $0.count, consumed: &used) }
            if case .malformed = outcome { return }
        }
        Issue.record("nested maps were counted without end")
    }
}
