import Wire

/// The answers of other event loops to one question of a client here.
struct Gather {
    var number: UInt64
    /// Answers still to come.
    var missing: Int
    var answers: [Answer]
}

extension Worker {
    /// Asks this worker and all others; nil while answers are missing: the client waits, and its command is handled again when
    /// they are complete.
    func gatherFromWorkers(_ session: SessionPointer, _ question: Question) -> [Answer]? {
        if let answers = takeAnswers(session) { return answers }
        if session.pointee.gather != nil { return nil }
        let own = answer(question)
        let others = (0..<workerCount).filter { $0 != loop.index }
        if others.isEmpty { return [own] }
        ask(session, question, others.map { LoopID(index: $0) }, [own])
        return nil
    }

    /// Asks the control loop.
    func askControl(_ session: SessionPointer, _ question: Question) -> Answer? {
        if let answers = takeAnswers(session) { return answers.first ?? Answer.none }
        if session.pointee.gather == nil { ask(session, question, [.control], []) }
        return nil
    }

    /// Asks one worker, itself included.
    private func takeAnswers(_ session: SessionPointer) -> [Answer]? {
        guard let gather = session.pointee.gather, gather.missing == 0 else { return nil }
        session.pointee.gather = nil
        return gather.answers
    }

    private func ask(_ session: SessionPointer, _ question: Question, _ loops: [LoopID], _ own: [Answer]) {
        nextQuestion += 1
        let number = nextQuestion
        session.pointee.gather = Gather(number: number, missing: loops.count, answers: own)
        gathers[number] = session.pointee.link
        pause(session, .asking)
        for other in loops { effects.append(.post(.question(question, number: number, from: loop), to: other)) }
    }

    /// A message from another event loop.
    package func receive(_ message: Message) {
        switch message {
        case .topology(let topology):
            adopt(topology)
        case .options(let options):
            adopt(options)
        case .drain:
            drain()
        case .question(let question, let number, let from):
            if case .clientUpstreamID(let clientID) = question {
                findUpstreamID(clientID, number: number, from: from)
            } else {
                effects.append(.post(.answer(answer(question), number: number, from: loop), to: from))
            }
        case .answer(let answer, let number, _):
            take(answer, number)
        case .suspicion:
            break
        }
        resumeSessions()
    }

    private func take(_ answer: Answer, _ number: UInt64) {
        guard let link = gathers[number] else { return }
        guard let session = links.session(link), var gather = session.pointee.gather, gather.number == number else {
            gathers[number] = nil
            return
        }
        gather.answers.append(answer)
        gather.missing -= 1
        session.pointee.gather = gather
        if gather.missing == 0 {
            gathers[number] = nil
            resume(session, .asking)
        }
    }

    /// What this worker knows, or does, when asked.
    private func answer(_ question: Question) -> Answer {
        switch question {
        case .statistics: .statistics(currentStatistics())
        case .clientList(let filter): .text(clientLines(filter))
        case .clientKill(let filter): .count(killClients(filter))
        case .clientUnblock(let clientID, let withError): .count(unblock(clientID, withError: withError))
        case .clientPause(let until, let writesOnly): pauseClients(until: until, writesOnly: writesOnly)
        case .clientUnpause: unpauseClients()
        case .clientUpstreamID: .count(0)
        case .configGet, .configSet, .topologyDetail: .failure("asked the wrong loop")
        }
    }

    // MARK: - The private connection's id, for CLIENT TRACKING REDIRECT

    /// The id by which the master knows a client's private connection: the client gets one if it has none. Nil while the
    /// answer is still to come.
    private func findUpstreamID(_ clientID: UInt64, number: UInt64, from: LoopID) {
        func post(_ id: Int) {
            effects.append(.post(.answer(.count(id), number: number, from: loop), to: from))
        }
        guard let session = sessions.find(id: clientID) else { return post(0) }
        if session.pointee.pinned == nil {
            guard session.pointee.firstRun == nil, let connection = takeExclusive(session) else { return post(0) }
            session.pointee.pinned = connection
            statistics.pinnedClients += 1
        }
        guard let connection = session.pointee.pinned else { return post(0) }
        session.pointee.pins.insert(.keep)
        session.pointee.isPlain = false
        connection.pointee.isTainted = true
        connection.pointee.hasPushes = true
        if connection.pointee.upstreamID > 0 { return post(connection.pointee.upstreamID) }
        guard let link = connection.pointee.link else { return post(0) }
        upstreamIDQuestions.append((link, number, from))
    }

    func answerUpstreamIDQuestions(_ connection: ConnectionPointer) {
        guard let link = connection.pointee.link else { return }
        answerUpstreamIDQuestions(link, connection.pointee.upstreamID)
    }

    /// Answers who asked for the id of the connection with this link; 0 if there will be none.
    func answerUpstreamIDQuestions(_ link: LinkID, _ id: Int) {
        guard !upstreamIDQuestions.isEmpty else { return }
        for question in upstreamIDQuestions where question.connection == link {
            effects.append(
                .post(
                    .answer(.count(id), number: question.number, from: loop), to: question.from))
        }
        upstreamIDQuestions.removeAll { $0.connection == link }
    }

    /// Asks all workers for the id; the one that has the client answers when its connection is there.
    func gatherUpstreamID(_ session: SessionPointer, _ clientID: UInt64) -> Int? {
        if let answers = takeAnswers(session) {
            return answers.reduce(0) { if case .count(let id) = $1 { max($0, id) } else { $0 } }
        }
        if session.pointee.gather == nil {
            ask(session, .clientUpstreamID(clientID: clientID), (0..<workerCount).map { LoopID(index: $0) }, [])
        }
        return nil
    }
}
