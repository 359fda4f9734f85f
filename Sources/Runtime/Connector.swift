import Glibc
import Wire

/// Connection attempts of one loop that aren't open yet: a name being resolved, or addresses still to be tried.
///
///     begin ── name ──> resolving ── resolved ──> trying address 1 ── failed ──> trying address 2 ... ──> failure
///       └──── numeric address ───────────────────────^
struct Connector {
    enum Step {
        /// Watch this descriptor; readiness to write tells the outcome. The caller owns it now.
        case connecting(Int32)
        /// The resolver will answer.
        case resolving
        case failed(String)
        /// The link was given up meanwhile.
        case stale
    }

    private enum State {
        case resolving
        /// Addresses not tried so far.
        case trying(rest: ArraySlice<SocketAddress>)
    }

    private let resolver: Resolver
    private let mailbox: Mailbox
    private var attempts: [LinkID: State] = [:]

    init(resolver: Resolver, mailbox: Mailbox) {
        self.resolver = resolver
        self.mailbox = mailbox
    }

    mutating func begin(_ link: LinkID, to endpoint: Endpoint) -> Step {
        if let address = SocketAddress(numericHost: endpoint.host, port: endpoint.port) {
            attempts[link] = .trying(rest: [address])
            return tryNext(link, after: "no address")
        }
        attempts[link] = .resolving
        resolver.resolve(endpoint, for: link, answerTo: mailbox)
        return .resolving
    }

    mutating func resolved(_ link: LinkID, _ resolution: Resolution) -> Step {
        guard case .resolving? = attempts[link] else { return .stale }
        switch resolution {
        case .failed(let reason):
            attempts[link] = nil
            return .failed(reason)
        case .addresses(let addresses):
            attempts[link] = .trying(rest: addresses[...])
            return tryNext(link, after: "no address")
        }
    }

    /// The attempt that was under way failed with `reason`: on to the next address.
    mutating func tryNext(_ link: LinkID, after reason: String) -> Step {
        guard case .trying(var rest)? = attempts[link] else { return .stale }
        var reason = reason
        while let address = rest.popFirst() {
            do throws(SystemError) {
                let socket = try Sockets.connect(to: address)
                attempts[link] = .trying(rest: rest)
                return .connecting(socket.release())
            } catch {
                reason = SystemError.text(of: error.code)
            }
        }
        attempts[link] = nil
        return .failed(reason)
    }

    /// The link is open, or nobody wants it any more.
    mutating func forget(_ link: LinkID) {
        attempts[link] = nil
    }
}
