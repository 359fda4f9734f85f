import Wire

extension Monitor {
    /// Compares each replica with the master: how far behind it is, and whether both speak of the same history.
    ///
    /// Offsets are compared only within one round, for an offset that is a second older would look like a second's worth of lag. (The
    /// first round of a new connection is late, so its lag is up to a second's worth too small until the next.) While the master is
    /// not up its last offset is what there is; while there is no master the last lag stays.
    mutating func compareWithMaster() {
        guard let master = index(of: mastership.endpoint) else { return }
        let samples = nodes[master].samples
        let isMasterUp = nodes[master].condition.isUp
        for index in nodes.indices {
            guard index != master, let sample = nodes[index].samples.last, nodes[index].replication?.upstream != nil else {
                nodes[index].lagBytes = 0
                continue
            }
            let comparable = isMasterUp ? samples.last { $0.round == sample.round } : samples.last
            guard let comparable, !sample.replicationID.isEmpty, !comparable.replicationID.isEmpty else { continue }
            if comparable.replicationID == sample.replicationID {
                let (lag, overflow) = comparable.offset.subtractingReportingOverflow(sample.offset)
                nodes[index].lagBytes = overflow ? .max : max(0, lag)
                nodes[index].foreignSince = nil
                nodes[index].sharedHistory = true
            } else if isMasterUp, nodes[index].foreignSince == nil {
                nodes[index].foreignSince = sample.round
            }
        }
    }

    /// Why a replica that is up gets no reads; nil if it may be read from. Texts hold no figures that change from round to round.
    ///
    /// When the master is gone its replicas' links are down too, and refusing them would end all reads. So while the master is not up, a
    /// link that is down refuses a replica only if it syncs, has never had a link since its process started (its data is of unknown age,
    /// or none), or has been without its master for more than `max-replica-lag-seconds`.
    func refusal(of index: Int) -> String? {
        guard let role = nodes[index].role, let report = nodes[index].replication else { return nil }
        guard case .replica(let named, let linkState, _) = role else { return nil }
        guard let upstream = report.upstream else { return "it is changing its role" }
        if upstream.isSyncing || linkState == "sync" {
            return "a full sync with its master \(named) is running"
        }
        let secondsLimit = options.maxReplicaLagSeconds
        let tooLong = "it has not heard from its master \(named) for more than \(secondsLimit) s (max-replica-lag-seconds)"
        if !upstream.isLinkUp || linkState != "connected" {
            let isMasterUp = expectedMaster.map { $0 != index && nodes[$0].condition.isUp } ?? false
            if isMasterUp { return "its link to its master \(named) is down" }
            if !upstream.isLinkUp {
                guard let down = upstream.secondsDown else {
                    return "it has had no link to its master \(named) since it started, so the age of its data is unknown"
                }
                if secondsLimit > 0, down > secondsLimit { return tooLong }
            }
        } else if secondsLimit > 0, let heard = upstream.secondsSinceHeard, heard > secondsLimit {
            return tooLong
        }
        if let since = nodes[index].foreignSince {
            // One round of tolerance after a shared history, none before: right after a promotion the two are asked at moments that differ.
            let isLasting = (nodes[index].samples.last?.round ?? 0) > since
            if isLasting || !nodes[index].sharedHistory { return "its data has another replication history than the master's" }
        }
        if options.maxReplicaLagBytes > 0, nodes[index].lagBytes > Int64(options.maxReplicaLagBytes) {
            return "it is more than \(options.maxReplicaLagBytes) bytes behind the master (max-replica-lag-bytes)"
        }
        return nil
    }

    /// Why a node that is up and says master must not be used, although it is not the one that writes go to; nil if it may be read from.
    ///
    /// While the master is not up, a node that was promoted by hand still serves reads, provided that it continues the master's history.
    func refusalOfClaim(of index: Int) -> String? {
        guard nodes[index].claimsMaster, nodes[index].endpoint != mastership.endpoint else { return nil }
        if let master = self.index(of: mastership.endpoint) {
            if !nodes[master].condition.isUp, continuesHistory(index, of: master) { return nil }
            let remedy =
                nodes[index].endpoint == options.master
                ? "or restart the proxy if it is meant to be the master again"
                : "or name it as `master` if it was promoted on purpose"
            return
                "claims to be a master, but \(nodes[master].endpoint) is the master: make it a replica with REPLICAOF, \(remedy)"
        }
        guard let configured = options.master else { return "claims to be a master, but no master is configured" }
        return
            "claims to be a master, but \(configured) is configured as the master: name it as `master` if it was promoted on purpose"
    }
}
