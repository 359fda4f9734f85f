import Testing
import Wire

@testable import Proxy

/// Requests and replies that are too large to be held, and clients that are too slow.
@Suite struct LargeTransferTests {
    private let large = String(repeating: "x", count: 300_000)

    @Test func largeRequestsPassThroughInPieces() {
        for pieces in [1_000, 4_093, 65_536, Int.max] {
            let bench = Bench()
            bench.readLimit = pieces
            let client = bench.client()
            client.sendRaw(requests(["SET", "k", large], ["GET", "k"], ["PING", "p"]))
            bench.settle()
            #expect(client.taken() == ["OK", large, "p"], "pieces of \(pieces)")
            #expect(bench.ask(client, "INCR", "n") == ":1")
            #expect(bench.problems() == [])
        }
    }

    @Test func aStreamMayBeSplitAtEveryByteOfItsFraming() {
        let request = Array(requests(["MSET", "key", "value", "k", "v"]))
        let header = request.firstIndex(of: 10)! + 1
        for split in header..<request.count {
            for second in stride(from: split, to: request.count, by: 3) {
                var stream = RequestStream(arguments: 5, bulkLimit: 1 << 20)
                var used = 0
                var total = header
                for (from, to) in [(header, split), (split, second), (second, request.count)] {
                    let outcome = request[from..<to].withUnsafeBufferPointer { bytes -> RequestStream.Outcome in
                        guard let start = bytes.baseAddress, bytes.count > 0 else { return .unfinished }
                        return stream.feed(start, bytes.count, consumed: &used)
                    }
                    if to > from { total += used }
                    #expect(outcome == (to == request.count && to > from ? .finished : .unfinished), "\(split), \(second)")
                }
                #expect(total == request.count)
            }
        }
    }

    @Test func everySpoiltByteOfAStreamsFramingIsFound() {
        let request = Array("$3\r\nabc\r\n$1\r\nx\r\n".utf8)
        for index in request.indices where !(4..<7).contains(index) && index != 13 {
            var spoilt = request
            spoilt[index] = UInt8(ascii: "!")
            for piece in [1, 2, 100] {
                var stream = RequestStream(arguments: 2, bulkLimit: 1 << 20)
                var isFound = false
                var from = 0
                while from < spoilt.count, !isFound {
                    let to = min(spoilt.count, from + piece)
                    var used = 0
                    let outcome = spoilt[from..<to].withUnsafeBufferPointer {
                        stream.feed($0.baseAddress!, $0.count, consumed: &used)
                    }
                    if case .malformed = outcome { isFound = true }
                    from += used
                    if outcome == .finished { break }
                }
                #expect(isFound, "byte \(index)")
            }
        }
    }

    /// The client is told and closed; its request was left in no connection's queue, so it had waited for ever.
    @Test func aMalformedStreamClosesItsClient() {
        let bench = Bench()
        let client = bench.client()
        let other = bench.client()
        client.sendRaw(Array("*4\r\n$3\r\nSET\r\n$1\r\nk\r\n$300000\r\n\(large)\r\n".utf8))
        bench.settle()
        client.sendRaw(Array("!3\r\n".utf8))
        bench.settle()
        let replies = client.taken()
        #expect(replies.count == 1 && replies[0].hasPrefix("-ERR Protocol error: expected '$', got '!'"), "\(replies)")
        #expect(client.isClosed)
        #expect(bench.ask(other, "GET", "k") == "nil")
        #expect(bench.problems() == [])
    }

    @Test func aLargeRequestWithoutAMasterIsRefusedOnce() {
        let bench = Bench(options: { $0.requestTimeoutMilliseconds = 1_000 })
        let client = bench.client()
        bench.master = nil
        bench.publish()
        bench.settle()
        let bytes = requests(["SET", "k", large], ["PING", "p"])
        client.sendRaw(bytes[..<100_000])
        bench.advance(milliseconds: 3_000)
        client.sendRaw(bytes[100_000..<200_000])
        bench.advance(milliseconds: 3_000)
        client.sendRaw(bytes[200_000...])
        bench.advance(milliseconds: 3_000)
        let replies = client.taken()
        #expect(replies.count == 2 && replies[0].hasPrefix("-MASTERDOWN") && replies[1] == "p", "\(replies)")
        bench.master = 0
        bench.publish()
        bench.settle()
        #expect(bench.ask(client, "INCR", "n") == ":1")
        #expect(bench.problems() == [])
    }

