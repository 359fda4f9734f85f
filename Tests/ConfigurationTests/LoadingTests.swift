import Configuration
import Proxy
import Testing

/// Files, includes, the command line, and their order.
@Suite struct LoadingTests {
    @Test func skipsCommentsBlankLinesCarriageReturnsAndByteOrderMarks() throws {
        #expect(try load("\u{feff}\r\n   \t\n  # port 1\n\r\n  port 2  \r\n").port == 2)
        #expect(try load("").port == 7379)
        #expect(try load("port 3").port == 3)
    }

    @Test func lastOfSeveralWinsUnlessRepeatable() throws {
        let options = try load("port 1\nreplica a:1\nport 2\nreplica b:1")
        #expect(options.port == 2)
        #expect(options.replicas.map(\.endpoint.host) == ["a", "b"])
    }

    @Test func commandLineOverridesAndAppends() throws {
        let options = try load(
            "port 1\nreplica a:1", commandLine: ["--port", "2", "--replica", "b:1", "weight", "2", "--Threads", "3"])
        #expect(options.port == 2)
        #expect(options.threads == 3)
        #expect(options.replicas.map(\.endpoint.host) == ["a", "b"])
        #expect(options.replicas.map(\.weight) == [1, 2])
    }

    @Test func commandLineCanStartTheReplicasAnew() throws {
        #expect(
            try load("replica a:1", commandLine: ["--replica", "", "--replica", "b:1"]).replicas.map(\.endpoint.host) == ["b"])
    }

    @Test func commandLineWordsNeedNoQuotes() throws {
        #expect(try load("", commandLine: ["--logfile", "/a \"b", "--requirepass", "\\x41 'q"]).logFile == "/a \"b")
        #expect(try load("", commandLine: ["--requirepass", "\\x41 'q"]).requirePass == "\\x41 'q")
    }

    @Test func refusesCommandLineThatStartsWithNoDirective() {
        #expect(refusal("", commandLine: ["port", "1"])?.hasPrefix("command line: unexpected argument 'port'") == true)
        #expect(refusal("", commandLine: ["--"])?.hasPrefix("command line: unknown directive ''") == true)
        #expect(refusal("", commandLine: ["--port", "--threads", "1"]) == "command line: port takes NUMBER in '--port'")
    }

    @Test func includesRelativeToTheIncludingFile() throws {
        let files = Files([
            "etc/a.conf": "port 1\ninclude sub/b.conf\nthreads 3",
            "etc/sub/b.conf": "port 2\nthreads 2\ninclude ../c.conf\ninclude /abs.conf",
            "etc/sub/../c.conf": "master a:1",
            "/abs.conf": "zone z",
        ])
        let loaded = try Configuration.load(path: "etc/a.conf", commandLine: [], readFile: files.read)
        #expect(loaded.options.port == 2)
        #expect(loaded.options.threads == 3)
        #expect(loaded.options.zone == "z")
        #expect(loaded.files == ["etc/a.conf", "etc/sub/b.conf", "etc/sub/../c.conf", "/abs.conf"])
    }

    @Test func namesTheIncludedFileInErrors() {
        #expect(refusal("include sub/b", files: ["sub/b": "\nport x"])?.hasPrefix("sub/b:2: port must") == true)
        #expect(
            refusal("\ninclude nowhere")
                == "proxy.conf:2: include can't read 'nowhere': No such file or directory in 'include nowhere'")
    }

    @Test func includesFromTheCommandLine() throws {
        #expect(try load("port 1", commandLine: ["--include", "x/y"], files: ["x/y": "port 2"]).port == 2)
    }

    @Test func sameFileMayBeIncludedTwiceButNotWithinItself() throws {
        #expect(try load("include a\ninclude a", files: ["a": "port 2"]).port == 2)
        #expect(refusal("include proxy.conf")?.contains("leads to itself") == true)
        #expect(refusal("include d/../proxy.conf")?.contains("leads to itself") == true)
        #expect(refusal("include a", files: ["a": "include ./b", "./b": "include .//a"])?.contains("leads to itself") == true)
    }

    @Test func includesSixteenDeepButNotDeeper() throws {
        // main.conf includes proxy.conf, the first level.
        func chain(_ count: Int) -> [String: String] {
            Dictionary(uniqueKeysWithValues: (1...count).map { ("\($0)", $0 == count ? "port 5" : "include \($0 + 1)") })
        }
        #expect(try load("include 1", files: chain(15)).port == 5)
        #expect(refusal("include 1", files: chain(16)) == "15:1: include deeper than 16 files in 'include 16'")
        #expect(refusal("include 1", files: chain(1000))?.contains("deeper than 16") == true)
    }

    @Test func boundsTheNumberOfFiles() {
        var files: [String: String] = [:]
        for level in 1...15 { files["\(level)"] = "include \(level + 1)\ninclude \(level + 1)" }
        files["16"] = ""
        files["15"] = ""
        #expect(refusal("include 1", files: files)?.contains("more than 256 files") == true)
    }

    @Test func dashInAnIncludeIsAFileNotStandardInput() {
        let text = message {
            try Configuration.load(path: "-", commandLine: [], readFile: Files(["-": "include -"]).read)
        }
        #expect(text == "standard input:1: include can't read './-': No such file or directory in 'include -'")
    }

    @Test func saysWhichFileCannotBeRead() {
        #expect(
            message { try Configuration.load(path: "x", commandLine: [], readFile: Files([:]).read) }
                == "x: can't be read: No such file or directory")
    }

    @Test func remembersWhatItTakesToReload() throws {
        let files = Files(["a": "master a:1", "-": "master a:1"])
        let loaded = try Configuration.load(path: "a", commandLine: ["--port", "1"], readFile: files.read)
        #expect(loaded.path == "a")
        #expect(loaded.commandLine == ["--port", "1"])
        #expect(loaded.canBeReloaded)
        #expect(try !Configuration.load(path: "-", commandLine: [], readFile: files.read).canBeReloaded)
        #expect(try !Configuration.load(path: nil, commandLine: ["--master", "a:1"], readFile: files.read).canBeReloaded)
    }
}
