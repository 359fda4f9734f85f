import CLinux
import Configuration
import Glibc
import Proxy

/// Starts the process: listeners, one thread per worker, and the control loop on the calling thread.
package enum Server {
    /// Descriptors besides those of clients: listeners, connections to nodes, epoll, the log.
    static let reservedDescriptors = 512

    /// Runs until the process ends. A start that fails is logged and exits with 1.
    package static func run(_ configuration: LoadedConfiguration) -> Never {
        let log = Logger()
        do throws(SystemError) {
            try start(configuration, log).run()
        } catch {
            log(.warning, "can't start: \(error)")
            exit(1)
        }
    }

    private static func start(_ configuration: LoadedConfiguration, _ log: Logger) throws(SystemError) -> ControlLoop {
        let options = configuration.options
        // Before the first thread, since threads inherit which signals are blocked.
        _ = switchyard_block_signals()
        try log.configure(options)
        let workerCount = options.threads > 0 ? options.threads : Thread.usableProcessors
        announce(configuration, workerCount: workerCount, log)
        raiseOpenFiles(options, log)

        let listening = try Listening.open(options, workerCount: workerCount)
        let metrics = try Listening.openMetrics(options)
        let context = try LoopContext(workerCount: workerCount, log: log)
        let control = try ControlLoop(context: context, configuration: configuration, metricsListeners: metrics.descriptors)
        let topology = control.monitor.currentTopology
        for index in 0..<workerCount {
            let listeners = listening.workers[index]
            let seed = UInt64.random(in: 0 ... .max)
            try Thread.start(name: "worker-\(index)") {
                runWorker(LoopID(index: index), context, listeners, options, topology, seed: seed)
            }
        }
        for name in listening.names { log(.notice, "Listening on \(name)") }
        for name in metrics.names { log(.notice, "Metrics on http://\(name)/metrics") }
        log(.notice, "Ready to accept connections")
        return control
    }

    private static func runWorker(
        _ id: LoopID, _ context: LoopContext, _ listeners: [Listener], _ options: ProxyOptions, _ topology: Topology,
        seed: UInt64
    ) {
        do throws(SystemError) {
            var loop = WorkerLoop(
                id: id, context: context, poller: try Poller(), listeners: listeners, options: options, topology: topology,
                seed: seed)
            try loop.start()
            loop.run()
        } catch {
            context.log(.warning, "can't start worker \(id.index): \(error)")
            exit(1)
        }
    }

    private static func announce(_ configuration: LoadedConfiguration, workerCount: Int, _ log: Logger) {
        let options = configuration.options
        let source = configuration.path.map { "configuration \($0)" } ?? "no configuration file"
        let threads = workerCount == 1 ? "1 thread" : "\(workerCount) threads"
        log(.notice, "\(Product.name) \(Product.version), process \(getpid()), \(threads), \(source)")
        if let master = options.master { log(.notice, "Mode \(options.mode.rawValue), master \(master)") }
        for replica in options.replicas {
            let zone = replica.zone.map { ", zone \($0)" } ?? ""
            log(.notice, "Replica \(replica.endpoint), weight \(replica.weight)\(zone)")
        }
    }

    /// Every client may need a connection of its own to a node, so twice `maxclients` is asked for; less than once is worth a word.
    private static func raiseOpenFiles(_ options: ProxyOptions, _ log: Logger) {
        let needed = UInt64(options.maxClients + reservedDescriptors)
        let granted = switchyard_raise_open_files(needed + UInt64(options.maxClients))
        if granted < needed {
            log(
                .warning,
                "maxclients \(options.maxClients) needs \(needed) open files, but the limit is \(granted): "
                    + "clients beyond that will be turned away; raise it with ulimit -n or LimitNOFILE")
        }
    }
}
