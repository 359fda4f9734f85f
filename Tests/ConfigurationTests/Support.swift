import Configuration
import Proxy
import Testing
import Wire

/// Files that exist only in a test.
struct Files {
    var contents: [String: [UInt8]] = [:]

    init(_ texts: [String: String]) { contents = texts.mapValues { Array($0.utf8) } }

    func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        guard let bytes = contents[path] else {
            throw ConfigurationError(source: .file(path), reason: "No such file or directory")
        }
        return bytes
    }
}

/// Loads the text as proxy.conf, included by a file that names the master, which static mode can't do without.
func load(_ text: String, commandLine: [String] = [], files: [String: String] = [:]) throws(ConfigurationError) -> ProxyOptions {
    try load(bytes: Array(text.utf8), commandLine: commandLine, files: files)
}

func load(
    bytes: [UInt8], commandLine: [String] = [], files: [String: String] = [:]
) throws(ConfigurationError) -> ProxyOptions {
    var all = Files(files)
    all.contents["proxy.conf"] = bytes
    all.contents["main.conf"] = Array("master 127.0.0.1:6379\ninclude proxy.conf\n".utf8)
    return try Configuration.load(path: "main.conf", commandLine: commandLine, readFile: all.read).options
}

/// The text of the error that loading ends with; nil if it succeeds.
func refusal(_ text: String, commandLine: [String] = [], files: [String: String] = [:]) -> String? {
    refusal(bytes: Array(text.utf8), commandLine: commandLine, files: files)
}

func refusal(bytes: [UInt8], commandLine: [String] = [], files: [String: String] = [:]) -> String? {
    do throws(ConfigurationError) {
        _ = try load(bytes: bytes, commandLine: commandLine, files: files)
        return nil
    } catch {
        return error.description
    }
}
