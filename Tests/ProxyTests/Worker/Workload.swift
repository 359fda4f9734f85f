import Wire

@testable import Proxy

/// One client of the chaos test: sends random requests, and knows for each which replies are right.
final class Workload {
    enum Expected {
        case text(String)
        case get(String)
        case set(String)
        case queuedSet(String)
        case exec
        /// Anything whole that is no error of the protocol; the prefixes of short forms that are right.
        case oneOf([String])
        case confirmation(String)
    }

    enum Kind: CaseIterable {
        case plain, transactional, blocking, subscriber, connectionState, administrator
    }

    /// What became of one write.
    enum Fate {
        case unanswered, done, notDone, unknown
    }

    let client: FakeClient
    let kind: Kind
    private var expected: [Expected] = []
    private var expectedHead = 0
    private(set) var fates: [String: Fate] = [:]
    /// Writes queued in the transaction that goes on, by line.
    private var queued: [String] = []
    private var inTransaction = false
    private var sequence = 0
    private static let padding = String(repeating: "x", count: 300_000)
    private(set) var problems: [String] = []
    private var isSilent = false
    private(set) var isLeaving = false
    private(set) var messages = 0
    /// What was said, for the one who has to find out why.
    static nonisolated(unsafe) var trace: ((String) -> Void)?

    init(_ client: FakeClient, _ kind: Kind) {
        self.client = client
        self.kind = kind
    }

    var missing: Int { expected.count - expectedHead }

    private func request(_ words: [String], _ expectation: Expected?, isOdd: Bool = false) {
        Self.trace?("client \(client.id) > \(words.map { String($0.prefix(40)) })")
        if isOdd {
            client.sendRaw(Array((words.joined(separator: " ") + "\r\n").utf8))
        } else {
            client.send(words)
        }
        if let expectation, !isSilent { expected.append(expectation) }
    }

    // MARK: - Requests

    func act(_ random: inout Random) {
        guard !client.isClosed, !isLeaving else { return }
        for _ in 0..<(1 + random.below(random.below(3) == 0 ? 12 : 3)) {
            if isLeaving { return }
            switch kind {
            case .plain: plain(&random)
            case .transactional: transactional(&random)
            case .blocking: blocking(&random)
            case .subscriber: subscriber(&random)
            case .connectionState: connectionState(&random)
            case .administrator: administrator(&random)
            }
        }
    }

    private func set(_ random: inout Random, padding: Int = 0) {
        sequence += 1
        let key = "k\(random.below(8))"
        let value = padding == 0 ? "\(client.id).\(sequence)." : "\(client.id).\(sequence)." + Self.padding.prefix(padding)
        let line = "SET \(key) \(value.prefix(64))"
        fates[line] = .unanswered
        if inTransaction { queued.append(line) }
        if isSilent { fates[line] = .unknown }
        request(["SET", key, value], inTransaction ? .queuedSet(line) : .set(line))
    }

    private func plain(_ random: inout Random) {
        sequence += 1
        switch random.below(24) {
        case 0...7: request(["GET", "k\(random.below(8))"], .get(""), isOdd: random.below(8) == 0)
        case 8...13: set(&random)
        case 14: request(["PING", "p\(client.id).\(sequence)"], .text("p\(client.id).\(sequence)"))
        case 15: request(["GET", "huge\(random.below(3))"], .get("huge"))
        case 16: set(&random, padding: 300_000)
        case 17: request(["ECHO", "e\(client.id).\(sequence)"], .oneOf(["e\(client.id).\(sequence)", "-"]))
        case 18: request(["SCAN", "0"], .oneOf(["[", "-MASTERDOWN", "-LOADING", "-UNKNOWNOUTCOME"]))
        case 19: request(["EVALSHA_RO", "sha-of-s\(random.below(2))", "0"], .oneOf(["ran sha", "-"]))
        case 20: request(["SCRIPT", "LOAD", "s\(random.below(2))"], .oneOf(["sha-of", "-"]))
        case 21:
            request(["NOSUCHCOMMAND", "n"], .oneOf(["-ERR unknown command", "-MASTERDOWN", "-UNKNOWNOUTCOME", "-LOADING"]))
        case 22: request(["MGET", "k1", "k2", "k3"], .oneOf(["[", "-MASTERDOWN", "-LOADING", "-UNKNOWNOUTCOME"]))
        default: set(&random, padding: random.below(2000))
        }
    }

    private static let refusals = ["-MASTERDOWN", "-UNKNOWNOUTCOME", "-LOADING", "-READONLY"]
    private static let bound = "-ERR the user can't be changed while"

