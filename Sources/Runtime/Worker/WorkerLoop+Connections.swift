import CLinux
import Glibc
import Proxy
import Wire

/// Connections to nodes, and mail. None of this runs per request.
extension WorkerLoop {
    mutating func carryOut(_ step: Connector.Step, for link: LinkID) {
        switch step {
        case .resolving, .stale:
            break
        case .failed(let reason):
            failures.append((link, reason))
        case .connecting(let descriptor):
            guard let entry = table.find(link) else {
                SystemCalls.close(descriptor)
                return
            }
            entry.pointee.descriptor = descriptor
            do throws(SystemError) {
                try poller.add(descriptor, token: link.word, .edges)
            } catch {
                connector.forget(link)
                failures.append((link, error.description))
            }
        }
    }

    /// Tells the core of attempts that failed, unless it has given them up by now.
    mutating func reportFailures() {
        let reported = failures
        failures = []
        for (link, reason) in reported {
            guard let entry = table.find(link), entry.pointee.flags.contains(.connecting) else { continue }
            discard(link, entry)
            worker.connectFailed(link, reason: reason)
        }
    }

    /// The outcome of a `connect` is known.
    mutating func finishConnecting(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>, _ readiness: Readiness) {
        guard !readiness.isDisjoint(with: [.writable, .broken]) else { return }
        let code = SystemCalls.pendingError(entry.pointee.descriptor)
        if code != 0 {
            SystemCalls.close(entry.pointee.descriptor)
            entry.pointee.descriptor = -1
            carryOut(connector.tryNext(link, after: SystemError.text(of: code)), for: link)
            return
        }
        connector.forget(link)
        entry.pointee.flags.remove(.connecting)
        Sockets.configure(entry.pointee.descriptor, keepaliveSeconds: keepaliveSeconds)
        worker.connected(link)
        note(readiness, on: link, entry)
    }

    mutating func receiveMail() {
        for mail in mailbox.takeAll() {
            switch mail {
            case .resolved(let link, let resolution):
                carryOut(connector.resolved(link, resolution), for: link)
            case .message(let message):
                if case .options(let options) = message { apply(options) }
                if case .drain = message { stopListening() }
                worker.receive(message)
            case .drained:
                preconditionFailure("only the control loop is told who is drained")
            }
        }
    }

    private mutating func apply(_ options: ProxyOptions) {
        acceptor.clientLimit = options.maxClients
        if keepaliveSeconds != options.tcpKeepaliveSeconds {
            keepaliveSeconds = options.tcpKeepaliveSeconds
            for listener in acceptor.listeners {
                Sockets.configure(listener.descriptor, keepaliveSeconds: keepaliveSeconds)
            }
        }
    }
}
