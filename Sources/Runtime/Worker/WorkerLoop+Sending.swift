import CLinux
import Glibc
import Proxy
import Wire

extension WorkerLoop {
    /// Sends what the core has for each dirty link, then does what else it asks for, until it has no more of either.
    mutating func flush() {
        while true {
            while let link = worker.nextDirty() {
                guard let entry = table.find(link), entry.pointee.flags.isDisjoint(with: [.connecting, .broken]) else {
                    continue
                }
                send(link, entry)
            }
            if worker.effects.isEmpty { return }
            carryOutEffects()
        }
    }

    private mutating func send(_ link: LinkID, _ entry: UnsafeMutablePointer<LinkEntry>) {
        while true {
            let count = worker.output(link, into: stretches, capacity: Self.stretchLimit)
            guard count > 0 else { return }
            let offered: Int
            let result: Int
            if count == 1 {
                offered = stretches[0].count
                result = SystemCalls.send(entry.pointee.descriptor, stretches[0])
            } else {
                offered = gather(count)
                result = SystemCalls.send(entry.pointee.descriptor, vectors, count: count)
            }
            if result == offered {
                entry.pointee.flags.remove(.owesReply)
                worker.sent(link, count: result)
                if count < Self.stretchLimit { return }
            } else {
                // The core hears of a full socket in either case. A broken one is read to its end in the next turn, then closed.
                if result >= 0 || result == -Int(EAGAIN) {
                    entry.pointee.flags.insert(.sendBlocked)
                } else {
                    note([.broken], on: link, entry)
                }
                worker.sent(link, count: max(result, 0))
                return
            }
        }
    }

    /// Turns the core's stretches into what `sendmsg` takes; the sum of their lengths.
    private func gather(_ count: Int) -> Int {
        var total = 0
        for index in 0..<count {
            let stretch = stretches[index]
            vectors[index] = iovec(iov_base: UnsafeMutableRawPointer(mutating: stretch.baseAddress), iov_len: stretch.count)
            total += stretch.count
        }
        return total
    }

    private mutating func carryOutEffects() {
        swap(&worker.effects, &effects)
        for effect in effects {
            switch effect {
            case .connect(let link, let endpoint):
                table.insert(link, descriptor: -1, flags: .connecting)
                carryOut(connector.begin(link, to: endpoint), for: link)
            case .close(let link):
                if let entry = table.find(link) { discard(link, entry) }
            case .resumeReading(let link):
                resumeReading(link)
            case .post(let message, let loop):
                context.mailbox(of: loop).post(.message(message))
            case .log(let level, let text):
                context.log(level, text)
            }
        }
        effects.removeAll(keepingCapacity: true)
    }

    private mutating func resumeReading(_ link: LinkID) {
        guard let entry = table.find(link), entry.pointee.flags.contains(.refused) else { return }
        entry.pointee.flags.remove(.refused)
        guard entry.pointee.flags.contains(.readable), entry.pointee.flags.isDisjoint(with: [.listed, .lingering]) else {
            return
        }
        entry.pointee.flags.insert(.listed)
        ready.append(link)
    }
}
