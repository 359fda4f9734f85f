import CLinux
import Glibc
import Proxy
import Wire

extension ControlLoop {
    func receiveSignals() {
        var number: Int32 = 0
        while SystemCalls.uninterrupted({ switchyard_read_signal(signals.number, &number) }) > 0 {
            switch number {
            case SIGTERM, SIGINT: shutDown(by: number == SIGTERM ? "SIGTERM" : "SIGINT")
            case SIGHUP: reload()
            case SIGUSR1: reopenLog()
            default: preconditionFailure("a signal that was not asked for")
            }
        }
    }

    /// The first signal lets clients finish what they asked for, a second one doesn't.
    private func shutDown(by signal: String) {
        guard drain == nil else {
            context.log(.warning, "\(signal) again, exiting at once")
            exit(1)
        }
        context.log(.notice, "\(signal): not accepting any more, waiting for clients to finish")
        drain = Drain(
            deadline: now.adding(milliseconds: Self.drainMilliseconds), waitingFor: Set(context.workers.indices))
        if let path = options.unixSocket { Sockets.remove(path: path) }
        context.postToWorkers(.drain)
    }

    func noteDrained(_ worker: LoopID) {
        drain?.waitingFor.remove(worker.index)
        guard let drain, drain.waitingFor.isEmpty else { return }
        context.log(.notice, "All clients have left, bye")
        exit(0)
    }

    private func reopenLog() {
        do throws(SystemError) {
            try context.log.reopen()
            context.log(.notice, "Log file reopened")
        } catch {
            context.log(.warning, "the log stays where it is: \(error)")
        }
    }
}
