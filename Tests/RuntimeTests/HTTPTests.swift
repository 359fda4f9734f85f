import Proxy
import Testing
import Wire

@testable import Runtime

@Suite struct HTTPRequestParserTests {
    private let request = "GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"
    private let parsed = HTTPRequestParser.Outcome.request(HTTPRequest(method: "GET", path: "/metrics"))

    @Test func understandsARequestCutAnywhere() {
        let bytes = Array(request.utf8)
        for cut in 0...bytes.count {
            var parser = HTTPRequestParser()
            let first = bytes[..<cut].withUnsafeBytes { parser.append($0) }
            guard cut < bytes.count else {
                #expect(first == parsed)
                continue
            }
            #expect(first == .incomplete)
            #expect(bytes[cut...].withUnsafeBytes { parser.append($0) } == parsed)
        }
    }

    @Test func understandsSingleBytes() {
        var parser = HTTPRequestParser()
        var outcome = HTTPRequestParser.Outcome.incomplete
        for byte in request.utf8 {
            #expect(outcome == .incomplete)
            outcome = withUnsafeBytes(of: byte) { parser.append($0) }
        }
        #expect(outcome == parsed)
    }

    @Test(arguments: ["GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\r\nA: b\n\r\n"])
    func takesShortHeadsAndBareLineFeeds(text: String) {
        var parser = HTTPRequestParser()
        #expect(parser.append(text) == .request(HTTPRequest(method: "GET", path: "/")))
    }

    @Test(arguments: [
        ("POST / HTTP/1.1\r\n\r\n", 405), ("get / HTTP/1.1\r\n\r\n", 405), ("GET / HTTP/2.0\r\n\r\n", 505),
        ("GET /\r\n\r\n", 400), ("GET  / HTTP/1.1\r\n\r\n", 400), ("GET metrics HTTP/1.1\r\n\r\n", 400), ("\r\n\r\n", 400),
        ("GET / SPDY\r\n\r\n", 400), ("GET /\u{0} HTTP/1.1\r\n\r\n", 400), ("GET /é HTTP/1.1\r\n\r\n", 400),
        ("*1\r\n$4\r\nPING\r\n\r\n", 400), ("\u{16}\u{3}\u{1}\r\n\r\n", 400),
    ])
    func refusesWhatItDoesNotServe(text: String, status: Int) {
        var parser = HTTPRequestParser()
        #expect(parser.append(text) == .refused(status))
    }

    @Test func boundsTheRequestLine() {
        var parser = HTTPRequestParser()
        #expect(parser.append("GET /" + String(repeating: "a", count: 10_000)) == .refused(414))
    }

    @Test func boundsTheHeaderHoweverItArrives() {
        var parser = HTTPRequestParser()
        var outcome = parser.append("GET / HTTP/1.1\r\n")
        var sent = 16
        while outcome == .incomplete, sent < 20_000 {
            outcome = parser.append("X: y\r\n")
            sent += 6
        }
        #expect(outcome == .refused(431))
        #expect(sent <= HTTPRequestParser.limit + 7)
    }
}

@Suite struct HTTPResponseTests {
    @Test func saysItsLengthAndCloses() {
        let text = String(decoding: HTTPResponse(status: 200, text: "ok\n").encoded, as: UTF8.self)
        #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
        #expect(text.contains("\r\nContent-Length: 3\r\n"))
        #expect(text.contains("\r\nConnection: close\r\n"))
        #expect(text.hasSuffix("\r\n\r\nok\n"))
    }

    @Test func namesTheAllowedMethod() {
        #expect(String(decoding: HTTPResponse(status: 405).encoded, as: UTF8.self).contains("\r\nAllow: GET, HEAD\r\n"))
    }
}

@Suite struct ReadinessPageTests {
    private func node(_ port: Int, _ health: NodeState.Health) -> NodeState {
        var node = NodeState(endpoint: Endpoint(host: "10.0.0.1", port: port))
        node.health = health
        return node
    }

    private func text(_ response: HTTPResponse) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test func isReadyOnceAMasterIsConfirmed() {
        var master = node(1, .up)
        master.isMaster = true
        let response = ReadinessPage.response(Topology(nodes: [node(2, .up), master]), isDraining: false)
        #expect(response.status == 200)
        #expect(text(response) == "ready, master 10.0.0.1:1\n")
    }

    @Test func saysOfEachNodeWhyItIsNoMaster() {
        let nodes = [node(1, .down("Connection refused")), node(2, .unusable("loading")), node(3, .up)]
        let response = ReadinessPage.response(Topology(nodes: nodes), isDraining: false)
        #expect(response.status == 503)
        #expect(
            text(response) == """
                no confirmed master that answers
                10.0.0.1:1 is down: Connection refused
                10.0.0.1:2 is unusable: loading
                10.0.0.1:3 is up as unknown

                """)
    }

    @Test func isNotReadyWhileDraining() {
        var master = node(1, .up)
        master.isMaster = true
        #expect(ReadinessPage.response(Topology(nodes: [master]), isDraining: true).status == 503)
    }
}
