import CLinux
import Glibc

/// Making sockets: listening, connecting, and the options that both kinds get.
enum Sockets {
    /// Connections that may wait to be accepted; the kernel cuts it to `net.core.somaxconn`.
    static let backlog: Int32 = 4096

    /// How a TCP listener shares its port.
    enum Sharing {
        /// This socket alone.
        case exclusive
        /// One socket per thread, between which the kernel spreads connections.
        case betweenThreads
    }

    static func set(_ option: switchyard_socket_option, _ value: Int32, on descriptor: Int32) {
        _ = switchyard_set_socket_option(descriptor, option, value)
    }

    /// Nagle off, and keepalive probes after `keepaliveSeconds` of silence (0 for none): a peer that vanished is noticed after
    /// about twice that time, as Redis does it. A listener's settings pass on to what it accepts. Unix sockets ignore both.
    static func configure(_ descriptor: Int32, keepaliveSeconds: Int) {
        set(SWITCHYARD_NO_DELAY, 1, on: descriptor)
        set(SWITCHYARD_KEEPALIVE, keepaliveSeconds > 0 ? 1 : 0, on: descriptor)
        guard keepaliveSeconds > 0 else { return }
        set(SWITCHYARD_KEEPALIVE_IDLE, Int32(clamping: keepaliveSeconds), on: descriptor)
        set(SWITCHYARD_KEEPALIVE_INTERVAL, Int32(clamping: max(keepaliveSeconds / 3, 1)), on: descriptor)
        set(SWITCHYARD_KEEPALIVE_COUNT, 3, on: descriptor)
    }

    /// A listening TCP socket.
    static func listen(on address: SocketAddress, sharing: Sharing) throws(SystemError) -> Descriptor {
        let socket = try bound(to: address, sharing: sharing)
        try startListening(socket.number, named: address.description)
        return socket
    }

    /// Throws when somebody listens on that address already, which `betweenThreads` alone would not notice: a second process of
    /// the same user would silently share the port.
    static func checkUnused(_ address: SocketAddress) throws(SystemError) {
        _ = try bound(to: address, sharing: .exclusive)
    }

    private static func bound(to address: SocketAddress, sharing: Sharing) throws(SystemError) -> Descriptor {
        let name = address.description
        let socket = try Descriptor(open(address.family), attempt: "socket for \(name)")
        set(SWITCHYARD_REUSE_ADDRESS, 1, on: socket.number)
        if sharing == .betweenThreads { set(SWITCHYARD_REUSE_PORT, 1, on: socket.number) }
        if address.family == AF_INET6 { set(SWITCHYARD_IPV6_ONLY, 1, on: socket.number) }
        var storage = address.storage
        let result = SystemCalls.uninterrupted { Int(switchyard_bind(socket.number, &storage, address.length)) }
        guard result == 0 else { throw SystemError(attempt: "bind \(name)", code: Int32(-result)) }
        return socket
    }

    private static func startListening(_ descriptor: Int32, named name: String) throws(SystemError) {
        let result = SystemCalls.uninterrupted { Int(Glibc.listen(descriptor, backlog)) }
        guard result == 0 else { throw SystemError(attempt: "listen \(name)", code: Int32(-result)) }
    }

    /// A listening Unix socket. A socket file that a dead process left behind is replaced; one that answers is not, and neither
    /// is a file of any other kind.
    static func listen(onPath path: String) throws(SystemError) -> Descriptor {
        guard let address = SocketAddress(path: path) else {
            throw SystemError(attempt: "unix socket \(path)", code: ENAMETOOLONG)
        }
        let socket = try Descriptor(open(AF_UNIX), attempt: "socket for \(path)")
        var storage = address.storage
        var result = SystemCalls.uninterrupted { Int(switchyard_bind(socket.number, &storage, address.length)) }
        if result == -Int(EADDRINUSE), switchyard_is_socket_file(path) == 1, isAbandoned(address) {
            _ = Glibc.unlink(path)
            result = SystemCalls.uninterrupted { Int(switchyard_bind(socket.number, &storage, address.length)) }
        }
        guard result == 0 else { throw SystemError(attempt: "bind \(path)", code: Int32(-result)) }
        try startListening(socket.number, named: path)
        return socket
    }

    /// Nobody listens behind the socket file.
    private static func isAbandoned(_ address: SocketAddress) -> Bool {
        let opened = open(AF_UNIX)
        guard opened >= 0 else { return false }
        let probe = Descriptor(owning: Int32(opened))
        return startConnecting(probe.number, to: address) == -Int(ECONNREFUSED)
    }

    static func remove(path: String) {
        _ = Glibc.unlink(path)
    }

    /// Begins a connection; its outcome is told by readiness to write and `SystemCalls.pendingError`. Register it only afterwards:
    /// epoll reports a socket that never tried to connect as hung up.
    static func connect(to address: SocketAddress) throws(SystemError) -> Descriptor {
        let socket = try Descriptor(open(address.family), attempt: "socket")
        let result = startConnecting(socket.number, to: address)
        guard result == 0 || result == -Int(EINPROGRESS) else { throw SystemError(attempt: "connect", code: Int32(-result)) }
        return socket
    }

    /// `EINTR` means that the attempt goes on in the background, so this call alone is not repeated.
    private static func startConnecting(_ descriptor: Int32, to address: SocketAddress) -> Int {
        var storage = address.storage
        let result = switchyard_connect(descriptor, &storage, address.length)
        if result == 0 { return 0 }
        return errno == EINTR ? -Int(EINPROGRESS) : -Int(errno)
    }

    private static func open(_ family: Int32) -> Int {
        SystemCalls.uninterrupted { Int(switchyard_socket(family)) }
    }
}
