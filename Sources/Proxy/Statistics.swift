import Wire

/// Counters of one worker; `merge` adds those of another. A plain value: copied when asked for, never shared.
package struct Statistics: Sendable {
    /// Number of finite histogram buckets; bucket i counts latencies up to 2^i * 16 microseconds, the last one is +Inf.
    package static let bucketCount = 20

    package enum CommandClass: Int, CaseIterable, Sendable {
        case read, write, transaction, blocking, pubsub, script, local, other
    }

    package struct Histogram: Sendable {
        /// Not cumulative.
        package var buckets = [UInt64](repeating: 0, count: Statistics.bucketCount + 1)
        package var sumMicroseconds: UInt64 = 0
        package var count: UInt64 = 0
        package init() {}
    }

    /// Per node, by endpoint.
    package struct Node: Sendable {
        package var endpoint: Endpoint
        package var reads: UInt64 = 0
        package var writes: UInt64 = 0
        package var outstanding: Int = 0
        package var connections: Int = 0
        package var retries: UInt64 = 0
        package var latency = Histogram()
        package init(endpoint: Endpoint) { self.endpoint = endpoint }
    }

    package var connectedClients = 0
    package var acceptedClients: UInt64 = 0
    package var closedForLimits: UInt64 = 0
    package var requests = [UInt64](repeating: 0, count: CommandClass.allCases.count)
    package var latency = [Histogram](repeating: Histogram(), count: CommandClass.allCases.count)
    /// Replies that the proxy itself made up, by the first word of the error (`UNKNOWNOUTCOME`, `MASTERDOWN`, ...).
    package var proxyErrors: [String: UInt64] = [:]
    package var protocolErrors: UInt64 = 0
    package var bytesFromClients: UInt64 = 0
    package var bytesToClients: UInt64 = 0
    /// Bytes held in buffers right now.
    package var bufferBytes = 0
    package var pinnedClients = 0
    package var nodes: [Node] = []

    package init() {}

    package mutating func merge(_ other: Statistics) {
        connectedClients += other.connectedClients
        acceptedClients += other.acceptedClients
        closedForLimits += other.closedForLimits
        for index in requests.indices { requests[index] += other.requests[index] }
        for index in latency.indices { latency[index].merge(other.latency[index]) }
        proxyErrors.merge(other.proxyErrors) { $0 + $1 }
        protocolErrors += other.protocolErrors
        bytesFromClients += other.bytesFromClients
        bytesToClients += other.bytesToClients
        bufferBytes += other.bufferBytes
        pinnedClients += other.pinnedClients
        for node in other.nodes {
            if let index = nodes.firstIndex(where: { $0.endpoint == node.endpoint }) {
                nodes[index].merge(node)
            } else {
                nodes.append(node)
            }
        }
    }
}

extension Statistics.Histogram {
    package mutating func merge(_ other: Statistics.Histogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        sumMicroseconds += other.sumMicroseconds
        count += other.count
    }
}

extension Statistics.Node {
    package mutating func merge(_ other: Statistics.Node) {
        reads += other.reads
        writes += other.writes
        outstanding += other.outstanding
        connections += other.connections
        retries += other.retries
        latency.merge(other.latency)
    }
}
