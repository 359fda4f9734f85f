import CLinux
import Glibc

/// An IPv4, IPv6 or Unix socket address as the kernel takes it.
package struct SocketAddress: @unchecked Sendable {
    var storage = sockaddr_storage()
    var length: socklen_t = 0

    init() {}

    /// Copies an address that the resolver returned; nil when it is of no family that is known here.
    init?(_ address: UnsafePointer<sockaddr>, length: socklen_t) {
        guard length > 0, Int(length) <= MemoryLayout<sockaddr_storage>.size else { return nil }
        withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(length))) }
        self.length = length
        guard family == AF_INET || family == AF_INET6 else { return nil }
    }

    /// A numeric IPv4 or IPv6 address, the latter with or without brackets; nil for a name.
    package init?(numericHost host: String, port: Int) {
        guard let port = UInt16(exactly: port) else { return nil }
        var text = host
        if text.hasPrefix("["), text.hasSuffix("]") { text = String(text.dropFirst().dropLast()) }
        var four = sockaddr_in()
        var six = sockaddr_in6()
        if inet_pton(AF_INET, text, &four.sin_addr) == 1 {
            four.sin_family = sa_family_t(AF_INET)
            four.sin_port = port.bigEndian
            fill(with: &four)
        } else if inet_pton(AF_INET6, text, &six.sin6_addr) == 1 {
            six.sin6_family = sa_family_t(AF_INET6)
            six.sin6_port = port.bigEndian
            fill(with: &six)
        } else {
            return nil
        }
    }

    /// A Unix socket's path; nil when it is longer than the kernel's 107 bytes.
    init?(path: String) {
        var unix = sockaddr_un()
        let bytes = Array(path.utf8)
        guard !bytes.isEmpty, bytes.count < MemoryLayout.size(ofValue: unix.sun_path) else { return nil }
        unix.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &unix.sun_path) { $0.copyBytes(from: bytes) }
        fill(with: &unix)
    }

    /// `Address` is one of the plain C structures.
    private mutating func fill<Address>(with address: inout Address) {
        withUnsafeBytes(of: &address) { source in
            withUnsafeMutableBytes(of: &storage) { $0.copyMemory(from: source) }
        }
        length = socklen_t(MemoryLayout<Address>.size)
    }

    /// The address that a socket is bound to.
    static func local(of descriptor: Int32) -> SocketAddress {
        var address = SocketAddress()
        address.length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        _ = switchyard_local_address(descriptor, &address.storage, &address.length)
        return address
    }

    var family: Int32 { Int32(storage.ss_family) }

    private func view<Address, Result>(as type: Address.Type, _ body: (Address) -> Result) -> Result {
        withUnsafeBytes(of: storage) { body($0.loadUnaligned(as: type)) }
    }

    /// 0 for a Unix socket.
    package var port: Int {
        switch family {
        case AF_INET: view(as: sockaddr_in.self) { Int(UInt16(bigEndian: $0.sin_port)) }
        case AF_INET6: view(as: sockaddr_in6.self) { Int(UInt16(bigEndian: $0.sin6_port)) }
        default: 0
        }
    }

    /// The numeric host without brackets; an IPv4 peer of an IPv6 socket is shown as IPv4. Empty for a Unix socket.
    package var host: String {
        switch family {
        case AF_INET:
            return view(as: sockaddr_in.self) { address in
                var bytes = address.sin_addr
                return SocketAddress.text(AF_INET, &bytes)
            }
        case AF_INET6:
            return view(as: sockaddr_in6.self) { address in
                var bytes = address.sin6_addr
                let text = SocketAddress.text(AF_INET6, &bytes)
                return text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst(7)) : text
            }
        default:
            return ""
        }
    }

    private static func text(_ family: Int32, _ address: UnsafeRawPointer) -> String {
        var buffer = [CChar](repeating: 0, count: 64)
        guard inet_ntop(family, address, &buffer, socklen_t(buffer.count)) != nil else { return "?" }
        return buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    /// `ip:port` as CLIENT LIST shows it, an IPv6 host in brackets.
    package var description: String {
        let host = host
        return host.utf8.contains(UInt8(ascii: ":")) ? "[\(host)]:\(port)" : "\(host):\(port)"
    }

    /// True for 127.0.0.0/8, ::1 and Unix sockets: peers on this machine.
    package var isLoopback: Bool {
        switch family {
        case AF_UNIX: return true
        case AF_INET: return view(as: sockaddr_in.self) { UInt32(bigEndian: $0.sin_addr.s_addr) >> 24 == 127 }
        case AF_INET6:
            let host = host
            return host == "::1" || (host.hasPrefix("127.") && host.contains("."))
        default: return false
        }
    }
}
