import Proxy

extension Statistics {
    /// The sum over all workers. Nodes keep the order in which they are first met.
    static func combined(_ workers: [Statistics]) -> Statistics {
        var total = Statistics()
        for worker in workers { total.add(worker) }
        return total
    }

    private mutating func add(_ other: Statistics) {
        connectedClients += other.connectedClients
        acceptedClients += other.acceptedClients
        closedForLimits += other.closedForLimits
        for index in requests.indices { requests[index] += other.requests[index] }
        for index in latency.indices { latency[index].add(other.latency[index]) }
        proxyErrors.merge(other.proxyErrors, uniquingKeysWith: +)
        protocolErrors += other.protocolErrors
        bytesFromClients += other.bytesFromClients
        bytesToClients += other.bytesToClients
        bufferBytes += other.bufferBytes
        pinnedClients += other.pinnedClients
        for node in other.nodes {
            if let index = nodes.firstIndex(where: { $0.endpoint == node.endpoint }) {
                nodes[index].add(node)
            } else {
                nodes.append(node)
            }
        }
    }
}

extension Statistics.Node {
    fileprivate mutating func add(_ other: Statistics.Node) {
        reads += other.reads
        writes += other.writes
        outstanding += other.outstanding
        connections += other.connections
        retries += other.retries
        latency.add(other.latency)
    }
}

extension Statistics.Histogram {
    fileprivate mutating func add(_ other: Statistics.Histogram) {
        for index in buckets.indices { buckets[index] += other.buckets[index] }
        sumMicroseconds += other.sumMicroseconds
        count += other.count
    }
}
