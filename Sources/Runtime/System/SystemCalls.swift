import CLinux
import Glibc

/// Thin wrappers of the system calls that loops make on plain descriptors. Each returns what the kernel returned, or the negated
/// `errno`; a call that a signal interrupted is made again, here and nowhere else.
enum SystemCalls {
    @inline(__always)
    static func uninterrupted(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 { return result }
            let code = errno
            if code != EINTR { return -Int(code) }
        }
    }

    /// Bytes that were waiting on a socket; 0 when the peer has finished sending.
    @inline(__always)
    static func receive(_ descriptor: Int32, into space: UnsafeMutableRawBufferPointer) -> Int {
        uninterrupted { switchyard_receive(descriptor, space.baseAddress, space.count) }
    }

    /// True when the peer has finished sending and nothing that it sent is still to be read.
    static func isFinished(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return uninterrupted { switchyard_peek(descriptor, &byte, 1) } == 0
    }

    /// Sends one stretch; a broken connection is an error, not a signal.
    @inline(__always)
    static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        uninterrupted { switchyard_send(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// Sends several stretches in order with one call.
    @inline(__always)
    static func send(_ descriptor: Int32, _ vectors: UnsafeMutablePointer<iovec>, count: Int) -> Int {
        uninterrupted { switchyard_send_vectors(descriptor, vectors, count) }
    }

    /// The next waiting connection, non-blocking and closed on exec.
    static func accept(_ listener: Int32, from address: inout SocketAddress) -> Int {
        uninterrupted {
            address.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            return Int(switchyard_accept(listener, &address.storage, &address.length))
        }
    }

    static func read(_ descriptor: Int32, into space: UnsafeMutableRawBufferPointer) -> Int {
        uninterrupted { Glibc.read(descriptor, space.baseAddress, space.count) }
    }

    static func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        uninterrupted { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    /// On Linux the descriptor is gone whatever `close` returns, so it is never called twice.
    @inline(__always)
    static func close(_ descriptor: Int32) {
        _ = Glibc.close(descriptor)
    }

    /// Waits up to the timeout (-1 for ever); the number of events stored.
    @inline(__always)
    static func wait(
        _ epoll: Int32, _ events: UnsafeMutablePointer<epoll_event>, capacity: Int32, timeoutMilliseconds: Int32
    ) -> Int {
        uninterrupted { Int(epoll_wait(epoll, events, capacity, timeoutMilliseconds)) }
    }

    /// Why a connection attempt or an established connection failed; 0 when it has not.
    static func pendingError(_ descriptor: Int32) -> Int32 {
        let result = uninterrupted { Int(switchyard_socket_error(descriptor)) }
        return Int32(result < 0 ? -result : result)
    }

    /// All of a small file such as those below `/proc`, or nil when it can't be read.
    static func contents(ofFile path: String, limit: Int = 1 << 20) -> [UInt8]? {
        let opened = uninterrupted { Int(switchyard_open_read(path)) }
        guard opened >= 0 else { return nil }
        let descriptor = Descriptor(owning: Int32(opened))
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while contents.count < limit {
            let count = chunk.withUnsafeMutableBytes { read(descriptor.number, into: $0) }
            guard count >= 0 else { return nil }
            if count == 0 { break }
            contents += chunk[..<count]
        }
        return contents
    }
}
