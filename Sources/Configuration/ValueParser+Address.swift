import Glibc
import Wire

extension ValueParser {
    /// `HOST:PORT`, an IPv6 address in brackets: `[::1]:6379`. Addresses come back in their canonical text, names in lower case.
    static func endpoint(_ text: String) throws(ValueError) -> Endpoint {
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw ValueError("needs a port, as in 10.0.0.1:6379")
        }
        var name = text[..<colon]
        let bracketed = name.utf8.first == UInt8(ascii: "[") && name.utf8.last == UInt8(ascii: "]")
        if bracketed { name = name.dropFirst().dropLast() }
        guard bracketed == name.utf8.contains(UInt8(ascii: ":")) else {
            throw ValueError("takes HOST:PORT, with an IPv6 address in brackets, as in [::1]:6379")
        }
        let port: Int
        do throws(ValueError) {
            port = try integer(String(text[text.utf8.index(after: colon)...]), in: 1...65535)
        } catch {
            throw ValueError("needs a port from 1 to 65535, as in 10.0.0.1:6379")
        }
        return Endpoint(host: try host(String(name)), port: port)
    }

    /// An address to listen on: `*` and `::*` for all of IPv4 and IPv6, a leading `-` if it may be missing (redis.conf, `bind`).
    static func bindAddress(_ text: String) throws(ValueError) -> String {
        let optional = text.utf8.first == UInt8(ascii: "-")
        let address = optional ? String(text.dropFirst()) : text
        let checked = address == "*" || address == "::*" ? address : try host(address)
        return optional ? "-" + checked : checked
    }

    /// An IPv4 or IPv6 address (with `%scope` if need be) in canonical text, or a host name in lower case.
    static func host(_ text: String) throws(ValueError) -> String {
        guard (1...Limits.hostBytes).contains(text.utf8.count) else {
            throw ValueError("needs a host of 1 to \(Limits.hostBytes) bytes")
        }
        if text.utf8.contains(UInt8(ascii: ":")) {
            let parts = text.split(separator: "%", maxSplits: 1, omittingEmptySubsequences: false)
            guard let address = canonical(String(parts[0]), family: AF_INET6) else {
                throw ValueError("has a malformed IPv6 address")
            }
            guard parts.count == 2 else { return address }
            guard !parts[1].isEmpty, parts[1].utf8.allSatisfy(isHostNameByte) else {
                throw ValueError("has a malformed scope after the % of an IPv6 address")
            }
            return "\(address)%\(parts[1])"
        }
        if text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }) {
            guard let address = canonical(text, family: AF_INET) else { throw ValueError("has a malformed IPv4 address") }
            return address
        }
        guard text.utf8.allSatisfy(isHostNameByte), text.utf8.first != UInt8(ascii: "-") else {
            throw ValueError("has a malformed host name")
        }
        return text.lowercased()
    }

    /// The one text that inet_ntop(3) gives all spellings of an address, so that equal addresses compare equal.
    private static func canonical(_ text: String, family: Int32) -> String? {
        withUnsafeTemporaryAllocation(byteCount: 16, alignment: 4) { address -> String? in
            guard inet_pton(family, text, address.baseAddress!) == 1 else { return nil }
            return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { buffer -> String? in
                guard inet_ntop(family, address.baseAddress!, buffer.baseAddress!, socklen_t(buffer.count)) != nil else {
                    return nil
                }
                return String(cString: buffer.baseAddress!)
            }
        }
    }

    private static func isHostNameByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): true
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"): true
        default: false
        }
    }
}
