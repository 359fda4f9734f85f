import Configuration
import Testing

@Suite struct CommandLineTests {
    private static let files = Files(["proxy.conf": "master a:1\nport 1", "-": "master b:1", "bad.conf": "prot 1"])

    private func parse(_ words: String...) throws(ConfigurationError) -> CommandLineRequest {
        try CommandLineRequest.parse(words, readFile: Self.files.read)
    }

    @Test func runsAFile() throws {
        guard case .run(let loaded) = try parse("proxy.conf", "--port", "2") else { throw Unexpected() }
        #expect(loaded.options.port == 2)
        #expect(loaded.path == "proxy.conf")
        #expect(loaded.commandLine == ["--port", "2"])
    }

    @Test func runsStandardInput() throws {
        guard case .run(let loaded) = try parse("-") else { throw Unexpected() }
        #expect(loaded.options.master?.host == "b")
    }

    @Test func runsWithoutAFile() throws {
        guard case .run(let loaded) = try parse("--master", "c:1") else { throw Unexpected() }
        #expect(loaded.path == nil)
        #expect(message { try parse() }?.contains("start with '--master HOST:PORT'") == true)
    }

    @Test func checksWithoutThrowing() throws {
        guard case .check(.success(let loaded)) = try parse("--check", "proxy.conf", "--port", "3") else { throw Unexpected() }
        #expect(loaded.options.port == 3)
        guard case .check(.success) = try parse("proxy.conf", "--check") else { throw Unexpected() }
        guard case .check(.success) = try parse("--master", "a:1", "--check", "--port", "1") else { throw Unexpected() }
        guard case .check(.failure(let error)) = try parse("--check", "bad.conf") else { throw Unexpected() }
        #expect(error.description == "bad.conf:1: unknown directive 'prot' in 'prot 1': did you mean 'port'?")
    }

    @Test func answersVersionAndHelp() throws {
        for words in [["--version"], ["-v"]] {
            guard case .version = try CommandLineRequest.parse(words, readFile: Self.files.read) else { throw Unexpected() }
        }
        for words in [["--help"], ["-h"], ["proxy.conf", "--help"]] {
            guard case .help = try CommandLineRequest.parse(words, readFile: Self.files.read) else { throw Unexpected() }
        }
    }

    @Test func passwordThatLooksLikeAnOptionIsAPassword() throws {
        guard case .run(let loaded) = try parse("proxy.conf", "--requirepass", "-h") else { throw Unexpected() }
        #expect(loaded.options.requirePass == "-h")
    }

    @Test func refusesUnknownOptionsAndStrayWords() {
        #expect(message { try parse("-x") } == "command line: unknown option '-x'; --help lists what there is")
        #expect(message { try parse("proxy.conf", "other.conf") }?.contains("unexpected argument 'other.conf'") == true)
        #expect(message { try parse("") } == "command line: the path of the configuration file is empty")
        #expect(message { try parse("nowhere") } == "nowhere: can't be read: No such file or directory")
    }

    @Test func helpListsEveryDirective() {
        let lines = HelpText.text.split(separator: "\n")
        for directive in DirectiveTable.all {
            #expect(lines.contains { $0 == "  --\(directive.name) \(directive.usage)" })
        }
        #expect(lines.allSatisfy { $0.count <= 128 })
    }

    private struct Unexpected: Error {}
}
