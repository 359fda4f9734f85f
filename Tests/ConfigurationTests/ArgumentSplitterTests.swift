import Configuration
import Testing

@Suite struct ArgumentSplitterTests {
    private func split(_ line: String) -> [String]? {
        ArgumentSplitter.split(line.utf8)?.map { String(decoding: $0, as: UTF8.self) }
    }

    @Test func separatesWordsBySpacesAndTabs() {
        #expect(split("  port \t 7379  ") == ["port", "7379"])
        #expect(split("") == [])
        #expect(split("   ") == [])
    }

    @Test func understandsDoubleQuotes() {
        #expect(split(#"a "b c" "" d"#) == ["a", "b c", "", "d"])
        #expect(split(#""\n\r\t\b\a\\\"\q""#) == ["\n\r\t\u{8}\u{7}\\\"q"])
        #expect(split(#""'""#) == ["'"])
    }

    @Test func understandsHexadecimalEscapesInDoubleQuotes() {
        #expect(ArgumentSplitter.split(#""\x00\xfF\x41""#.utf8) == [[0, 0xff, 0x41]])
        #expect(split(#""\xg1\x4""#) == ["xg1x4"])
    }

    @Test func understandsSingleQuotes() {
        #expect(split(#"'a b' 'it\'s' 'no\nescape' '"'"#) == ["a b", "it's", #"no\nescape"#, "\""])
    }

    @Test func startsAQuoteWithinAWord() {
        #expect(split(#"a"b c" d"#) == ["ab c", "d"])
        #expect(split(#"a'b c'"#) == ["ab c"])
    }

    @Test func keepsBackslashesOutsideQuotes() {
        #expect(split(#"C:\path"#) == [#"C:\path"#])
    }

    @Test(arguments: [#"""#, "'", #""abc"#, "'abc", #""abc\"#, #""abc\""#, #"'abc\'"#, #"a "b"c"#, "'a'b", #""a""b""#])
    func refusesUnbalancedQuotes(_ line: String) {
        #expect(split(line) == nil)
    }

    @Test func readsBackEveryWordItQuotes() {
        var words = ["", " ", "plain", "a b", "\"", "'", "\\", "a\\ b", "\n\r\t", "é ü", "#", "日本"]
        words += (1...127).map { String(Unicode.Scalar(UInt8($0))) + " x" }
        words += (1...127).map { String(Unicode.Scalar(UInt8($0))) }
        for word in words {
            #expect(split(ArgumentSplitter.quoted(word)) == [word], "\(word.debugDescription)")
        }
        #expect(ArgumentSplitter.quoted("plain") == "plain")
        #expect(ArgumentSplitter.quoted("") == "\"\"")
    }

    @Test func neverTrapsOnArbitraryBytes() {
        var generator = SystemRandomNumberGenerator()
        let alphabet: [UInt8] = [0x20, 0x22, 0x27, 0x5c, 0x78, 0x61, 0x39, 0x09, 0x0d, 0x00, 0xff]
        for _ in 0..<5000 {
            let line = (0..<Int.random(in: 0...24, using: &generator)).map { _ in alphabet.randomElement(using: &generator)! }
            let words = ArgumentSplitter.split(line) ?? []
            #expect(words.reduce(0) { $0 + $1.count } <= line.count)
        }
    }
}
