import CLinux
import Glibc

/// A system call that the kernel refused: which one, and why.
package struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was attempted, in words fit for a log line: `bind 127.0.0.1:7379`.
    package var attempt: String
    /// The kernel's reason, an `errno` value.
    package var code: Int32

    package init(attempt: String, code: Int32) {
        self.attempt = attempt
        self.code = code
    }

    package var description: String { "\(attempt): \(SystemError.text(of: code))" }

    /// The kernel's own words for a code: `Connection refused`.
    package static func text(of code: Int32) -> String {
        guard let text = strerror(code) else { return "error \(code)" }
        return String(cString: text)
    }
}
