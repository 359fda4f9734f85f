import Configuration
import Glibc
import Proxy
import Testing

/// Files that nobody wrote by hand.
@Suite struct HostileInputTests {
    @Test func refusesNULBytes() {
        #expect(refusal(bytes: Array("port 1\0".utf8)) == #"proxy.conf:1: NUL byte in 'port 1\x00'"#)
        #expect(refusal(bytes: [0]) == "proxy.conf:1: NUL byte")
        for line in [#"logfile "a\x00b""#, #"requirepass "\x00""#, #"bind "a\x00""#, #"replica "\x00""#, #"include "a\x00""#] {
            #expect(refusal(line) != nil)
        }
    }

    @Test func refusesTextThatIsNotUTF8() {
        #expect(refusal(bytes: Array("zone ".utf8) + [0xff, 0xfe]) != nil)
        #expect(refusal(#"requirepass "\xff""#) == "proxy.conf:1: text that isn't UTF-8 in 'requirepass (hidden)'")
    }

    @Test func refusesOverlongLinesWithShortErrors() throws {
        for line in [
            String(repeating: "a", count: 1 << 20), "port " + String(repeating: "9", count: 1 << 20),
            "zone \"" + String(repeating: "\\", count: 1 << 20), String(repeating: "bind ", count: 200_000),
        ] {
            let text = try #require(refusal(line))
            #expect(text.utf8.count < 800)
            #expect(text.contains("line longer than 65536 bytes"))
        }
    }

    @Test func answersLongWordsWithShortErrors() throws {
        let long = String(repeating: "9", count: 60_000)
        let lines = [
            long, "port \(long)", "master \(long):1", "master a:\(long)", "read-from \(long)", "deny-command \(long)",
            "zone \(long)",
            "unixsocket \(long)", "include \(long)", "requirepass \(long)", "rename-command a \(long)", "timeout \(long)s",
        ]
        for line in lines {
            #expect(try #require(refusal(line)).utf8.count < 800)
        }
    }

    @Test func skipsLongComments() throws {
        #expect(try load("#" + String(repeating: "x", count: 1 << 20) + "\nport 2").port == 2)
    }

    @Test func boundsLists() {
        let replicas = (1...257).map { "replica a:\($0)" }.joined(separator: "\n")
        #expect(refusal(replicas)?.hasPrefix("proxy.conf:257: replica can't name more than 256 nodes") == true)
        let denied = (1...1025).map { "deny-command c\($0)" }.joined(separator: "\n")
        #expect(refusal(denied)?.hasPrefix("proxy.conf:1025: ") == true)
        let renamed = (1...1025).map { "rename-command c\($0) d\($0)" }.joined(separator: "\n")
        #expect(refusal(renamed)?.hasPrefix("proxy.conf:1025: ") == true)
        #expect(refusal("bind" + String(repeating: " *", count: 17)) != nil)
    }

    @Test func refusesOverlongFiles() {
        #expect(
            refusal(bytes: [UInt8](repeating: 0x0a, count: (4 << 20) + 1))
                == "main.conf:2: include can't read 'proxy.conf': longer than 4194304 bytes in 'include proxy.conf'")
    }

    @Test func errorsStayOnOneLineWithoutControlCharacters() throws {
        for line in ["zone \"a\\n\u{1b}[31mb", "zone \u{202e}abc\u{7}d", "po\u{1b}rt 1", "include \"a\\r\\nb\"", "\u{2028}x y"]
        {
            let text = try #require(refusal(line))
            let harmful: (Unicode.Scalar) -> Bool = { scalar in
                scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar == "\u{202e}" || scalar == "\u{2028}"
            }
            #expect(!text.unicodeScalars.contains(where: harmful))
        }
        let error = message { try Configuration.apply(pairs: [.init(name: "a\r\nb", value: "c\r\nd")], to: ProxyOptions()) }
        #expect(error == #"PROXY CONFIG SET: unknown directive 'a(hidden)'"#)
    }

    @Test func neverTrapsOnDamagedConfigurations() throws {
        let whole = try ConfigurationFile.read(proxyConfPath)
        let lines = whole.split(separator: 0x0a).map { Array($0.first == 0x23 ? $0.dropFirst(2) : $0) }
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<1000 {
            var line = lines.randomElement(using: &generator)!
            for _ in 0..<Int.random(in: 0...4, using: &generator) where !line.isEmpty {
                let index = line.indices.randomElement(using: &generator)!
                switch Int.random(in: 0...2, using: &generator) {
                case 0: line.remove(at: index)
                case 1: line[index] = UInt8.random(in: 0...255, using: &generator)
                default: line.insert([0x20, 0x22, 0x27, 0x5c, 0x3a, 0x2d].randomElement(using: &generator)!, at: index)
                }
            }
            let text = refusal(bytes: line) ?? ""
            #expect(text.utf8.count < 1200)
        }
    }

    @Test func refusesEveryCutOfAQuotedLineOrReadsIt() {
        let line = Array(#"replica "10.0.0.1:6379 weight 2 zone \"x\"""#.utf8)
        for end in 0...line.count {
            let text = refusal(bytes: Array(line[..<end]))
            #expect(text == nil ? end == 0 || end == line.count : text!.hasPrefix("proxy.conf:1: "))
        }
    }

    // MARK: Real files

    @Test func readsRealFilesAndSaysWhyNot() throws {
        let path = "/tmp/switchyard-configuration-test-\(getpid())"
        let file = try #require(fopen(path, "w"))
        fputs("port 1\n", file)
        fclose(file)
        defer { unlink(path) }
        #expect(try ConfigurationFile.read(path) == Array("port 1\n".utf8))
        #expect(message { try ConfigurationFile.read("/nowhere/at/all") } == "/nowhere/at/all: No such file or directory")
        #expect(message { try ConfigurationFile.read("/tmp") } == "/tmp: Is a directory")
        #expect(message { try ConfigurationFile.read("/dev/zero") } == "/dev/zero: longer than 4194304 bytes")
        #expect(message { try ConfigurationFile.read("a\0b") } == #"a\x00b: the path contains a NUL byte"#)
    }
}
