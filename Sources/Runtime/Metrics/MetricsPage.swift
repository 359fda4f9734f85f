import Proxy

/// `/metrics`. Every name is documented by its own HELP line.
enum MetricsPage {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    /// Upper bounds of the histograms' finite buckets, in seconds (see `Statistics.bucketCount`).
    static let bounds: [Double] = (0..<Statistics.bucketCount).map { Double(16 << $0) / 1_000_000 }

    static func render(
        workers: [Statistics], topology: Topology, rejectedClients: UInt64, process: ProcessFigures
    ) -> [UInt8] {
        let total = workers.reduce(into: Statistics()) { $0.merge($1) }
        var text = PrometheusText()
        writeRequests(total, to: &text)
        writeClients(total, rejectedClients: rejectedClients, to: &text)
        writeTraffic(total.nodes, to: &text)
        writeHealth(topology.nodes, to: &text)
        writeProcess(process, threads: workers.count, to: &text)
        return text.bytes
    }

    private static func writeRequests(_ total: Statistics, to text: inout PrometheusText) {
        text.begin("switchyard_requests_total", .counter, "Requests received from clients, by class of command.")
        for kind in Statistics.CommandClass.allCases {
            text.sample("switchyard_requests_total", [.init("class", "\(kind)")], total.requests[kind.rawValue])
        }
        text.begin(
            "switchyard_request_duration_seconds", .histogram, "From a request's arrival to its reply, by class of command.")
        for kind in Statistics.CommandClass.allCases {
            write(total.latency[kind.rawValue], "switchyard_request_duration_seconds", [.init("class", "\(kind)")], to: &text)
        }
        text.begin("switchyard_errors_total", .counter, "Error replies that the proxy itself gave, by their first word.")
        for (kind, count) in total.proxyErrors.sorted(by: { $0.key < $1.key }) {
            text.sample("switchyard_errors_total", [.init("kind", kind)], count)
        }
        text.begin("switchyard_protocol_errors_total", .counter, "Clients closed for breaking the protocol.")
        text.sample("switchyard_protocol_errors_total", [], total.protocolErrors)
    }

    private static func write(
        _ histogram: Statistics.Histogram, _ name: String, _ labels: [PrometheusText.Label], to text: inout PrometheusText
    ) {
        text.histogram(
            name, labels, bounds: bounds, counts: histogram.buckets, sum: Double(histogram.sumMicroseconds) / 1_000_000)
    }

    private static func writeClients(_ total: Statistics, rejectedClients: UInt64, to text: inout PrometheusText) {
        text.begin("switchyard_connected_clients", .gauge, "Clients connected now.")
        text.sample("switchyard_connected_clients", [], total.connectedClients)
        text.begin("switchyard_accepted_clients_total", .counter, "Clients accepted.")
        text.sample("switchyard_accepted_clients_total", [], total.acceptedClients)
        text.begin("switchyard_rejected_clients_total", .counter, "Clients turned away because of maxclients.")
        text.sample("switchyard_rejected_clients_total", [], rejectedClients)
        text.begin("switchyard_limit_closed_clients_total", .counter, "Clients closed for exceeding a buffer limit.")
        text.sample("switchyard_limit_closed_clients_total", [], total.closedForLimits)
        text.begin("switchyard_pinned_clients", .gauge, "Clients that have a connection to a node of their own now.")
        text.sample("switchyard_pinned_clients", [], total.pinnedClients)
        text.begin("switchyard_buffer_bytes", .gauge, "Bytes held in buffers now.")
        text.sample("switchyard_buffer_bytes", [], total.bufferBytes)
        text.begin("switchyard_received_bytes_total", .counter, "Bytes received from clients.")
        text.sample("switchyard_received_bytes_total", [], total.bytesFromClients)
        text.begin("switchyard_sent_bytes_total", .counter, "Bytes sent to clients.")
        text.sample("switchyard_sent_bytes_total", [], total.bytesToClients)
    }

