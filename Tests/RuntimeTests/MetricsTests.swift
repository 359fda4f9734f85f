import Proxy
import Testing
import Wire

@testable import Runtime

@Suite struct PrometheusTextTests {
    private func text(_ write: (inout PrometheusText) -> Void) -> String {
        var text = PrometheusText()
        write(&text)
        return String(decoding: text.bytes, as: UTF8.self)
    }

    @Test func describesEachMetric() {
        let result = text {
            $0.begin("x_total", .counter, "What x is.")
            $0.sample("x_total", [], 3)
        }
        #expect(result == "# HELP x_total What x is.\n# TYPE x_total counter\nx_total 3\n")
    }

    @Test func escapesLabelValues() {
        let result = text { $0.sample("x", [.init("a", "q\"b\\n\nl")], 1) }
        #expect(result == "x{a=\"q\\\"b\\\\n\\nl\"} 1\n")
    }

    @Test func accumulatesHistogramBuckets() {
        let result = text { $0.histogram("h", [.init("c", "r")], bounds: [0.5, 1], counts: [2, 0, 3], sum: 4.25) }
        #expect(
            result == """
                h_bucket{c="r",le="0.5"} 2
                h_bucket{c="r",le="1.0"} 2
                h_bucket{c="r",le="+Inf"} 5
                h_sum{c="r"} 4.25
                h_count{c="r"} 5

                """)
    }

    @Test func writesSpecialNumbers() {
        #expect(text { $0.sample("x", [], Double.infinity) } == "x +Inf\n")
        #expect(text { $0.sample("x", [], -Double.infinity) } == "x -Inf\n")
        #expect(text { $0.sample("x", [], Double.nan) } == "x NaN\n")
    }
}

@Suite struct MetricsPageTests {
    private let endpoint = Endpoint(host: "10.0.0.1", port: 6379)

    private func worker(requests: UInt64, reads: UInt64, error: String) -> Statistics {
        var statistics = Statistics()
        statistics.connectedClients = 2
        statistics.requests[Statistics.CommandClass.read.rawValue] = requests
        statistics.latency[Statistics.CommandClass.read.rawValue].buckets[1] = requests
        statistics.latency[Statistics.CommandClass.read.rawValue].sumMicroseconds = 30 * requests
        statistics.proxyErrors[error] = 1
        var node = Statistics.Node(endpoint: endpoint)
        node.reads = reads
        statistics.nodes = [node]
        return statistics
    }

    private func page(_ workers: [Statistics], _ topology: Topology = Topology()) -> String {
        let process = ProcessFigures(processorSeconds: 1.5, residentBytes: 4096, openDescriptors: 7)
        let page = MetricsPage.render(workers: workers, topology: topology, rejectedClients: 9, process: process)
        return String(decoding: page, as: UTF8.self)
    }

    @Test func addsUpAllWorkers() {
        let text = page([
            worker(requests: 3, reads: 5, error: "MASTERDOWN"), worker(requests: 4, reads: 6, error: "MASTERDOWN"),
        ])
        #expect(text.contains("\nswitchyard_requests_total{class=\"read\"} 7\n"))
        #expect(text.contains("\nswitchyard_request_duration_seconds_bucket{class=\"read\",le=\"3.2e-05\"} 7\n"))
        #expect(text.contains("\nswitchyard_request_duration_seconds_sum{class=\"read\"} 0.00021\n"))
        #expect(text.contains("\nswitchyard_node_requests_total{node=\"10.0.0.1:6379\",kind=\"read\"} 11\n"))
        #expect(text.contains("\nswitchyard_connected_clients 4\n"))
        #expect(text.contains("\nswitchyard_errors_total{kind=\"MASTERDOWN\"} 2\n"))
        #expect(text.contains("\nswitchyard_rejected_clients_total 9\n"))
        #expect(text.contains("\nswitchyard_build_info{version=\"0.1.0\"} 1\n"))
    }

    @Test func showsEachNodesHealth() {
        var node = NodeState(endpoint: endpoint)
        node.role = .replica
        node.health = .up
        node.readsRefused = "link down"
        node.lagBytes = 17
        node.latencyMicroseconds = 250
        let text = page([], Topology(nodes: [node]))
        #expect(text.contains("\nswitchyard_node_up{node=\"10.0.0.1:6379\"} 1\n"))
        #expect(text.contains("\nswitchyard_node_readable{node=\"10.0.0.1:6379\"} 0\n"))
        #expect(text.contains("\nswitchyard_node_role{node=\"10.0.0.1:6379\",role=\"replica\"} 1\n"))
        #expect(text.contains("\nswitchyard_node_lag_bytes{node=\"10.0.0.1:6379\"} 17\n"))
        #expect(text.contains("\nswitchyard_node_seconds_since_master{node=\"10.0.0.1:6379\"} -1\n"))
        #expect(text.contains("\nswitchyard_node_latency_seconds{node=\"10.0.0.1:6379\"} 0.00025\n"))
    }

    @Test func everySampleBelongsToADescribedMetric() {
        var described: Set<Substring> = []
        let text = page([worker(requests: 1, reads: 1, error: "x")], Topology(nodes: [NodeState(endpoint: endpoint)]))
        for line in text.split(separator: "\n") {
            if line.hasPrefix("# TYPE ") {
                described.insert(line.split(separator: " ")[2])
            } else if !line.hasPrefix("#") {
                var name = line.prefix { $0 != "{" && $0 != " " }
                for suffix in ["_bucket", "_sum", "_count"] where !described.contains(name) && name.hasSuffix(suffix) {
                    name = name.dropLast(suffix.count)
                }
                #expect(described.contains(name), "\(line)")
            }
        }
        #expect(described.count > 20)
    }

    @Test func readsTheKernelsFiguresOfThisProcess() {
        let figures = ProcessFigures.current
        #expect(figures.residentBytes > 1 << 20)
        #expect(figures.openDescriptors >= 3)
        #expect(figures.processorSeconds > 0)
    }
}
