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

/// The proxy.conf at the top of the repository.
let proxyConfPath = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/proxy.conf"

/// Loads the text as proxy.conf, included by a file that names the master, which static mode can't do without.
func load(_ text: String, commandLine: [String] = [], files: [String: String] = [:]) throws(ConfigurationError) -> ProxyOptions
{
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

/// The text of the configuration error that the closure throws; nil if it returns.
func message<Result>(of body: () throws -> Result) -> String? {
    do {
        _ = try body()
        return nil
    } catch {
        return (error as? ConfigurationError)?.description ?? "not a configuration error: \(error)"
    }
}

/// SplitMix64 (Steele, Lea and Flood, 'Fast splittable pseudorandom number generators', 2014): the same bytes for the same seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var word = state
        word = (word ^ word >> 30) &* 0xbf58_476d_1ce4_e5b9
        word = (word ^ word >> 27) &* 0x94d0_49bb_1331_11eb
        return word ^ word >> 31
    }
}
