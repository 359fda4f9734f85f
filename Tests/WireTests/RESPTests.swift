import Testing

@testable import Wire

private func decodeAll(_ bytes: some Sequence<UInt8>, maximumBytes: Int = 1 << 20) throws(RESPError) -> [RESPValue] {
    var decoder = RESPDecoder(maximumBytes: maximumBytes)
    decoder.feed(bytes)
    var values: [RESPValue] = []
    while let value = try decoder.next() { values.append(value) }
    return values
}

private func bulk(_ text: String) -> RESPValue { .bulk(Array(text.utf8)) }

/// One of everything.
private let samples: [(wire: String, value: RESPValue)] = [
    ("+OK\r\n", .simpleString(Array("OK".utf8))),
    ("+\r\n", .simpleString([])),
    ("-ERR no\r\n", .error(Array("ERR no".utf8))),
    (":-42\r\n", .integer(-42)),
    (":+7\r\n", .integer(7)),
    (":9223372036854775807\r\n", .integer(.max)),
    ("$5\r\nhe\r\no\r\n", bulk("he\r\no")),
    ("$0\r\n\r\n", bulk("")),
    ("$-1\r\n", .null),
    ("*-1\r\n", .null),
    ("_\r\n", .null),
    ("*0\r\n", .array([])),
    ("*2\r\n$1\r\na\r\n*2\r\n:1\r\n$-1\r\n", .array([bulk("a"), .array([.integer(1), .null])])),
    (
        "%2\r\n+a\r\n:1\r\n+b\r\n*0\r\n",
        .map([
            .init(key: .simpleString([97]), value: .integer(1)), .init(key: .simpleString([98]), value: .array([])),
        ])
    ),
    ("%0\r\n", .map([])),
    ("~1\r\n:1\r\n", .set([.integer(1)])),
    (">2\r\n+message\r\n+x\r\n", .push([.simpleString(Array("message".utf8)), .simpleString([120])])),
    (",3.25\r\n", .double(3.25)),
    (",-1e300\r\n", .double(-1e300)),
    (",inf\r\n", .double(.infinity)),
    (",-inf\r\n", .double(-.infinity)),
    ("#t\r\n", .boolean(true)),
    ("#f\r\n", .boolean(false)),
    (
        "(-3492890328409238509324850943850943825024385\r\n",
        .bigNumber(Array("-3492890328409238509324850943850943825024385".utf8))
    ),
    ("!7\r\nERR a\r\n\r\n", .error(Array("ERR a\r\n".utf8))),
    ("=8\r\ntxt:a\r\nb\r\n", .verbatim(format: Array("txt".utf8), bytes: Array("a\r\nb".utf8))),
    ("|1\r\n+ttl\r\n:3\r\n:5\r\n", .integer(5)),
    ("*2\r\n|1\r\n+a\r\n*1\r\n:1\r\n:1\r\n|0\r\n:2\r\n", .array([.integer(1), .integer(2)])),
]

struct RESPDecoderTests {
    @Test func decodesEveryType() throws {
        for sample in samples { #expect(try decodeAll(sample.wire.utf8) == [sample.value], "\(sample.wire)") }
    }

    @Test func decodesTheSameWhateverTheSplit() throws {
        let wire = Array(samples.map(\.wire).joined().utf8)
        let values = samples.map(\.value)
        for split in 0...wire.count {
            var decoder = RESPDecoder()
            var decoded: [RESPValue] = []
            for piece in [wire[..<split], wire[split...]] {
                decoder.feed(piece)
                while let value = try decoder.next() { decoded.append(value) }
            }
            #expect(decoded == values, "split at \(split)")
            #expect(decoder.pendingBytes == 0)
        }
    }

    @Test func decodesByteByByte() throws {
        var decoder = RESPDecoder()
        var decoded: [RESPValue] = []
        for byte in samples.map(\.wire).joined().utf8 {
            decoder.feed(CollectionOfOne(byte))
            while let value = try decoder.next() { decoded.append(value) }
        }
        #expect(decoded == samples.map(\.value))
    }

    @Test func decodesNothingFromAPrefix() throws {
        for sample in samples {
            let wire = Array(sample.wire.utf8)
            for length in 0..<wire.count { #expect(try decodeAll(wire[..<length]).isEmpty, "\(sample.wire) cut at \(length)") }
        }
    }

    @Test func decodesNotANumber() throws {
        for text in [",nan\r\n", ",-nan\r\n"] {
            guard case .double(let value)? = try decodeAll(text.utf8).first else {
                Issue.record("no double")
                return
            }
            #expect(value.isNaN)
        }
    }

    @Test(arguments: [
        ("$-2\r\n", RESPError.badLength), ("$99999999999999999999\r\n", .badLength), ("$+5\r\n", .badLength),
        ("$\r\n", .badLength),
        ("$1x\r\n", .badLength), ("$-1x\r\n", .badLength), ("*-2\r\n", .badLength), ("%-1\r\n", .badLength),
        ("$?\r\n", .badLength),
        ("$999999999999999999\r\n", .tooLarge), ("*999999999999999999\r\n", .tooLarge), ("%999999999999999999\r\n", .tooLarge),
        ("*400000\r\n", .tooLarge), ("$1048577\r\n", .tooLarge), ("$1\r\nabc", .badLineEnd), ("$1\r\na\rb", .badLineEnd),
        (":1\n", .badLineEnd), ("+a\rb", .badLineEnd), (":\r\n", .badScalar), (":1.5\r\n", .badScalar), (": 1\r\n", .badScalar),
        (":9223372036854775808\r\n", .badScalar), ("#x\r\n", .badScalar), ("#tt\r\n", .badScalar), (",\r\n", .badScalar),
        (",0x1p3\r\n", .badScalar), (",1,5\r\n", .badScalar), ("(12a\r\n", .badScalar), ("(-\r\n", .badScalar),
        ("_x\r\n", .badScalar),
        ("=3\r\ntxt\r\n", .badScalar), ("=4\r\ntxt;\r\n", .badScalar), ("PING\r\n", .unknownType(80)), ("\0", .unknownType(0)),
        ("*1\r\nx", .unknownType(120)),
    ])
    func refusesHostileBytes(wire: String, error: RESPError) {
        #expect(throws: error, "\(wire)") { try decodeAll(wire.utf8) }
        var decoder = RESPDecoder(maximumBytes: 1 << 20)
        #expect(throws: error, "\(wire) byte by byte") {
            for byte in wire.utf8 {
                decoder.feed(CollectionOfOne(byte))
                while try decoder.next() != nil {}
            }
        }
        decoder.feed(":1\r\n".utf8)
        #expect(throws: error) { try decoder.next() }
    }

    @Test func boundsDepth() throws {
        let deepest = String(repeating: "*1\r\n", count: RESPDecoder.maximumDepth)
        #expect(try decodeAll((deepest + ":1\r\n").utf8).count == 1)
        #expect(throws: RESPError.tooDeep) { try decodeAll((deepest + "*1\r\n").utf8) }
        #expect(throws: RESPError.tooDeep) { try decodeAll((deepest + "*0\r\n").utf8) }
    }

    @Test func boundsOneValueButNotTheirSum() throws {
        let wire = "*2\r\n$4\r\nabcd\r\n$4\r\nabcd\r\n"
        #expect(try decodeAll(String(repeating: wire, count: 100).utf8, maximumBytes: wire.utf8.count).count == 100)
        #expect(throws: RESPError.tooLarge) { try decodeAll(wire.utf8, maximumBytes: wire.utf8.count - 1) }
    }

    @Test func boundsALineThatNeverEnds() {
        var decoder = RESPDecoder(maximumBytes: 1000)
        decoder.feed("+".utf8)
        #expect(throws: RESPError.tooLarge) {
            for _ in 0..<1001 {
                decoder.feed("a".utf8)
                _ = try decoder.next()
            }
        }
    }

