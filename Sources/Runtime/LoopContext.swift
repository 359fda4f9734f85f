import Proxy

/// What all loops of the process share: each other's mailboxes, and services that may be used from any thread.
final class LoopContext: Sendable {
    let control: Mailbox
    let workers: [Mailbox]
    let resolver: Resolver
    let clients = ClientCounter()
    let log: Logger

    init(workerCount: Int, log: Logger) throws(SystemError) {
        precondition(workerCount > 0)
        var workers: [Mailbox] = []
        for _ in 0..<workerCount { workers.append(try Mailbox()) }
        self.workers = workers
        control = try Mailbox()
        resolver = try Resolver()
        self.log = log
    }

    func mailbox(of loop: LoopID) -> Mailbox {
        if loop == .control { return control }
        precondition(workers.indices.contains(loop.index), "mail for a loop that does not exist")
        return workers[loop.index]
    }

    func postToWorkers(_ message: Message) {
        for worker in workers { worker.post(.message(message)) }
    }
}
