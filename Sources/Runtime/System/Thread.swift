import CLinux
import Glibc

/// Starting threads. None is ever joined: they live as long as the process.
enum Thread {
    private final class Start {
        let name: String
        let body: @Sendable () -> Void
        init(name: String, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Runs `body` on a new thread. The name shows in `top -H` and is cut to 15 bytes.
    static func start(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        var thread = pthread_t()
        let start = Unmanaged.passRetained(Start(name: name, body: body))
        let code = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                _ = switchyard_set_thread_name(String(start.name.prefix(15)))
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError(attempt: "start thread \(name)", code: code)
        }
        pthread_detach(thread)
    }

    /// Processors that this process may run on.
    static var usableProcessors: Int { max(Int(switchyard_usable_processors()), 1) }
}
