import CLinux
import Glibc

/// What epoll says of one descriptor.
struct Readiness: OptionSet {
    let rawValue: UInt32

    static let readable = Readiness(rawValue: UInt32(SWITCHYARD_EPOLLIN))
    static let writable = Readiness(rawValue: UInt32(SWITCHYARD_EPOLLOUT))
    /// The peer finished sending.
    static let finished = Readiness(rawValue: UInt32(SWITCHYARD_EPOLLRDHUP))
    /// Both directions are over, or the connection failed.
    static let broken = Readiness(rawValue: UInt32(SWITCHYARD_EPOLLHUP | SWITCHYARD_EPOLLERR))
}

/// Owns an epoll instance and the memory for one batch of its events.
struct Poller: ~Copyable {
    /// How a descriptor is watched.
    enum Watch {
        /// Both directions, each change reported once: for links, which are registered for life.
        case edges
        /// Reported as long as there is something to read: for listeners and wake-ups.
        case readable
        /// The same for a listener that several loops share: one of them is woken per connection.
        case readableShared
    }

    private let descriptor: Descriptor
    private let events: UnsafeMutablePointer<epoll_event>
    private let capacity: Int32

    init(capacity: Int = 512) throws(SystemError) {
        descriptor = try Descriptor(Int(switchyard_epoll_create()).orErrno, attempt: "epoll_create")
        events = .allocate(capacity: capacity)
        events.initialize(repeating: epoll_event(), count: capacity)
        self.capacity = Int32(capacity)
    }

    deinit { events.deallocate() }

    /// Watches a descriptor until it is closed or removed. `token` comes back with each of its events.
    func add(_ watched: Int32, token: UInt64, _ watch: Watch) throws(SystemError) {
        let flags: UInt32 =
            switch watch {
            case .edges:
                Readiness([.readable, .writable, .finished]).rawValue | SWITCHYARD_EPOLLET
            case .readable:
                Readiness.readable.rawValue
            case .readableShared:
                Readiness.readable.rawValue | UInt32(SWITCHYARD_EPOLLEXCLUSIVE)
            }
        let result = Int(switchyard_epoll_add(descriptor.number, watched, flags, token)).orErrno
        guard result == 0 else { throw SystemError(attempt: "epoll_ctl", code: Int32(-result)) }
    }

    func remove(_ watched: Int32) {
        _ = switchyard_epoll_remove(descriptor.number, watched)
    }

    /// Waits for events; how many there are. Traps when the kernel refuses, which only a bug of ours can cause.
    @inline(__always)
    func wait(timeoutMilliseconds: Int32) -> Int {
        let count = SystemCalls.wait(descriptor.number, events, capacity: capacity, timeoutMilliseconds: timeoutMilliseconds)
        precondition(count >= 0, "epoll_wait failed")
        return count
    }

    @inline(__always)
    func token(at index: Int) -> UInt64 { switchyard_event_token(events, index) }

    @inline(__always)
    func readiness(at index: Int) -> Readiness { Readiness(rawValue: switchyard_event_flags(events, index)) }
}

extension Int {
    /// A call's result, with -1 replaced by the negated `errno`.
    var orErrno: Int { self >= 0 ? self : -Int(errno) }
}
