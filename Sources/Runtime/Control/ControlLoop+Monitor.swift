import Glibc
import Proxy
import Wire

/// A connection of the monitor.
struct MonitorLink {
    /// -1 while a name is being resolved.
    var descriptor: Int32 = -1
    var isConnecting = true
    var outgoing = PendingBytes()
}

extension ControlLoop {
    /// Carries out what the monitor wants, and publishes what it found out.
    func act() {
        while !monitor.effects.isEmpty || !monitor.outgoing.isEmpty {
            let outgoing = monitor.outgoing
            monitor.outgoing.removeAll(keepingCapacity: true)
            for (link, bytes) in outgoing {
                links[link]?.outgoing.append(bytes)
                send(link)
            }
            let effects = monitor.effects
            monitor.effects.removeAll(keepingCapacity: true)
            for effect in effects { carryOut(effect) }
        }
        if let topology = monitor.takeTopology() { context.postToWorkers(.topology(topology)) }
    }

    private func carryOut(_ effect: Effect) {
        switch effect {
        case .connect(let link, let endpoint):
            precondition(links[link] == nil, "the monitor reused a link")
            links[link] = MonitorLink()
            carryOut(connector.begin(link, to: endpoint), for: link)
        case .close(let link):
            discard(link)
        case .resumeReading:
            preconditionFailure("the monitor never refuses to read")
        case .post(let message, let loop):
            context.mailbox(of: loop).post(.message(message))
        case .log(let level, let text):
            context.log(level, text)
        }
    }

    func carryOut(_ step: Connector.Step, for link: LinkID) {
        switch step {
        case .resolving, .stale:
            break
        case .failed(let reason):
            failures.append((link, reason))
        case .connecting(let descriptor):
            guard links[link] != nil else {
                SystemCalls.close(descriptor)
                return
            }
            links[link]?.descriptor = descriptor
            do throws(SystemError) {
                try poller.add(descriptor, token: link.word, .edges)
            } catch {
                failures.append((link, error.description))
            }
        }
    }

    func reportFailures() {
        let reported = failures
        failures = []
        for (link, reason) in reported where links[link] != nil {
            discard(link)
            monitor.connectFailed(link, reason: reason, now: now)
        }
    }

    func handle(link: LinkID, _ readiness: Readiness) {
        guard let state = links[link], state.descriptor >= 0 else { return }
        if state.isConnecting {
            guard finishConnecting(link, state.descriptor, readiness) else { return }
        } else if readiness.contains(.writable) {
            send(link)
        }
        if !readiness.isDisjoint(with: [.readable, .finished, .broken]) { read(link) }
    }

    /// True when the connection is open.
    private func finishConnecting(_ link: LinkID, _ descriptor: Int32, _ readiness: Readiness) -> Bool {
        guard !readiness.isDisjoint(with: [.writable, .broken]) else { return false }
        let code = SystemCalls.pendingError(descriptor)
        guard code == 0 else {
            SystemCalls.close(descriptor)
            links[link]?.descriptor = -1
            carryOut(connector.tryNext(link, after: SystemError.text(of: code)), for: link)
            return false
        }
        connector.forget(link)
        links[link]?.isConnecting = false
        Sockets.configure(descriptor, keepaliveSeconds: options.tcpKeepaliveSeconds)
        monitor.connected(link, now: now)
        return true
    }

    private func read(_ link: LinkID) {
        while let state = links[link] {
            let count = SystemCalls.receive(state.descriptor, into: scratch)
            if count == -Int(EAGAIN) { return }
            guard count > 0 else {
                close(link, reason: count == 0 ? "connection closed by the node" : SystemError.text(of: Int32(-count)))
                return
            }
            monitor.received(link, bytes: UnsafeRawBufferPointer(rebasing: scratch[..<count]), now: now)
        }
    }

    private func send(_ link: LinkID) {
        guard let state = links[link], state.descriptor >= 0, !state.isConnecting else { return }
        if case .failed(let code)? = links[link]?.outgoing.send(to: state.descriptor) {
            close(link, reason: SystemError.text(of: code))
        }
    }

    private func close(_ link: LinkID, reason: String) {
        discard(link)
        monitor.closed(link, reason: reason, now: now)
    }

    /// Closes without a word to the monitor.
    private func discard(_ link: LinkID) {
        guard let state = links.removeValue(forKey: link) else { return }
        if state.descriptor >= 0 { SystemCalls.close(state.descriptor) }
        if state.isConnecting { connector.forget(link) }
    }
}