    private func transactional(_ random: inout Random) {
        switch random.below(inTransaction ? 8 : 12) {
        case 0...3: set(&random)
        case 4:
            if inTransaction {
                request(["EXEC"], .exec)
                inTransaction = false
            } else {
                request(["WATCH", "k\(random.below(8))"], .oneOf(["OK"] + Self.refusals))
            }
        case 5:
            if inTransaction {
                request(["DISCARD"], .oneOf(["OK", "-ERR DISCARD without MULTI"] + Self.refusals))
                for line in queued where fates[line] == .unanswered { fates[line] = .unknown }
                queued = []
                inTransaction = false
            } else {
                request(["UNWATCH"], .oneOf(["OK"] + Self.refusals))
            }
        case 6, 7:
            if inTransaction {
                request(["EXEC"], .exec)
                inTransaction = false
            } else {
                request(["GET", "k1"], .get(""))
            }
        default:
            request(["MULTI"], .oneOf(["OK"] + Self.refusals))
            inTransaction = true
            queued = []
        }
    }

    private func blocking(_ random: inout Random) {
        sequence += 1
        switch random.below(5) {
        case 0: request(["BLPOP", "list\(random.below(4))", "0"], .oneOf(["[list", "nil", "-UNBLOCKED"] + Self.refusals))
        case 1: request(["LPUSH", "list\(random.below(4))", "v\(client.id).\(sequence)"], .oneOf([":1"] + Self.refusals))
        case 2: request(["WAIT", "0", "0"], .oneOf([":"] + Self.refusals))
        case 3: request(["PING", "b\(sequence)"], .text("b\(sequence)"))
        default: set(&random)
        }
    }

    private func subscriber(_ random: inout Random) {
        sequence += 1
        let channel = "c\(random.below(3))"
        switch random.below(6) {
        case 0, 1: request(["SUBSCRIBE", channel], .confirmation("subscribe \(channel)"))
        case 2, 3: request(["UNSUBSCRIBE", channel], .confirmation("unsubscribe \(channel)"))
        default:
            let payload = "s\(client.id).\(sequence)"
            request(["PING", payload], .oneOf([payload, "[pong \(payload)]"] + Self.refusals))
        }
    }

    private func connectionState(_ random: inout Random) {
        sequence += 1
        switch random.below(16) {
        case 0: request(["SELECT", "\(random.below(3))"], .oneOf(["OK"] + Self.refusals))
        case 1: request(["SELECT", "99"], .oneOf(["-ERR DB index"] + Self.refusals))
        case 2: request(["AUTH", "alice", "secret"], .oneOf(["OK", Self.bound] + Self.refusals))
        case 3: request(["AUTH", "alice", "wrong"], .oneOf(["-WRONGPASS"] + Self.refusals))
        case 4: request(["HELLO", random.below(2) == 0 ? "3" : "2"], .oneOf(["{", "[", "-ERR the protocol"]))
        case 5:
            request(["HELLO", "3", "AUTH", "alice", "secret"], .oneOf(["{", "-ERR the protocol", Self.bound] + Self.refusals))
        case 6: request(["RESET"], .text("RESET"))
        case 7: request(["WATCH", "k1"], .oneOf(["OK"] + Self.refusals))
        case 8: request(["UNWATCH"], .oneOf(["OK"] + Self.refusals))
        case 9:
            request(["CLIENT", "REPLY", "OFF"], nil)
            isSilent = true
            set(&random)
            request(["PING"], nil)
            isSilent = false
            request(["CLIENT", "REPLY", "ON"], .text("OK"))
        case 10:
            request(["CLIENT", "REPLY", "SKIP"], nil)
            request(["PING", "never"], nil)
        default:
            if random.below(2) == 0 { set(&random) } else { request(["GET", "k\(random.below(8))"], .get("")) }
        }
    }

    private func administrator(_ random: inout Random) {
        sequence += 1
        switch random.below(14) {
        case 0: request(["CLIENT", "LIST"], .oneOf(["id="]))
        case 1: request(["CLIENT", "KILL", "ID", "\(1 + random.below(12))"], .oneOf([":"]))
        case 2: request(["CLIENT", "UNBLOCK", "\(1 + random.below(12))", "ERROR"], .oneOf([":"]))
        case 3: request(["CLIENT", "PAUSE", "\(random.below(300))", random.below(2) == 0 ? "ALL" : "WRITE"], .text("OK"))
        case 4: request(["CLIENT", "UNPAUSE"], .text("OK"))
        case 5: request(["INFO"], .oneOf(["# Server"] + Self.refusals))
        case 6: request(["PROXY", "STATS"], .oneOf(["["]))
        case 7: request(["PROXY", "ROUTE", "GET", "k"], .oneOf(["["]))
        case 8: request(["CLIENT", "TRACKING", "ON"], .oneOf(["OK", "-"]))
        case 9: request(["CLIENT", "TRACKING", "OFF"], .oneOf(["OK", "-"]))
        case 10 where random.below(6) == 0:
            request(["QUIT"], .text("OK"))
            isLeaving = true
        case 11 where random.below(6) == 0:
            // A client that can't be followed.
            client.sendRaw(Array("*2\r\n$4\r\nECHO\r\n!1\r\n".utf8))
            expected.append(.oneOf(["-ERR Protocol error"]))
            isLeaving = true
        case 12 where random.below(4) == 0:
            client.sendRaw(Array("*4\r\n$3\r\nSET\r\n$1\r\nz\r\n$300000\r\n".utf8))
            client.sendRaw(Array(repeating: 0x61, count: 300_000))
            client.sendRaw(Array("\r\n!2\r\nwhatever follows".utf8))
            expected.append(.oneOf(["-ERR Protocol error"] + Self.refusals))
            isLeaving = true
        default: set(&random)
        }
    }