    private static func writeTraffic(_ nodes: [Statistics.Node], to text: inout PrometheusText) {
        text.begin("switchyard_node_requests_total", .counter, "Requests forwarded to a node.")
        for node in nodes {
            text.sample("switchyard_node_requests_total", [label(node), .init("kind", "read")], node.reads)
            text.sample("switchyard_node_requests_total", [label(node), .init("kind", "write")], node.writes)
        }
        text.begin("switchyard_node_request_duration_seconds", .histogram, "From forwarding a request to the node's reply.")
        for node in nodes { write(node.latency, "switchyard_node_request_duration_seconds", [label(node)], to: &text) }
        text.begin("switchyard_node_outstanding", .gauge, "Requests that a node has not answered yet.")
        for node in nodes { text.sample("switchyard_node_outstanding", [label(node)], node.outstanding) }
        text.begin("switchyard_node_connections", .gauge, "Connections to a node.")
        for node in nodes { text.sample("switchyard_node_connections", [label(node)], node.connections) }
        text.begin("switchyard_node_retries_total", .counter, "Requests that came here after another node failed them.")
        for node in nodes { text.sample("switchyard_node_retries_total", [label(node)], node.retries) }
    }

    private static func writeHealth(_ nodes: [NodeState], to text: inout PrometheusText) {
        text.begin("switchyard_node_up", .gauge, "1 when the node may serve what its role allows.")
        for node in nodes { text.sample("switchyard_node_up", [label(node)], node.health == .up ? 1 : 0) }
        text.begin("switchyard_node_role", .gauge, "1 for the role that the node last reported.")
        for node in nodes { text.sample("switchyard_node_role", [label(node), .init("role", node.role.rawValue)], 1) }
        text.begin("switchyard_node_readable", .gauge, "1 when reads may go to the node.")
        for node in nodes {
            text.sample("switchyard_node_readable", [label(node)], node.health == .up && node.readsRefused == nil ? 1 : 0)
        }
        text.begin("switchyard_node_lag_bytes", .gauge, "How far the node's applied offset is behind its master's.")
        for node in nodes { text.sample("switchyard_node_lag_bytes", [label(node)], node.lagBytes) }
        text.begin(
            "switchyard_node_seconds_since_master", .gauge,
            "Seconds since the replica last heard from its master; -1 while the link is down, and for a master.")
        for node in nodes { text.sample("switchyard_node_seconds_since_master", [label(node)], node.secondsSinceMaster) }
        text.begin("switchyard_node_latency_seconds", .gauge, "Smoothed round trip of a health check.")
        for node in nodes {
            text.sample("switchyard_node_latency_seconds", [label(node)], Double(node.latencyMicroseconds) / 1_000_000)
        }
    }

    private static func writeProcess(_ process: ProcessFigures, threads: Int, to text: inout PrometheusText) {
        text.begin("switchyard_build_info", .gauge, "Always 1; the version is a label.")
        text.sample("switchyard_build_info", [.init("version", Product.version)], 1)
        text.begin("switchyard_threads", .gauge, "Event loops that serve clients.")
        text.sample("switchyard_threads", [], threads)
        text.begin("process_cpu_seconds_total", .counter, "Processor time used, user and system.")
        text.sample("process_cpu_seconds_total", [], process.processorSeconds)
        text.begin("process_resident_memory_bytes", .gauge, "Resident memory.")
        text.sample("process_resident_memory_bytes", [], process.residentBytes)
        text.begin("process_open_fds", .gauge, "Open file descriptors.")
        text.sample("process_open_fds", [], process.openDescriptors)
    }

    private static func label(_ node: Statistics.Node) -> PrometheusText.Label { .init("node", node.endpoint.description) }
    private static func label(_ node: NodeState) -> PrometheusText.Label { .init("node", node.endpoint.description) }
}
