import CLinux
import Glibc
import Synchronization
import Wire

/// What a host name stood for when it was looked up.
enum Resolution: Sendable {
    /// At least one address, in the order in which they should be tried.
    case addresses([SocketAddress])
    case failed(String)
}

/// Looks names up on a thread of its own, because `getaddrinfo` blocks. Nothing is cached: a name is looked up for each connection,
/// so that a changed record is seen at the next reconnect.
final class Resolver: Sendable {
    private struct Job: Sendable {
        var endpoint: Endpoint
        var link: LinkID
        var answerTo: Mailbox
    }

    /// Names that may wait. More than one per node and thread never come up, unless the name server is gone.
    static let queueLimit = 4096

    private let jobs = Mutex<[Job]>([])
    /// Counts what was queued, for the thread to sleep on.
    private let wake: Descriptor

    init() throws(SystemError) {
        wake = try Descriptor(Int(switchyard_blocking_eventfd()).orErrno, attempt: "eventfd")
        try Thread.start(name: "resolver") { [self] in run() }
    }

    /// Looks the endpoint's host up and posts `.resolved(link, ...)` to the mailbox.
    func resolve(_ endpoint: Endpoint, for link: LinkID, answerTo mailbox: Mailbox) {
        let isQueued = jobs.withLock { jobs in
            guard jobs.count < Self.queueLimit else { return false }
            jobs.append(Job(endpoint: endpoint, link: link, answerTo: mailbox))
            return true
        }
        guard isQueued else {
            mailbox.post(.resolved(link, .failed("too many names are waiting to be resolved")))
            return
        }
        var one: UInt64 = 1
        _ = withUnsafeBytes(of: &one) { SystemCalls.write(wake.number, $0) }
    }

    private func run() {
        while true {
            var count: UInt64 = 0
            _ = withUnsafeMutableBytes(of: &count) { SystemCalls.read(wake.number, into: $0) }
            let taken = jobs.withLock { jobs in
                let taken = jobs
                jobs = []
                return taken
            }
            // Threads that reconnect at the same moment ask for the same name; one look-up serves those taken together.
            var known: [Endpoint: Resolution] = [:]
            for job in taken {
                let resolution = known[job.endpoint] ?? Self.lookUp(job.endpoint)
                known[job.endpoint] = resolution
                job.answerTo.post(.resolved(job.link, resolution))
            }
        }
    }

    /// Blocks until the system's resolver answers.
    static func lookUp(_ endpoint: Endpoint) -> Resolution {
        if let address = SocketAddress(numericHost: endpoint.host, port: endpoint.port) { return .addresses([address]) }
        var hints = addrinfo()
        hints.ai_family = AF_UNSPEC
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_flags = AI_ADDRCONFIG
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(endpoint.host, String(endpoint.port), &hints, &list)
        guard code == 0 else {
            let reason = gai_strerror(code).map { String(cString: $0) } ?? "error \(code)"
            return .failed("can't resolve \(endpoint.host): \(reason)")
        }
        defer { freeaddrinfo(list) }
        var addresses: [SocketAddress] = []
        var next = list
        while let entry = next {
            if let raw = entry.pointee.ai_addr, let address = SocketAddress(raw, length: entry.pointee.ai_addrlen) {
                addresses.append(address)
            }
            next = entry.pointee.ai_next
        }
        return addresses.isEmpty ? .failed("can't resolve \(endpoint.host): no usable address") : .addresses(addresses)
    }
}
