import Glibc

/// Reads configuration files for real: the only system calls of this target besides the text forms of addresses.
package enum ConfigurationFile {
    /// All bytes of the file, or of standard input for `-`. Throws an error whose reason says only what went wrong; whoever
    /// asked for the file adds where it was asked for.
    package static func read(_ path: String) throws(ConfigurationError) -> [UInt8] {
        func failure(_ reason: String) -> ConfigurationError { ConfigurationError(source: .file(path), reason: reason) }
        guard !path.utf8.contains(0) else { throw failure("the path contains a NUL byte") }
        let descriptor = path == "-" ? STDIN_FILENO : retrying { open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) }
        guard descriptor >= 0 else { throw failure(String(cString: strerror(errno))) }
        defer { if path != "-" { close(descriptor) } }

        // One byte more than the limit tells a file at the limit from one past it.
        let capacity = Limits.fileBytes + 1
        var problem: String?
        let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
            while count < capacity {
                let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[count...])
                let length = retrying { Glibc.read(descriptor, room.baseAddress, room.count) }
                if length < 0 { problem = String(cString: strerror(errno)) }
                if length <= 0 { break }
                count += length
            }
        }
        if let problem { throw failure(problem) }
        guard bytes.count <= Limits.fileBytes else { throw failure("longer than \(Limits.fileBytes) bytes") }
        return bytes
    }

    private static func retrying<Result: SignedInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}
