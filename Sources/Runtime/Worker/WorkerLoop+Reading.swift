import CLinux
import Glibc
import Wire

extension WorkerLoop {
    private enum ReadOutcome {
        /// The socket is empty, or the core wants no more: an edge or `.resumeReading` brings the link back.
        case waiting
        /// The budget of this turn is used up.
        case more
        /// Closed, or only kept for a last reply.
        case over
    }

    /// Reads each listed link, and keeps those in the list that have more to give.
    mutating func readReadyLinks() {
        let end = ready.count
        var kept = 0
        for index in 0..<end {
            let link = ready[index]
            guard let entry = table.find(link) else { continue }
            switch read(link, entry) {
            case .more:
                ready[kept] = link
                kept += 1
            case .waiting:
                entry.pointee.flags.remove(.listed)
            case .over:
                break
            }
        }
        ready.drop(from: kept, to: end)
    }

    private mutating func read(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) -> ReadOutcome {
        var budget = Self.readBudget
        while true {
            let space = worker.readSpace(link)
            guard space.count > 0 else { return refuse(link, entry) }
            let count = SystemCalls.receive(entry.pointee.descriptor, into: space)
            if count > 0 {
                worker.received(link, count: count)
                entry.pointee.lastReceived = now.nanoseconds
                entry.pointee.flags.insert(.owesReply)
                // A short read emptied the socket: whatever comes later makes an edge. Only the end of a stream has made its own.
                if count < space.count, !entry.pointee.flags.contains(.finished) {
                    entry.pointee.flags.remove(.readable)
                    return .waiting
                }
                budget -= count
                if budget <= 0 { return .more }
            } else if count == -Int(EAGAIN) {
                guard entry.pointee.flags.contains(.broken) else {
                    entry.pointee.flags.remove(.readable)
                    return .waiting
                }
                let code = SystemCalls.pendingError(entry.pointee.descriptor)
                close(link, entry, reason: code == 0 ? "connection broken" : SystemError.text(of: code))
                return .over
            } else {
                return finish(link, entry, result: count)
            }
        }
    }

    /// The core has no room for this link's bytes. It is not read until `.resumeReading`, but a peer that is gone for good must
    /// still be noticed, since no further edge will tell.
    private mutating func refuse(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) -> ReadOutcome {
        let flags = entry.pointee.flags
        entry.pointee.flags.insert(.refused)
        if flags.contains(.broken), flags.contains(.accepted) {
            close(link, entry, reason: "connection closed by the peer")
            return .over
        }
        if flags.contains(.finished), SystemCalls.isFinished(entry.pointee.descriptor) { return finish(link, entry, result: 0) }
        return .waiting
    }

    /// The stream ended (0) or failed (a negated `errno`).
    private mutating func finish(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>, result: Int) -> ReadOutcome {
        let flags = entry.pointee.flags
        let quiet = now.nanoseconds &- entry.pointee.lastReceived
        if result == 0, flags.isSuperset(of: [.accepted, .owesReply]), !flags.contains(.broken),
            quiet <= Self.lingerWindowNanoseconds
        {
            entry.pointee.flags.subtract([.readable, .listed])
            entry.pointee.flags.insert(.lingering)
            lingering.append((link, until: Instant(nanoseconds: now.nanoseconds + Self.lingerNanoseconds)))
            return .over
        }
        close(link, entry, reason: result == 0 ? "connection closed by the peer" : SystemError.text(of: Int32(-result)))
        return .over
    }

    /// Closes those clients whose time for a last reply is over.
    mutating func closeLingering() {
        var expired = 0
        while expired < lingering.count, lingering[expired].until <= now {
            let link = lingering[expired].0
            if let entry = table.find(link) { close(link, entry, reason: "connection closed by the peer") }
            expired += 1
        }
        lingering.removeFirst(expired)
    }
}
