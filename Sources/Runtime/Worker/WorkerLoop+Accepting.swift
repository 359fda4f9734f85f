import CLinux
import Glibc
import Proxy
import Wire

extension WorkerLoop {
    func startListening() throws(SystemError) {
        for (index, listener) in acceptor.listeners.enumerated() {
            let watch = listener.isShared ? Poller.Watch.readableShared : .readable
            try poller.add(listener.descriptor, token: Self.listenerToken(index), watch)
        }
    }

    /// Takes in who is already waiting, since closing the listener would reset them, then listens no more.
    mutating func stopListening() {
        for index in acceptor.listeners.indices { accept(fromListener: index) }
        for listener in acceptor.close() {
            if listener.isShared {
                poller.remove(listener.descriptor)
            } else {
                SystemCalls.close(listener.descriptor)
            }
        }
    }

    mutating func accept(fromListener index: Int) {
        guard acceptor.listeners.indices.contains(index), !acceptor.isPaused else { return }
        let listener = acceptor.listeners[index]
        for _ in 0..<Acceptor.acceptsPerTurn {
            var address = SocketAddress()
            let result = SystemCalls.accept(listener.descriptor, from: &address)
            if result >= 0 {
                admit(Int32(result), from: address, listener)
                continue
            }
            switch Int32(-result) {
            case EAGAIN: return
            case EMFILE, ENFILE, ENOBUFS, ENOMEM:
                shed(listener, reason: Int32(-result))
                return
            default: continue  // That one connection failed before it was taken; accept(2) says to go on.
            }
        }
    }

    private mutating func admit(_ descriptor: Int32, from address: SocketAddress, _ listener: Listener) {
        guard context.clients.admit(limit: acceptor.clientLimit) else {
            turnAway(descriptor)
            return
        }
        let link: LinkID
        if let path = listener.path {
            link = worker.accepted(
                clientID: context.clients.nextID(), address: "\(path):0", localAddress: "\(path):0", isLoopback: true)
        } else {
            let local = SocketAddress.local(of: descriptor)
            link = worker.accepted(
                clientID: context.clients.nextID(), address: address.description, localAddress: local.description,
                isLoopback: address.isLoopback)
        }
        table.insert(link, descriptor: descriptor, flags: .accepted)
        do throws(SystemError) {
            try poller.add(descriptor, token: link.word, .edges)
        } catch {
            if let entry = table.find(link) { close(link, entry, reason: error.description) }
        }
    }

    /// The answer of Redis to one client too many.
    private func turnAway(_ descriptor: Int32) {
        let text: StaticString = "-ERR max number of clients reached\r\n"
        _ = SystemCalls.send(descriptor, UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
        SystemCalls.close(descriptor)
    }

    /// No descriptor is left for a waiting client: with the spare one it is taken and closed. If even that fails, nothing is
    /// accepted for a while.
    private mutating func shed(_ listener: Listener, reason: Int32) {
        if acceptor.nextComplaint <= now {
            acceptor.nextComplaint = now.adding(milliseconds: Acceptor.complaintMilliseconds)
            context.log(.warning, "can't accept clients: \(SystemError.text(of: reason))")
        }
        acceptor.closeSpare()
        var address = SocketAddress()
        let result = SystemCalls.accept(listener.descriptor, from: &address)
        if result >= 0 { turnAway(Int32(result)) }
        acceptor.openSpare()
        guard result < 0 || acceptor.spare < 0 else { return }
        acceptor.resumption = now.adding(milliseconds: Acceptor.pauseMilliseconds)
        for listener in acceptor.listeners { poller.remove(listener.descriptor) }
    }

    /// Accepts again once the pause is over.
    mutating func resumeListening() {
        guard let resumption = acceptor.resumption, resumption <= now else { return }
        acceptor.resumption = nil
        if acceptor.spare < 0 { acceptor.openSpare() }
        do throws(SystemError) {
            try startListening()
        } catch {
            for listener in acceptor.listeners { poller.remove(listener.descriptor) }
            acceptor.resumption = now.adding(milliseconds: Acceptor.pauseMilliseconds)
        }
    }
}
