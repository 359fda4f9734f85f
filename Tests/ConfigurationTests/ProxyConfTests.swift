import Configuration
import Proxy
import Testing

/// Keeps the proxy.conf at the top of the repository in step with the table.
@Suite struct ProxyConfTests {
    private static let path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/proxy.conf"

    /// Line after line.
    private func lines() throws -> [String] {
        String(decoding: try ConfigurationFile.read(Self.path), as: UTF8.self).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
    }

    @Test func loadsAndDiffersFromTheDefaultsOnlyInTheMaster() throws {
        let loaded = try Configuration.load(path: Self.path, commandLine: [])
        #expect(Configuration.changes(from: ProxyOptions(), to: loaded.options) == [#"master: "" -> 127.0.0.1:6379"#])
        #expect(loaded.files == [Self.path])
    }

    @Test(arguments: DirectiveTable.all.map(\.name))
    func describesDirectiveWithItsDefault(_ name: String) throws {
        let directive = try #require(DirectiveTable.directive(named: name))
        let lines = try lines()
        let places = lines.indices.filter { lines[$0] == name || lines[$0].hasPrefix("\(name) ") || lines[$0].hasPrefix("# \(name) ") }
        // The description of a directive may start with its name; the directive itself follows the facts.
        let place = try #require(places.first { lines[$0 - 1] == "# \(directive.facts)" }, "no line '# \(directive.facts)'")
        let isCommentedOut = lines[place].hasPrefix("# ")
        if isCommentedOut, directive.isOption, directive.defaultText != "\"\"" {
            #expect(lines[place] == "# \(name) \(directive.defaultText)")
        }
    }

    @Test func offersExamplesThatAreValid() throws {
        let lines = try lines()
        var text = ""
        for index in lines.indices.dropFirst() {
            let follows = lines[index - 1].hasPrefix("# Default: ")
            text += (follows && lines[index].hasPrefix("# ") ? String(lines[index].dropFirst(2)) : lines[index]) + "\n"
        }
        let options = try load(text)
        #expect(options.replicas.count == 1)
        #expect(options.backendUser == "switchyard")
        #expect(options.renamedCommands == ["flushall": ""])
        #expect(options.deniedCommands == ["keys", "debug|sleep"])
    }

    @Test func activatesOnlyWhatAStartNeeds() throws {
        let active = try lines().filter { !$0.isEmpty && !$0.hasPrefix("#") }
        #expect(active == ["mode static", "master 127.0.0.1:6379"])
    }
}
