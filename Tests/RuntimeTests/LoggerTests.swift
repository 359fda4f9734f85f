import Glibc
import Proxy
import Testing

@testable import Runtime

@Suite struct LogLineTests {
    /// 2026-11-21T15:04:05.123Z.
    private let time: Int64 = 1_795_273_445_123

    @Test func textNamesTimeAndLevel() {
        #expect(
            LogLine.render(.notice, "Ready", wallMilliseconds: time, format: .text) == "2026-11-21T15:04:05.123Z NOTICE Ready")
    }

    @Test func jsonIsOneObject() {
        let line = LogLine.render(.warning, "a \"b\" \\ c\n\u{1}é", wallMilliseconds: time, format: .json)
        #expect(line == #"{"time":"2026-11-21T15:04:05.123Z","level":"warning","message":"a \"b\" \\ c\n\u0001é"}"#)
    }

    @Test func nobodyForgesASecondLine() {
        let line = LogLine.render(.notice, "bad\r\n2026 NOTICE forged\u{1b}[2J", wallMilliseconds: time, format: .text)
        #expect(line.hasSuffix(#"NOTICE bad\r\n2026 NOTICE forged\x1b[2J"#))
    }

    @Test func padsEveryField() {
        #expect(LogLine.timestamp(0) == "1970-01-01T00:00:00.000Z")
        #expect(LogLine.timestamp(951_782_400_007) == "2000-02-29T00:00:00.007Z")
    }
}

@Suite struct LoggerTests {
    private func options(_ path: String, level: LogLevel = .notice) -> ProxyOptions {
        var options = ProxyOptions()
        options.logFile = path
        options.logLevel = level
        return options
    }

    @Test func writesWhatTheLevelAsksFor() throws {
        let path = temporaryPath("level.log")
        defer { unlink(path) }
        let log = Logger()
        try log.configure(options(path))
        log(.verbose, "hidden")
        log(.notice, "shown")
        try log.configure(options(path, level: .debug))
        log(.debug, "shown too")
        let lines = try #require(Files.read(path)).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines[0].hasSuffix("NOTICE shown"))
        #expect(lines[1].hasSuffix("DEBUG shown too"))
    }

    @Test func followsARotatedFile() throws {
        let path = temporaryPath("rotated.log")
        defer {
            unlink(path)
            unlink(path + ".1")
        }
        let log = Logger()
        try log.configure(options(path))
        log(.notice, "before")
        rename(path, path + ".1")
        try log.reopen()
        log(.notice, "after")
        #expect(try #require(Files.read(path + ".1")).hasSuffix("before\n"))
        #expect(try #require(Files.read(path)).hasSuffix("after\n"))
    }

    @Test func staysWhereItIsWhenTheNewFileCantBeOpened() throws {
        let path = temporaryPath("stays.log")
        defer { unlink(path) }
        let log = Logger()
        try log.configure(options(path))
        #expect(throws: SystemError.self) { try log.configure(options("/nonexistent/directory/log")) }
        log(.notice, "still here")
        #expect(try #require(Files.read(path)).hasSuffix("still here\n"))
    }

    @Test func linesOfManyThreadsNeverMix() async throws {
        let path = temporaryPath("threads.log")
        defer { unlink(path) }
        let log = Logger()
        try log.configure(options(path))
        let word = String(repeating: "w", count: 200)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 { group.addTask { for _ in 0..<200 { log(.notice, word) } } }
        }
        let lines = try #require(Files.read(path)).split(separator: "\n")
        #expect(lines.count == 800)
        #expect(lines.allSatisfy { $0.count == 24 + 8 + 200 && $0.hasSuffix(word) })
    }
}
