import CLinux
import Configuration
import Glibc
import Proxy
import Wire

/// The loop of the main thread: it owns the `Monitor` core and its connections, publishes topologies to the workers, answers what
/// they ask about the configuration, serves the metrics port and acts on signals. Nothing here is on the data path, so it is
/// written for clarity.
final class ControlLoop {
    static let drainMilliseconds = 10_000
    /// Tokens with these generations are no monitor links.
    static let reservedGeneration = UInt32.max
    static let webGeneration = UInt32.max - 1

    let context: LoopContext
    let poller: Poller
    let signals: Descriptor
    var now = Clock.now
    var configuration: LoadedConfiguration
    var options: ProxyOptions
    var monitor: Monitor
    var links: [LinkID: MonitorLink] = [:]
    var connector: Connector
    /// Attempts that failed at once, told to the monitor in the next turn.
    var failures: [(LinkID, String)] = []
    var web: WebServer
    var trimmer = MemoryTrimmer()
    var drain: Drain?
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)

    /// A shutdown under way.
    struct Drain {
        var deadline: Instant
        /// Workers that still have clients.
        var waitingFor: Set<Int>
    }

    init(context: LoopContext, configuration: LoadedConfiguration, metricsListeners: [Int32]) throws(SystemError) {
        self.context = context
        self.configuration = configuration
        options = configuration.options
        poller = try Poller(capacity: 64)
        signals = try Descriptor(Int(switchyard_signal_descriptor()).orErrno, attempt: "signalfd")
        connector = Connector(resolver: context.resolver, mailbox: context.control)
        monitor = Monitor(options: configuration.options, seed: .random(in: 0 ... .max), now: now)
        web = WebServer(listeners: metricsListeners)
        try poller.add(context.control.wakeDescriptor, token: Self.mailboxToken, .readable)
        try poller.add(signals.number, token: Self.signalToken, .readable)
        for (index, listener) in metricsListeners.enumerated() {
            try poller.add(listener, token: Self.listenerToken(index), .readable)
        }
    }

    deinit { scratch.deallocate() }

    static let mailboxToken = LinkID(slot: 0, generation: reservedGeneration).word
    static let signalToken = LinkID(slot: 1, generation: reservedGeneration).word
    static func listenerToken(_ index: Int) -> UInt64 { LinkID(slot: UInt32(index + 2), generation: reservedGeneration).word }

    func run() -> Never {
        while true { turn() }
    }

    func turn() {
        act()
        let timeout = failures.isEmpty ? Clock.waitMilliseconds(from: now, to: nextWake) : 0
        let count = poller.wait(timeoutMilliseconds: timeout)
        now = Clock.now
        reportFailures()
        for index in 0..<count { handle(LinkID(word: poller.token(at: index)), poller.readiness(at: index)) }
        if monitor.nextWake <= now { monitor.tick(now: now) }
        expireWeb()
        if let bytes = trimmer.trim(now: now) { context.log(.verbose, "Gave \(bytes >> 20) MiB of free memory back") }
        if let drain, drain.deadline <= now {
            let workers = drain.waitingFor.count
            context.log(
                .warning, "Clients of \(workers) thread(s) did not finish in \(Self.drainMilliseconds / 1000) s, exiting")
            exit(0)
        }
    }

    private var nextWake: Instant {
        var wake = min(monitor.nextWake, web.nextDeadline, trimmer.nextCheck)
        if let drain { wake = min(wake, drain.deadline) }
        return wake
    }

    private func handle(_ token: LinkID, _ readiness: Readiness) {
        switch (token.generation, token.slot) {
        case (Self.reservedGeneration, 0): receiveMail()
        case (Self.reservedGeneration, 1): receiveSignals()
        case (Self.reservedGeneration, _): acceptWeb(listener: Int(token.slot) - 2)
        case (Self.webGeneration, let key): handleWeb(key, readiness)
        default: handle(link: token, readiness)
        }
    }

    private func receiveMail() {
        for mail in context.control.takeAll() {
            switch mail {
            case .resolved(let link, let resolution): carryOut(connector.resolved(link, resolution), for: link)
            case .drained(let worker): noteDrained(worker)
            case .message(.question(let question, let number, let from)):
                context.mailbox(of: from).post(.message(.answer(answer(question), number: number, from: .control)))
            case .message(.answer(let answer, let number, let from)): receive(answer, number: number, from: from)
            case .message(.suspicion): monitor.hastenRound()
            case .message(.topology), .message(.options), .message(.drain):
                preconditionFailure("the control loop tells these, it is not told")
            }
        }
    }
}