    @Test func boundsAttributesThatNeverEnd() {
        var decoder = RESPDecoder(maximumBytes: 1000)
        #expect(throws: RESPError.tooLarge) {
            for _ in 0..<1001 {
                decoder.feed("|0\r\n".utf8)
                _ = try decoder.next()
            }
        }
    }

    @Test func survivesRandomBytes() {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("+-:$*_,#!=(%~>|0123456789\r\n\r\n\r\na".utf8)
        for _ in 0..<5000 {
            let wire = (0..<Int.random(in: 0..<60, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! }
            _ = try? decodeAll(wire)
        }
    }
}

struct RESPWriterTests {
    private func written(_ write: (inout [UInt8]) -> Void) -> String {
        var out: [UInt8] = []
        write(&out)
        return String(decoding: out, as: UTF8.self)
    }

    @Test func writesCommands() {
        #expect(written { $0.appendCommand("SET", "k", "") } == "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n")
        #expect(written { $0.appendCommand([[71, 69, 84], [0, 255]]) }.hasPrefix("*2\r\n$3\r\nGET\r\n$2\r\n\0"))
    }

    @Test func writesWhatTheVersionHas() {
        #expect(written { $0.appendNull(.two) } == "$-1\r\n")
        #expect(written { $0.appendNull(.three) } == "_\r\n")
        #expect(written { $0.appendNullArray(.two) } == "*-1\r\n")
        #expect(written { $0.appendMapHeader(2, .two) } == "*4\r\n")
        #expect(written { $0.appendMapHeader(2, .three) } == "%2\r\n")
        #expect(written { $0.appendSetHeader(2, .two) } == "*2\r\n")
        #expect(written { $0.appendPushHeader(3, .three) } == ">3\r\n")
        #expect(written { $0.appendBoolean(true, .two) } == ":1\r\n")
        #expect(written { $0.appendBoolean(false, .three) } == "#f\r\n")
        #expect(written { $0.appendVerbatim("hi", .two) } == "$2\r\nhi\r\n")
        #expect(written { $0.appendVerbatim("hi", .three) } == "=6\r\ntxt:hi\r\n")
    }

    @Test(arguments: [
        (1.0, "1"), (0.1, "0.1"), (-2.5, "-2.5"), (.infinity, "inf"), (-.infinity, "-inf"), (.nan, "nan"), (1e20, "1e+20"),
    ])
    func writesDoublesAsRedisDoes(value: Double, text: String) {
        #expect(written { $0.appendDouble(value, .three) } == ",\(text)\r\n")
        #expect(written { $0.appendDouble(value, .two) } == "$\(text.utf8.count)\r\n\(text)\r\n")
    }

    @Test func keepsLinesOnOneLine() {
        #expect(written { $0.appendError("ERR a\r\n+OK") } == "-ERR a  +OK\r\n")
        #expect(written { $0.appendSimpleString("a\nb") } == "+a b\r\n")
    }

    @Test func writesBackWhatItDecoded() throws {
        for sample in samples where !sample.wire.hasPrefix("!") {
            var out: [UInt8] = []
            out.append(sample.value, .three)
            #expect(try decodeAll(out) == [sample.value], "\(sample.wire)")
        }
    }
}
