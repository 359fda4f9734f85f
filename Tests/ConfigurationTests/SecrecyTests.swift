import Configuration
import Proxy
import Testing

/// `hunter2` must not come out again, whatever goes wrong.
@Suite struct SecrecyTests {
    @Test(arguments: [
        "requirepass hunter2 extra", "REQUIREPASS hunter2 extra", #"requirepass "hunter2"#, #""requirepass" "hunter2"#,
        #"'requirepass hunter2"#, "requirepass hunter2\0", "requirepas hunter2", "requirpass hunter2", "requirepasshunter2",
        #"requirepass"hunter2""#, "requirepass=hunter2", "requirepass:hunter2", "require-pass hunter2", "masterauth hunter2",
        "masterauth=hunter2", "backend-password hunter2 x", "backend-pasword hunter2", "backend-pass hunter2", "auth hunter2",
        "user default on >hunter2", "sentinel auth-pass mymaster hunter2", "password hunter2", "tls-key-file-pass hunter2",
        "backend_password hunter2", #"requirepass "\xffhunter2""#, #""requirepas\x73" 'hunter2"#,
        "foo hunter2", "portpass hunter2",
    ])
    func errorsOmitPassword(_ line: String) throws {
        let text = try #require(refusal(line))
        #expect(!text.contains("hunter2"), "\(text)")

        let words = line.split(separator: " ").map(String.init)
        let onCommandLine = refusal("", commandLine: ["--" + words[0]] + words.dropFirst()) ?? ""
        #expect(!onCommandLine.contains("hunter2"), "\(onCommandLine)")
        let set = message {
            try Configuration.apply(pairs: [.init(name: words[0], value: words.dropFirst().joined(separator: " "))], to: .valid)
        }
        #expect(set?.contains("hunter2") != true, "\(set ?? "")")
    }

    @Test func showsThatThePasswordIsHidden() {
        #expect(refusal("requirepass hunter2 x") == "proxy.conf:1: requirepass takes PASSWORD in 'requirepass (hidden)'")
    }

    @Test func overlongPasswordStaysHidden() throws {
        for length in [513, 70_000] {
            let text = try #require(refusal("requirepass " + String(repeating: "hunter2", count: length / 7 + 1)))
            #expect(!text.contains("hunter2"))
        }
    }

    @Test func valuesAndChangesHidePasswords() throws {
        var options = ProxyOptions.valid
        options.requirePass = "hunter2"
        let values = Configuration.values(of: options, matching: ["*pass*"])
        #expect(values == [.init(name: "backend-password", value: ""), .init(name: "requirepass", value: "(hidden)")])
        #expect(Configuration.changes(from: .valid, to: options) == [#"requirepass: "" -> (hidden)"#])
        var other = options
        other.requirePass = "hunter3"
        #expect(Configuration.changes(from: options, to: other) == ["requirepass: (hidden) -> (hidden)"])
        #expect(try Configuration.reload(other, over: options).options.requirePass == "hunter3")
    }

    @Test func hiddenPasswordCannotBeWrittenBack() {
        let pairs = [Question.Pair(name: "requirepass", value: "(hidden)")]
        #expect(throws: ConfigurationError.self) { try Configuration.apply(pairs: pairs, to: .valid) }
    }

    @Test func helpShowsNoPassword() {
        #expect(HelpText.text.contains("--requirepass PASSWORD"))
    }
}

extension ProxyOptions {
    /// The defaults with a master.
    static var valid: ProxyOptions {
        var options = ProxyOptions()
        options.master = .init(host: "127.0.0.1", port: 6379)
        return options
    }
}
