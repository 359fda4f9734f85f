import Glibc
import Proxy
import Wire

extension ControlLoop {
    func acceptWeb(listener index: Int) {
        for _ in 0..<WebServer.connectionLimit {
            var address = SocketAddress()
            let result = SystemCalls.accept(web.listeners[index], from: &address)
            guard result >= 0 else {
                // Out of descriptors: the event comes back, so don't spin on it.
                if [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(Int32(-result)) { Clock.sleep(nanoseconds: 10_000_000) }
                return
            }
            let descriptor = Int32(result)
            guard web.connections.count < WebServer.connectionLimit else {
                SystemCalls.close(descriptor)
                continue
            }
            let key = web.nextKey()
            do throws(SystemError) {
                try poller.add(descriptor, token: LinkID(slot: key, generation: Self.webGeneration).word, .edges)
                web.connections[key] = WebServer.Connection(
                    descriptor: descriptor, state: .reading(HTTPRequestParser()), deadline: webDeadline)
            } catch {
                SystemCalls.close(descriptor)
            }
        }
    }

    private var webDeadline: Instant { now.adding(milliseconds: WebServer.patienceMilliseconds) }

    func handleWeb(_ key: UInt32, _ readiness: Readiness) {
        guard let connection = web.connections[key] else { return }
        if !readiness.isDisjoint(with: .broken) { return closeWeb(key) }
        switch connection.state {
        case .reading(let parser): readWeb(key, connection.descriptor, parser)
        case .waiting: break
        case .writing: sendWeb(key)
        }
    }

    private func readWeb(_ key: UInt32, _ descriptor: Int32, _ parser: HTTPRequestParser) {
        var parser = parser
        while true {
            let count = SystemCalls.receive(descriptor, into: scratch)
            if count == -Int(EAGAIN) {
                web.connections[key]?.state = .reading(parser)
                return
            }
            guard count > 0 else { return closeWeb(key) }
            switch parser.append(UnsafeRawBufferPointer(rebasing: scratch[..<count])) {
            case .incomplete: continue
            case .refused(let status): return respond(key, HTTPResponse(status: status))
            case .request(let request): return serve(request, key)
            }
        }
    }

    private func serve(_ request: HTTPRequest, _ key: UInt32) {
        web.connections[key]?.wantsHeadOnly = request.method == "HEAD"
        switch request.path {
        case "/metrics": ask(.metrics, for: key)
        case "/healthz": ask(.health, for: key)
        case "/readyz": respond(key, ReadinessPage.response(monitor.currentTopology, isDraining: drain != nil))
        default: respond(key, HTTPResponse(status: 404))
        }
    }

    private func ask(_ purpose: WebServer.Round.Purpose, for key: UInt32) {
        let number = web.nextNumber()
        let deadline = now.adding(milliseconds: WebServer.answerMilliseconds)
        web.rounds[number] = WebServer.Round(
            purpose: purpose, connection: key, deadline: deadline, waitingFor: Set(context.workers.indices))
        web.connections[key]?.state = .waiting(number)
        web.connections[key]?.deadline = .never
        context.postToWorkers(.question(.statistics, number: number, from: .control))
    }

    /// A worker's answer. One that comes after its round was given up is dropped.
    func receive(_ answer: Answer, number: UInt64, from worker: LoopID) {
        guard case .statistics(let statistics) = answer, web.rounds[number]?.waitingFor.remove(worker.index) != nil else {
            return
        }
        web.rounds[number]?.statistics.append(statistics)
        guard let round = web.rounds[number], round.waitingFor.isEmpty else { return }
        web.rounds[number] = nil
        switch round.purpose {
        case .health:
            respond(round.connection, HTTPResponse(status: 200, text: "ok\n"))
        case .metrics:
            let body = MetricsPage.render(
                workers: round.statistics, topology: monitor.currentTopology, rejectedClients: context.clients.rejectedCount,
                process: ProcessFigures.current)
            respond(round.connection, HTTPResponse(status: 200, contentType: MetricsPage.contentType, body: body))
        }
    }

    /// Gives up on workers that don't answer and on peers that take too long.
    func expireWeb() {
        for (number, round) in web.rounds where round.deadline <= now {
            web.rounds[number] = nil
            let workers = round.waitingFor.sorted().map(String.init).joined(separator: ", ")
            respond(round.connection, HTTPResponse(status: 503, text: "no answer from worker \(workers)\n"))
        }
        for (key, connection) in web.connections where connection.deadline <= now {
            if case .reading = connection.state {
                respond(key, HTTPResponse(status: 408))
                closeWeb(key)
            } else {
                closeWeb(key)
            }
        }
    }

    private func respond(_ key: UInt32, _ response: HTTPResponse) {
        guard let connection = web.connections[key] else { return }
        var response = response
        response.isHeadOnly = connection.wantsHeadOnly
        web.connections[key]?.state = .writing(PendingBytes(response.encoded))
        web.connections[key]?.deadline = webDeadline
        sendWeb(key)
    }

    private func sendWeb(_ key: UInt32) {
        guard let connection = web.connections[key], case .writing(var pending) = connection.state else { return }
        if pending.send(to: connection.descriptor) == .waiting {
            web.connections[key]?.state = .writing(pending)
        } else {
            closeWeb(key)
        }
    }

    private func closeWeb(_ key: UInt32) {
        guard let connection = web.connections.removeValue(forKey: key) else { return }
        SystemCalls.close(connection.descriptor)
        if case .waiting(let number) = connection.state { web.rounds[number] = nil }
    }
}