    @Test func aClientThatLeavesInTheMiddleOfALargeRequestLeavesNothing() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["SET", "k", large])[..<200_000])
        bench.settle()
        bench.cut(client)
        bench.settle()
        let other = bench.client()
        #expect(bench.ask(other, "GET", "k") == "nil")
        #expect(bench.problems() == [])
    }

    @Test func theNodeGoesWhileALargeRequestPassesThrough() {
        let bench = Bench()
        let client = bench.client()
        client.sendRaw(requests(["SET", "k", large])[..<200_000])
        bench.settle()
        bench.crash(bench.servers[0])
        bench.settle()
        #expect(client.isClosed)
        #expect(client.taken().map { $0.hasPrefix("-UNKNOWNOUTCOME") } == [true])
        #expect(bench.problems() == [])
    }

    @Test func requestsBehindAHugeReplyAreNotHeldUp() {
        let bench = Bench(servers: 2)
        bench.readLimit = 16 << 10
        bench.servers[1].databases[0] = ["huge": Array(repeating: 0x68, count: 4 << 20), "k": Array("v".utf8)]
        let greedy = bench.client()
        let modest = bench.client()
        greedy.socket?.window = 10_000
        greedy.send("GET", "huge")
        bench.settle()
        #expect(bench.ask(modest, "GET", "k") == "v", "another connection serves the others")
        #expect(bench.sockets().contains { $0.inbound.count > 1 << 20 }, "the node has to wait")
        // It may ask on, but waits for its replies.
        greedy.send("GET", "k")
        bench.settle()
        greedy.socket?.window = .max
        bench.settle()
        let replies = greedy.taken()
        #expect(replies.count == 2 && replies[0].utf8.count == 4 << 20 && replies[1] == "v")
        bench.advance(milliseconds: 1_000)
        #expect(bench.servers[1].connections.count == 1, "the connection set aside is gone")
        #expect(bench.problems() == [])
    }

    @Test func aSlowClientGetsEverythingInTheEnd() {
        let bench = Bench(servers: 2)
        bench.servers[1].databases[0] = ["k": Array(repeating: 0x6b, count: 50_000)]
        let client = bench.client()
        client.isSink = true
        client.socket?.window = 1_000
        for _ in 0..<100 { client.send("GET", "k") }
        client.send("PING", "p")
        bench.settle()
        #expect(bench.worker.currentStatistics().bytesToClients < 20 << 20)
        while client.receivedBytes < 100 * 50_010 + 7 {
            let before = client.receivedBytes
            client.socket?.window = 700_000
            bench.settle()
            #expect(client.receivedBytes > before)
            if client.receivedBytes == before { break }
        }
        #expect(client.receivedBytes == 100 * 50_010 + 7)
        #expect(bench.problems() == [])
    }

    @Test func aNodeThatDoesNotReadMakesClientsWait() {
        let bench = Bench(servers: 1, options: { $0.requestTimeoutMilliseconds = 0 })
        let clients = (0..<4).map { _ in bench.client() }
        bench.ask(clients[0], "SET", "warm", "1")
        for socket in bench.sockets() { if case .server = socket.peer { socket.window = 1_000 } }
        let value = String(repeating: "v", count: 100_000)
        for client in clients { for index in 0..<40 { client.send("SET", "k\(index)", value) } }
        bench.settle()
        #expect(bench.worker.connections.pointers.allSatisfy { $0.pointee.unsent < 6 << 20 })
        for socket in bench.sockets() { socket.window = .max }
        bench.settle()
        for client in clients { #expect(client.taken() == Array(repeating: "OK", count: client === clients[0] ? 40 : 40)) }
        #expect(bench.problems() == [])
    }
}
