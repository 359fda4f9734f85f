import Wire

/// Which node reads go to. One choice a turn and policy, not one a request: requests of a turn then leave in one batch.
struct ReadChoices {
    /// Turns that a choice may be kept for while its node has nothing to do: a lone client that changed its replica with every
    /// request would find both with cold caches.
    private static let keptTurns: UInt8 = 8

    private struct Choice {
        /// -2 for not chosen yet, -1 for none eligible.
        var node = -2
        /// Of an earlier turn.
        var previous = -2
        var age: UInt8 = 0
    }

    private var chosen: (Choice, Choice, Choice, Choice, Choice) = (Choice(), Choice(), Choice(), Choice(), Choice())

    /// A new turn begins.
    mutating func age() {
        Self.age(&chosen.0)
        Self.age(&chosen.1)
        Self.age(&chosen.2)
        Self.age(&chosen.3)
        Self.age(&chosen.4)
    }

    @inline(__always)
    private static func age(_ choice: inout Choice) {
        guard choice.node != -2 else { return }
        choice.previous = choice.node
        choice.node = -2
        choice.age &+= 1
    }

    /// Nodes have changed: nothing is kept.
    mutating func forget() {
        chosen = (Choice(), Choice(), Choice(), Choice(), Choice())
    }

    /// The node of an earlier turn if it may still be kept, or -1.
    func kept(_ policy: ReadFrom) -> Int {
        let choice = self[choice: policy]
        return choice.previous >= 0 && choice.age < Self.keptTurns ? choice.previous : -1
    }

    subscript(policy: ReadFrom) -> Int {
        @inline(__always) get { self[choice: policy].node }
    }

    mutating func choose(_ node: Int, for policy: ReadFrom, isKept: Bool) {
        self[choice: policy].node = node
        if !isKept { self[choice: policy].age = 0 }
    }

    private subscript(choice policy: ReadFrom) -> Choice {
        @inline(__always) get {
            switch policy {
            case .master: chosen.0
            case .preferMaster: chosen.1
            case .replica: chosen.2
            case .preferReplica: chosen.3
            case .any: chosen.4
            }
        }
        set {
            switch policy {
            case .master: chosen.0 = newValue
            case .preferMaster: chosen.1 = newValue
            case .replica: chosen.2 = newValue
            case .preferReplica: chosen.3 = newValue
            case .any: chosen.4 = newValue
            }
        }
    }
}

/// A set of node indexes.
struct NodeSet {
    var bits: UInt64 = 0
    func contains(_ node: Int) -> Bool { bits & (1 << UInt64(node)) != 0 }
    mutating func insert(_ node: Int) { bits |= 1 << UInt64(node) }
    var isEmpty: Bool { bits == 0 }
}

extension Worker {
    /// The node for this turn's reads under `policy`, or -1.
    @inline(__always)
    func readNode(_ policy: ReadFrom) -> Int {
        let node = choices[policy]
        return node != -2 ? node : chooseReadNode(policy)
    }

    @inline(never)
    private func chooseReadNode(_ policy: ReadFrom) -> Int {
        let kept = choices.kept(policy)
        let mayKeep = options.replicaSelection == .leastOutstanding || options.replicaSelection == .lowestLatency
        if mayKeep, kept >= 0, nodes[kept].outstanding == 0, !isBackingOff(kept) {
            choices.choose(kept, for: policy, isKept: true)
            return kept
        }
        let fresh = selectReadNode(policy, avoiding: NodeSet())
        choices.choose(fresh, for: policy, isKept: false)
        return fresh
    }

    /// Chooses anew, leaving out nodes that have just failed.
    @inline(never)
    func selectReadNode(_ policy: ReadFrom, avoiding avoided: NodeSet) -> Int {
        let usableMaster = master >= 0 && !avoided.contains(master) ? master : -1
        switch policy {
        case .master:
            return usableMaster
        case .preferMaster:
            return usableMaster >= 0 && isUp(usableMaster)
                ? usableMaster : selectReplica(avoiding: avoided, orMaster: false) ?? usableMaster
        case .replica:
            return selectReplica(avoiding: avoided, orMaster: false) ?? -1
        case .preferReplica:
            return selectReplica(avoiding: avoided, orMaster: false) ?? usableMaster
        case .any:
            return selectReplica(avoiding: avoided, orMaster: true) ?? usableMaster
        }
    }

