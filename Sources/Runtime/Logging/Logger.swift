import CLinux
import Glibc
import Proxy
import Synchronization

/// The process's log, written from any thread. A line is one `write` under a lock, so lines never mix, neither here nor with those
/// of another process that appends to the same file. Not for the data path.
package final class Logger: Sendable {
    private struct State {
        var level: LogLevel
        var format: LogFormat
        /// Empty for standard output.
        var path = ""
        var descriptor: Int32 = STDOUT_FILENO
    }

    private let state: Mutex<State>

    /// Starts on standard output; `configure` moves it.
    package init(level: LogLevel = .notice, format: LogFormat = .text) {
        state = Mutex(State(level: level, format: format))
    }

    /// Takes level, format and file from the options. When the file can't be opened the log stays where it is.
    package func configure(_ options: ProxyOptions) throws(SystemError) {
        let path = options.logFile
        let isElsewhere = state.withLock { state in
            state.level = options.logLevel
            state.format = options.logFormat
            return state.path != path
        }
        if isElsewhere { try open(path) }
    }

    /// Opens the file of the same name again, after it was moved away (SIGUSR1).
    package func reopen() throws(SystemError) {
        let path = state.withLock { $0.path }
        if !path.isEmpty { try open(path) }
    }

    private func open(_ path: String) throws(SystemError) {
        var opened = STDOUT_FILENO
        if !path.isEmpty {
            let result = SystemCalls.uninterrupted { Int(switchyard_open_append(path)) }
            opened = try Descriptor(result, attempt: "open log file \(path)").release()
        }
        let previous = state.withLock { state in
            let previous = state.descriptor
            state.descriptor = opened
            state.path = path
            return previous
        }
        if previous != STDOUT_FILENO { SystemCalls.close(previous) }
    }

    package func isEnabled(_ level: LogLevel) -> Bool {
        state.withLock { level >= $0.level }
    }

    package func callAsFunction(_ level: LogLevel, _ message: @autoclosure () -> String) {
        guard isEnabled(level) else { return }
        let text = message()
        let time = Clock.wallMilliseconds
        state.withLock { state in
            var line = LogLine.render(level, text, wallMilliseconds: time, format: state.format)
            line += "\n"
            let descriptor = state.descriptor
            line.withUTF8 { bytes in
                var rest = UnsafeRawBufferPointer(bytes)
                while !rest.isEmpty {
                    let count = SystemCalls.write(descriptor, rest)
                    // A full disk or a closed pipe: the line is lost, the service goes on.
                    guard count > 0 else { return }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
            }
        }
    }
}