    // MARK: - Replies

    func check() {
        for reply in client.take() { check(reply) }
    }

    private func check(_ reply: RESPValue) {
        if case .push(let elements) = reply, elements.first?.text == "message" { return messages += 1 }
        if case .array(let elements) = reply, elements.first?.text == "message" { return messages += 1 }
        let short = reply.short
        Self.trace?("client \(client.id) < \(short.prefix(140))")
        guard expectedHead < expected.count else {
            problems.append("client \(client.id) got \(short.prefix(100)) and had asked for nothing")
            return
        }
        if isLeaving && short.hasPrefix("-ERR Protocol error") {
            // What was out is given up with it.
            expectedHead = expected.count
            return
        }
        let expectation = expected[expectedHead]
        expectedHead += 1
        if !isRight(short, reply, expectation) {
            problems.append("client \(client.id) (\(kind)) got \(short.prefix(120)) where \(expectation) was expected")
        }
    }

    private func isRight(_ short: String, _ reply: RESPValue, _ expectation: Expected) -> Bool {
        switch expectation {
        case .text(let text): return short == text
        case .oneOf(let prefixes): return prefixes.contains { short.hasPrefix($0) }
        case .get(let prefix):
            if short.hasPrefix("-") || short == "QUEUED" { return true }
            guard let cut = short.utf8.firstIndex(of: UInt8(ascii: "=")) else { return false }
            let key = short[..<cut]
            return key.hasPrefix(prefix.isEmpty ? "k" : prefix)
        case .confirmation(let words):
            return short.hasPrefix("[\(words) :") || short.hasPrefix(">[\(words) :")
                || Self.refusals.contains { short.hasPrefix($0) }
        case .set(let line): return checkSet(line, short)
        case .queuedSet(let line):
            if short == "QUEUED" { return true }
            if short.hasPrefix("-") {
                if fates[line] == .unanswered { fates[line] = short.hasPrefix("-UNKNOWN") ? .unknown : .notDone }
                return Self.refusals.contains { short.hasPrefix($0) }
            }
            // MULTI was refused, so this was no transaction.
            return checkSet(line, short)
        case .exec: return checkExec(short, reply)
        }
    }

    private func checkSet(_ line: String, _ short: String) -> Bool {
        let key = line.split(separator: " ")[1]
        if short == "OK \(key)" {
            fates[line] = .done
        } else if short.hasPrefix("-UNKNOWNOUTCOME") {
            fates[line] = .unknown
        } else if ["-MASTERDOWN", "-READONLY", "-LOADING"].contains(where: { short.hasPrefix($0) }) {
            fates[line] = .notDone
        } else {
            return false
        }
        return true
    }

    private func checkExec(_ short: String, _ reply: RESPValue) -> Bool {
        // Which of the writes this EXEC ran was noted when they were answered: those still unanswered were QUEUED.
        let lines = fates.filter { $0.value == .unanswered }.map(\.key).filter { isAnswered($0) }
        func settle(_ fate: Fate) {
            for line in lines { fates[line] = fate }
        }
        if case .array(let elements) = reply {
            if elements.contains(where: { $0.errorText != nil }) { settle(.unknown) } else { settle(.done) }
            return true
        }
        if short == "nil" || short.hasPrefix("-EXECABORT") || short.hasPrefix("-MASTERDOWN") || short.hasPrefix("-READONLY")
            || short.hasPrefix("-LOADING")
        {
            settle(.notDone)
            return true
        }
        settle(.unknown)
        return short.hasPrefix("-UNKNOWNOUTCOME") || short.hasPrefix("-ERR EXEC without MULTI")
    }

    /// The reply to that write has come.
    private func isAnswered(_ line: String) -> Bool {
        for index in expectedHead..<expected.count {
            switch expected[index] {
            case .set(line), .queuedSet(line): return false
            default: continue
            }
        }
        return true
    }
}

extension Workload.Expected {
    fileprivate static func ~= (pattern: Self, value: Self) -> Bool {
        switch (pattern, value) {
        case (.set(let left), .set(let right)), (.queuedSet(let left), .queuedSet(let right)): left == right
        default: false
        }
    }
}