    private func isUp(_ node: Int) -> Bool {
        if case .up = nodes[node].state.health { return true }
        return false
    }

    /// Replicas of the proxy's own zone come first; among the rest the configured selection decides, weights included.
    private func selectReplica(avoiding avoided: NodeSet, orMaster includesMaster: Bool) -> Int? {
        var candidates = NodeSet()
        var inZone = NodeSet()
        for node in 0..<nodeCount where !avoided.contains(node) {
            let isCandidate =
                nodes[node].isReadableReplica || (includesMaster && node == master && isUp(node))
            guard isCandidate, !isBackingOff(node) else { continue }
            candidates.insert(node)
            if nodes[node].isInZone { inZone.insert(node) }
        }
        if !inZone.isEmpty { candidates = inZone }
        guard !candidates.isEmpty else { return nil }
        switch options.replicaSelection {
        case .roundRobin: break
        case .leastOutstanding: keepLeastOutstanding(&candidates)
        case .lowestLatency: keepLowestLatency(&candidates)
        case .random: return selectAtRandom(candidates)
        }
        return selectInTurn(candidates)
    }

    /// The default lane's connection failed a moment ago; the monitor may not have noticed yet.
    private func isBackingOff(_ node: Int) -> Bool {
        guard let first = lanes.first, let connection = first.pointee.shared[node] else { return false }
        return connection.pointee.state == .waiting
    }

    /// Smooth weighted round-robin: every candidate gains its weight, the richest is chosen and pays the sum.
    private func selectInTurn(_ candidates: NodeSet) -> Int? {
        var best = -1
        var sum = 0
        for node in 0..<nodeCount where candidates.contains(node) {
            nodes[node].credit += nodes[node].weight
            sum += nodes[node].weight
            if best < 0 || nodes[node].credit > nodes[best].credit { best = node }
        }
        guard best >= 0 else { return nil }
        nodes[best].credit -= sum
        return best
    }

    private func selectAtRandom(_ candidates: NodeSet) -> Int? {
        var sum = 0
        for node in 0..<nodeCount where candidates.contains(node) { sum += nodes[node].weight }
        guard sum > 0 else { return nil }
        var ticket = random.below(sum)
        for node in 0..<nodeCount where candidates.contains(node) {
            ticket -= nodes[node].weight
            if ticket < 0 { return node }
        }
        return nil
    }

    private func keepLeastOutstanding(_ candidates: inout NodeSet) {
        // While all are idle their turns decide, weights included.
        guard (0..<nodeCount).contains(where: { candidates.contains($0) && nodes[$0].outstanding > 0 }) else { return }
        var kept = NodeSet()
        var best = -1
        for node in 0..<nodeCount where candidates.contains(node) {
            guard best >= 0 else {
                best = node
                kept.insert(node)
                continue
            }
            // (outstanding + 1) / weight, what it would be with the next one, compared without dividing.
            let mine = (nodes[node].outstanding + 1) * nodes[best].weight
            let theirs = (nodes[best].outstanding + 1) * nodes[node].weight
            if mine < theirs {
                best = node
                kept = NodeSet()
                kept.insert(node)
            } else if mine == theirs {
                kept.insert(node)
            }
        }
        candidates = kept
    }

    /// Latencies within half of the lowest, or within 200 microseconds of it, count as equal: anything finer is noise, and
    /// would send every read to one node.
    private func keepLowestLatency(_ candidates: inout NodeSet) {
        var lowest = Int.max
        for node in 0..<nodeCount where candidates.contains(node) {
            lowest = min(lowest, nodes[node].state.latencyMicroseconds)
        }
        var kept = NodeSet()
        for node in 0..<nodeCount where candidates.contains(node) {
            if nodes[node].state.latencyMicroseconds <= max(lowest + lowest / 2, lowest + 200) { kept.insert(node) }
        }
        candidates = kept
    }
}
