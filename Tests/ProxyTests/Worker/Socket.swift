import Wire

@testable import Proxy

/// Bytes on their way, first in, first out.
struct Stream {
    private var bytes: [UInt8] = []
    private var head = 0

    var count: Int { bytes.count - head }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ more: some Sequence<UInt8>) {
        if head > 1 << 16, head > bytes.count / 2 {
            bytes.removeFirst(head)
            head = 0
        }
        bytes.append(contentsOf: more)
    }

    /// Moves up to `limit` bytes into `space`; how many they were.
    mutating func move(into space: UnsafeMutableRawBufferPointer, limit: Int) -> Int {
        let count = min(limit, space.count, self.count)
        guard count > 0 else { return 0 }
        bytes.withUnsafeBytes { space.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[head..<(head + count)])) }
        drop(count)
        return count
    }

    mutating func drop(_ count: Int) {
        head += count
        if head == bytes.count {
            bytes.removeAll(keepingCapacity: count < 1 << 16)
            head = 0
        }
    }

    mutating func truncate(_ count: Int) {
        bytes.removeLast(max(0, self.count - count))
    }

    /// What is there, without taking it.
    func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) -> Result) -> Result {
        bytes.withUnsafeBufferPointer { body(UnsafeBufferPointer(rebasing: $0[head...])) }
    }
}

/// One connection of a worker as its driver and the kernel see it.
final class Socket {
    enum Peer {
        case client(FakeClient)
        case server(ServerConnection)
    }

    let link: LinkID
    let peer: Peer
    /// From the peer to the worker.
    var inbound = Stream()
    /// The peer sends nothing after `inbound`.
    var isEnded = false
    /// How many more bytes the peer's side takes.
    var window = Int.max
    /// The worker was told that the socket is full.
    var isSendBlocked = false
    /// The worker handed out no space.
    var isRefused = false

    init(link: LinkID, peer: Peer) {
        self.link = link
        self.peer = peer
    }
}

/// A client of the proxy.
final class FakeClient {
    let id: UInt64
    let worker: Int
    var socket: Socket?
    private var decoder = RESPDecoder(maximumBytes: 1 << 30)
    /// Replies that came and were not taken yet, pushes included.
    private(set) var replies: [RESPValue] = []
    private(set) var receivedBytes = 0
    private(set) var violation: String?
    /// What is received is only counted.
    var isSink = false

    init(id: UInt64, worker: Int) {
        self.id = id
        self.worker = worker
    }

    var isClosed: Bool { socket == nil }

    func send(_ arguments: String...) { send(arguments) }

    func send(_ arguments: [String]) {
        var bytes: [UInt8] = []
        bytes.appendCommand(arguments)
        sendRaw(bytes)
    }

    func sendRaw(_ bytes: some Sequence<UInt8>) {
        socket?.inbound.append(bytes)
    }

    func receive(_ bytes: UnsafeRawBufferPointer) {
        receivedBytes += bytes.count
        if isSink { return }
        decoder.feed(bytes)
        do {
            while let value = try decoder.next() { replies.append(value) }
        } catch {
            violation = "client \(id) received what is not RESP: \(error)"
        }
    }

    /// The replies since the last call.
    func take() -> [RESPValue] {
        defer { replies = [] }
        return replies
    }

    /// The replies since the last call in short form.
    func taken() -> [String] { take().map(\.short) }

    /// Bytes of a reply that is not whole.
    var pendingBytes: Int { decoder.pendingBytes }
}

extension RESPValue {
    /// `OK`, `text`, `:1`, `nil`, `-ERR text`, `[a b]`, `>[a b]`.
    var short: String {
        switch self {
        case .simpleString, .bulk, .verbatim: text ?? ""
        case .error: "-\(errorText ?? "")"
        case .integer(let value): ":\(value)"
        case .null: "nil"
        case .array(let elements): "[\(elements.map(\.short).joined(separator: " "))]"
        case .set(let elements): "~[\(elements.map(\.short).joined(separator: " "))]"
        case .push(let elements): ">[\(elements.map(\.short).joined(separator: " "))]"
        case .map(let pairs): "{\(pairs.map { "\($0.key.short) \($0.value.short)" }.joined(separator: " "))}"
        case .double(let value): ",\(value)"
        case .boolean(let value): "#\(value)"
        case .bigNumber(let digits): "(\(String(decoding: digits, as: UTF8.self))"
        }
    }
}
