import Testing

@testable import Wire

/// The errors are those of a Redis 7.0 server, asked with the same bytes.
struct RequestParserTests {
    private static let mixed = [
        "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
        "*0\r\n*-1\r\n\r\n\n \t\r\nPING\r\n*1\r\n$4\r\nPING\r\n",
        "SET k \"a b\\x41\\n\" 'it\\'s'\nGET k\r\n",
        "*2\r\n$3\r\nGET\r\n$5\r\n\r\n*1\r\r\n",
        "*1\r\n$4\r\nPINGxx*1\rx$4\r\nPING\r\n",
        "*2\r\n$3\r\nGET\r\n$12\r\n0123456789",
        "*1\r\n$4\r\nPING\r\n*x\r\n*1\r\n$4\r\nPING\r\n",
        "*-1234567890123456789\r\nPING\r\n",
        "*1\r\nGET\r\n",
        "*11\r\n",
        "GET \"k\r\n",
    ]

    @Test(arguments: mixed)
    func findsTheSameRequestsWhateverTheSplit(_ text: String) {
        let whole = parseRequests(text)
        for pieces in cuttings(bytes(text)) { #expect(parseRequests(pieces) == whole, "\(pieces)") }
    }

    @Test(arguments: mixed)
    func findsTheSameRequestsWhateverTheSplitWithNarrowLimits(_ text: String) {
        var limits = RequestParser.Limits()
        limits.lineLength = 8
        limits.bulkLength = 4
        limits.authenticated = false
        let whole = parseRequests([bytes(text)[...]], limits)
        for pieces in cuttings(bytes(text)) { #expect(parseRequests(pieces, limits) == whole, "\(pieces)") }
    }

    @Test func findsArguments() {
        #expect(parseRequests(encoded("SET", "k", "")) == [.request(["SET", "k", ""], isSloppy: false)])
        #expect(parseRequests(encoded("GET", "a\r\nb")) == [.request(["GET", "a\r\nb"], isSloppy: false)])
    }

    @Test func findsManyArguments() {
        let words = (0..<1000).map { "word-\($0)" }
        var request: [UInt8] = []
        request.appendCommand(words.map { Array($0.utf8) })
        #expect(parseRequests([request[...]]) == [.request(words, isSloppy: false)])
    }

    @Test func skipsEmptyAndNegativeArrays() {
        #expect(parseRequests("*0\r\n*-1\r\n*-10\r\n*-9223372036854775808\r\n") == [.empty, .empty, .empty, .empty])
    }

    @Test func toleratesAndMarksWrongLineEnds() {
        #expect(parseRequests("*1\r\n$4\r\nPINGxx") == [.request(["PING"], isSloppy: true)])
        #expect(parseRequests("*1\rx$4\rxPINGxx") == [.request(["PING"], isSloppy: true)])
        #expect(
            parseRequests("*1\r\n$4\r\nPING\rx" + encoded("PING")) == [
                .request(["PING"], isSloppy: true), .request(["PING"], isSloppy: false),
            ])
    }

    @Test(arguments: [
        "abc", "", " 1", "+1", "01", "-0", "1x", "2147483648", "99999999999999999999999999", "-9223372036854775809",
    ])
    func refusesArrayLength(_ length: String) {
        #expect(parseRequests("*\(length)\r\n") == [.malformed("invalid multibulk length")])
    }

    @Test(arguments: ["abc", "", " 1", "+1", "01", "-0", "-1", "1x", "536870913", "99999999999999999999999999"])
    func refusesBulkLength(_ length: String) {
        #expect(parseRequests("*1\r\n$\(length)\r\n") == [.malformed("invalid bulk length")])
    }

    @Test func acceptsTheLargestLengths() {
        #expect(parseRequests("*2147483647\r\n") == [.unfinished(bytes: 13)])
        #expect(parseRequests("*1\r\n$536870912\r\n") == [.unfinished(bytes: 16)])
    }

    @Test func refusesAnythingButADollar() {
        #expect(parseRequests("*1\r\nPING\r\n") == [.malformed("expected '$', got 'P'")])
        #expect(parseRequests("*2\r\n$3\r\nGET\r\n:1\r\n") == [.malformed("expected '$', got ':'")])
        // Redis waits for the line's end before it looks at the line.
        #expect(parseRequests("*1\r\nPING") == [.unfinished(bytes: 8)])
        #expect(parseRequests("*1\r\nPING\r") == [.unfinished(bytes: 9)])
    }

    @Test func allowsAnUnknownClientLittle() {
        var limits = RequestParser.Limits()
        limits.authenticated = false
        #expect(parseRequests("*11\r\n", limits) == [.malformed("unauthenticated multibulk length")])
        #expect(parseRequests("*10\r\n", limits) == [.unfinished(bytes: 5)])
        #expect(parseRequests("*1\r\n$16385\r\n", limits) == [.malformed("unauthenticated bulk length")])
        #expect(parseRequests("*1\r\n$16384\r\n", limits) == [.unfinished(bytes: 12)])
        // What nobody may send is refused as such.
        #expect(parseRequests("*2147483648\r\n", limits) == [.malformed("invalid multibulk length")])
        #expect(parseRequests("*1\r\n$536870913\r\n", limits) == [.malformed("invalid bulk length")])
    }

    /// Redis refuses a line that has no end within its first 65,537 bytes, the type byte included.
    @Test func refusesLinesWithoutEnd() {
        let limit = 65_536
        for (prefix, filling, words) in [
            ("", "*" + String(repeating: "1", count: limit - 1), "too big mbulk count string"),
            ("*1\r\n", "$" + String(repeating: "1", count: limit - 1), "too big bulk count string"),
            ("*1\r\n", String(repeating: "x", count: limit), "too big bulk count string"),
            ("", String(repeating: "a", count: limit), "too big inline request"),
        ] {
            #expect(parseRequests(prefix + filling) == [.unfinished(bytes: prefix.utf8.count + limit)])
            #expect(parseRequests(prefix + filling + "1") == [.malformed(words)])
        }
        let digits = "*" + String(repeating: "1", count: limit - 1)
        #expect(parseRequests(digits + "\r") == [.unfinished(bytes: limit + 1)])
        #expect(parseRequests(digits + "\r\n") == [.malformed("invalid multibulk length")])
        #expect(parseRequests(digits + "1\r\n") == [.malformed("too big mbulk count string")])
        let word = String(repeating: "a", count: limit)
        #expect(parseRequests(word + "\n") == [.inline([word])])
        #expect(parseRequests(word + "a\n") == [.malformed("too big inline request")])
    }

    @Test func asksForNoMoreThanTheRequestHas() {
        let request = bytes(encoded("MSET", "key-1", "a value", "key-2", String(repeating: "x", count: 300)))
        var parser = RequestParser()
        request.withUnsafeBufferPointer { buffer in
            for count in 1..<buffer.count {
                guard case .incomplete = parser.parse(buffer.baseAddress!, count, RequestParser.Limits()) else {
                    Issue.record("\(count) bytes of \(buffer.count) are a whole request")
                    continue
                }
                #expect(parser.wanted > count && parser.wanted <= buffer.count, "at \(count)")
            }
        }
    }

    @Test func tellsHowFarAnUnfinishedRequestIs() {
        var parser = RequestParser()
        let request = bytes("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1000\r\nabc")
        request.withUnsafeBufferPointer { buffer in
            guard case .incomplete = parser.parse(buffer.baseAddress!, buffer.count, RequestParser.Limits()) else {
                Issue.record("it is not complete")
                return
            }
        }
        #expect(parser.expectedArguments == 3)
        #expect(parser.argumentCount == 2)
        #expect(parser.wanted == 27 + 1000 + 2)
    }
}

struct InlineRequestTests {
    @Test(arguments: [
        ("PING", ["PING"]),
        ("  a \t b  ", ["a", "b"]),
        ("ECHO \"\\x41\\n\\q\"", ["ECHO", "A\nq"]),
        ("ECHO 'a\\'b\\n'", ["ECHO", "a'b\\n"]),
        ("ECHO a\"b c\"", ["ECHO", "ab c"]),
        ("ECHO \"\" ''", ["ECHO", "", ""]),
        ("ECHO \"\\x4\"", ["ECHO", "x4"]),
        ("ECHO \"\\t\\b\\a\\r\\\\\"", ["ECHO", "\t\u{08}\u{07}\r\\"]),
        ("ECHO \u{0b}\u{0c} z", ["ECHO", "z"]),
        ("\"\"", [""]),
    ])
    func splitsAsRedisDoes(_ line: String, _ words: [String]) {
        for end in ["\r\n", "\n"] { #expect(parseRequests(line + end) == [.inline(words)]) }
    }

    @Test(arguments: ["SET a \"b", "SET a 'b", "SET a \"b\"c", "SET a 'b'c", "ECHO \"a\\", "\"", "'", "a\"b\"\"c\""])
    func refusesQuotesThatDoNotBalance(_ line: String) {
        #expect(parseRequests(line + "\r\n") == [.malformed("unbalanced quotes in request")])
    }

    @Test(arguments: ["", " ", "\t \r"])
    func skipsBlankLines(_ line: String) {
        #expect(parseRequests(line + "\n") == [.empty])
    }

    @Test func keepsACarriageReturnWithinQuotes() {
        #expect(parseRequests("ECHO \"a\r\"\r\n") == [.inline(["ECHO", "a\r"])])
        #expect(parseRequests("ECHO a\r\r\n") == [.inline(["ECHO", "a"])])
    }
}
